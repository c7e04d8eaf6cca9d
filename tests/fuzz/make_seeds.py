#!/usr/bin/env python3
"""Inputs that the fuzzers start from, made from tests/fixtures and by the program: make_seeds.py OUT LOWRANK.

Each target's seeds stand in OUT/TARGET/. Standard library only."""
import gzip
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
OUT = Path(sys.argv[1])
LOWRANK = Path(sys.argv[2]).resolve()

ADAPTER_FILES = ["adapter_config.json", "adapter_model.safetensors", "adapters.safetensors", "adapter.safetensors",
                 "head_config.json", "model_head.safetensors", "adapter_fusion_config.json", "encoder_state.safetensors",
                 "model_adapter_fusion.safetensors", "labels.json", "adapters.json", "adapter.gguf"]
ADAPTER_BASES = ["tiny_llama/bf16", "tiny_decoders/gpt2", "tiny_encoders/bert", "tiny_decoders/qwen3.gguf"]
LARGEST = 160_000

CHAT_TEMPLATES = [
    "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content | trim + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{%- for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}",
    "{% macro f(x, y=1) %}{{ x | tojson(indent=y) }}{{ caller() }}{% endmacro %}{% call f(messages) %}a{% endcall %}",
]
YAML = ["model: x\nlr: 1e-4\nsteps: 5\ntarget_modules: [a, b]\n", "a: &x {k: v}\nb: *x\n", '- 1\n- "2"\n', "? a\n: b\n",
        "a: |\n  text\n  more\nb: >-\n  x\n", "{a: 1, b: [1,2,{c: d}]}", "a: !!binary aGk=\nb: !x y\nc: ~\nd: 0x1F\ne: .nan\n",
        "--- \na: 1\n...\n---\nb: 2\n", "base: &b {r: 8}\nlora:\n  <<: *b\n  alpha: 16\n"]
ROWS = ['{"prompt": "a", "completion": "b"}\n{"prompt": "c", "completion": "\\u00e9"}\n', '{"text": "All"}\n\n{"text":"x"}',
        '{"instruction": "Name", "input": "", "output": "htop"}', '{"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}',
        '{"text": "fun", "label": 1}\n{"text": "no", "label": "x"}', '[{"prompt":"a","completion":"b"},{"text":"d"}]',
        'prompt,completion\n"a ""q"" b",c\nd,"e\nf"\n', "text\tlabel\nx\t1\ny\t2\n", "a,b\n1,2\n", "\ufefftext\nx\n"]

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 1}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"z": 1, "a": [2.50, null]}'}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CONVERSATIONS = [
    {"messages": [{"role": "system", "content": [{"type": "text", "text": "s"}]}, USER, ANSWER], "tools": [TOOL]},
    {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "r"},
                  {"role": "tool", "content": "t", "tool_call_id": "c", "name": "f"}, ANSWER],
     "tools": json.dumps([TOOL["function"]]), "chat_template_kwargs": {"enable_thinking": False}},
    {"messages": [USER, {"role": "assistant", "function_call": CALL["function"]}], "functions": [TOOL["function"]]},
    {"system": "s", "conversations": [{"from": "human", "value": "q"},
                                      {"from": "function_call", "value": json.dumps(CALL["function"])},
                                      {"from": "observation", "value": "t"}, {"from": "gpt", "value": "a"}]},
    {"prompt": [USER], "completion": [ANSWER, USER, {**ANSWER, "training": True}], "documents": [{"title": "d"}]},
    {"system": "s", "instruction": "i", "input": "x", "output": "o", "history": [["q", "a"]]}]

SERVED = [  # numbers of endpoints as in serve_request.cpp
    (0, {"model": "m", "messages": [USER, {"role": "assistant", "content": "a"}, USER], "n": 2, "max_tokens": 7, "temperature": 0.5, "top_p": 0.9,
         "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "seed": 3, "stop": ["a", "b"], "logprobs": True, "top_logprobs": 2, "stream": True,
         "stream_options": {"include_usage": True}, "lora": [{"id": 0, "scale": 0.5}], "tools": [TOOL], "tool_choice": "auto"}),
    (0, {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}], "chat_template_kwargs": {"enable_thinking": False},
         "logit_bias": {}, "response_format": {"type": "text"}, "modalities": ["text"], "stop_token_ids": [1], "documents": [{"title": "d"}]}),
    (1, {"model": "m", "prompt": ["a", "b"], "echo": True, "max_tokens": 3}), (1, {"model": "m", "prompt": [[1, 2], [3]], "logprobs": 2}),
    (1, {"model": "m", "prompt": [1, 2, 3], "suffix": "", "best_of": 1}), (2, {"model": "m", "input": ["a"], "encoding_format": "base64"}),
    (2, {"model": "m", "input": [1, 2], "dimensions": 8}), (3, {"model": "m", "prompt": "a", "add_special_tokens": False}),
    (3, {"messages": [USER]}), (4, {"lora_name": "a", "lora_path": "b"}), (5, [{"id": 0, "scale": 0.5}]), (6, "/v1/models/a%20b?x=1"), (6, "[::1]:80")]


def write(target, name, content):
    if not any(content) or len(content) > LARGEST:
        return
    folder = OUT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def packed(parts):
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def files(folder, names):
    return [(folder / name).read_bytes() if (folder / name).exists() else b"" for name in names]


def safetensors(tensors):
    """{name: shape} of f32 ones."""
    header, data = {}, b""
    for name, shape in tensors.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += struct.pack("<f", 1) * count
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def gguf_text(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_value(value):
    """Type number and bytes; lists are of strings, i32 or f32."""
    if isinstance(value, str):
        return 8, gguf_text(value)
    if isinstance(value, bool):
        return 7, struct.pack("<B", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    kind = 8 if not value or isinstance(value[0], str) else 6 if isinstance(value[0], float) else 5
    body = b"".join(gguf_text(v) if kind == 8 else struct.pack("<f" if kind == 6 else "<i", v) for v in value)
    return 9, struct.pack("<IQ", kind, len(value)) + body


# Number, values and bytes per block of each type of tensor.
GGUF_TYPES = [(0, 1, 4), (1, 1, 2), (2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24), (8, 32, 34), (10, 256, 84), (11, 256, 110), (12, 256, 144),
              (13, 256, 176), (14, 256, 210), (16, 256, 66), (17, 256, 74), (18, 256, 98), (19, 256, 50), (20, 32, 18), (21, 256, 110), (22, 256, 82),
              (23, 256, 136), (29, 256, 56), (30, 1, 2), (34, 256, 54), (35, 256, 66), (39, 32, 17), (40, 64, 36)]


def gguf(keys, types=((2, 32, 18), (0, 4, 16))):
    """A file of these keys and a tensor of one row of one block of each type."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(types), len(keys))
    for name, value in keys.items():
        kind, body = gguf_value(value)
        head += gguf_text(name) + struct.pack("<I", kind) + body
    data = b""
    for i, (kind, values, size) in enumerate(types):
        head += gguf_text(chr(97 + i)) + struct.pack("<IQQIQ", 2, values, 1, kind, len(data))
        data += bytes([i + 1]) * size + bytes(-size % 32)
    return head + bytes(-len(head) % 32) + data


def gguf_tokenizers():
    byte_level = ["<s>", "H", "e", "l", "o", "\u0120", "He", "ll", "Hell", "w", "r", "d"]
    pieces = ["<unk>", "<s>", "</s>", "<0x41>", "\u2581", "H", "e", "He", "\u2581He", "l"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581he", "llo", "\u2581w"]
    for model, pre, tokens, more in [
            ("gpt2", "gpt-2", byte_level, {"tokenizer.ggml.merges": ["H e", "l l", "He ll"]}),
            ("gpt2", "llama-bpe", byte_level, {"tokenizer.ggml.merges": ["H e"]}),
            ("gpt2", "qwen2", byte_level[:3], {"tokenizer.ggml.merges": []}),
            ("llama", "default", pieces, {"tokenizer.ggml.scores": [-float(i) for i in range(len(pieces))]}),
            ("bert", "default", words, {"tokenizer.ggml.unknown_token_id": 1, "tokenizer.ggml.seperator_token_id": 3})]:
        keys = {"general.architecture": "llama", "tokenizer.ggml.model": model, "tokenizer.ggml.pre": pre,
                "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": [3] + [1] * (len(tokens) - 2) + [4],
                "tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.eos_token_id": 1, "tokenizer.ggml.add_bos_token": True,
                "tokenizer.ggml.add_space_prefix": True, "tokenizer.chat_template": "{{x}}", **more}
        yield f"{model}-{pre}", gguf(keys)


def cut_tokenizer(path, size=60):
    """A tokenizer.json with the first tokens of its vocabulary only."""
    tokenizer = json.loads(path.read_text())
    model = tokenizer["model"]
    if model["type"] == "Unigram":
        model["vocab"] = model["vocab"][:size]
    else:
        first = sorted(model["vocab"].items(), key=lambda entry: entry[1])[:size]
        kept = model["vocab"] = {token: i for i, (token, _) in enumerate(first)}
    if "merges" in model:
        pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
        known = [m for m, p in zip(model["merges"], pairs) if p[0] in kept and p[1] in kept and "".join(p) in kept]
        model["merges"] = known[:20]
    tokenizer["added_tokens"] = tokenizer["added_tokens"][:3]
    for added in tokenizer["added_tokens"]:
        added["id"] = min(added["id"], size)
    return json.dumps(tokenizer, ensure_ascii=False).encode()


def tokenizer_seeds():
    text = "He said: it's 123  <s>x\u00e9\u4e2d \u2028 [MASK] <0x0A>".encode()
    for path in sorted((FIXTURES / "text").glob("*/tokenizer.json")):
        parts = [b'{"bos_token":"<s>","add_bos_token":true}', b'{"eos_token":{"content":"</s>","lstrip":true}}',
                 b'{"eos_token_id":[1,2]}', text, cut_tokenizer(path)]
        write("tokenizer", path.parent.name, packed(parts))


def file_seeds():
    for path in sorted(FIXTURES.rglob("*.gguf")):
        name = "-".join(path.relative_to(FIXTURES).parts)
        write("gguf", name, path.read_bytes())
        write("gguf_model", name, path.read_bytes())
    for path in sorted(FIXTURES.rglob("*.safetensors")):
        if path.stat().st_size < 16_000:
            write("safetensors", "-".join(path.relative_to(FIXTURES).parts), path.read_bytes())
    write("gguf_split", "three", packed(files(FIXTURES / "formats/split", [f"model-0000{i}-of-00003.gguf" for i in (1, 2, 3)])))
    write("safetensors_index", "two", packed(files(FIXTURES / "formats/sharded", [
        "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])))
    for name, content in gguf_tokenizers():
        write("gguf", name, content)
    write("gguf", "types", gguf({"general.architecture": "llama"}, GGUF_TYPES))
    for path in sorted(FIXTURES.rglob("model.safetensors")):
        write("folder_model", "-".join(path.parent.relative_to(FIXTURES).parts),
              packed(files(path.parent, ["config.json", "model.safetensors"])))
    cases = [json.loads(line) for line in open(FIXTURES / "jinja/cases.jsonl", encoding="utf-8")][1:]
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo", "tool_calls": [{"x": 1.5}]}]
    for i, source in enumerate(CHAT_TEMPLATES + [case["source"] for case in cases]):
        write("chat_template", str(i), packed([source.encode(), json.dumps(chat).encode()]))
    for i, text in enumerate(YAML):
        write("yaml", str(i), text.encode())
    for i, text in enumerate(ROWS):
        for kind in range(4):
            write("rows", f"{i}-{kind}", bytes([kind, 0 if kind < 2 else 128]) + text.encode())
            for made in (4, 8, 12):
                write("sources", f"{i}-{kind}-{made}", bytes([kind + made]) + text.encode())
        write("sources", f"{i}-gzip", b"\0" + gzip.compress(text.encode()))
    for path in sorted((FIXTURES / "parquet").glob("[!w]*.parquet")):  # not wide.parquet, which takes a second
        write("sources", path.name, b"\0" + path.read_bytes())

    for i, row in enumerate(CONVERSATIONS):
        for shape in (64, 65, 66):
            write("conversations", f"{i}-{shape}", bytes([shape]) + json.dumps(row).encode())
    for i, (endpoint, body) in enumerate(SERVED):
        write("serve_request", str(i), bytes([endpoint]) + (body if isinstance(body, str) else json.dumps(body)).encode())


def adapter_seed(base, name, folder):
    write("adapter", f"{base}-{name}", bytes([base]) + packed(files(Path(folder), ADAPTER_FILES)))


def methods():
    return [path.stem for path in sorted((FIXTURES.parent.parent / "src/peft/methods").glob("*.cpp"))]


def adapter_seeds():
    for folder in sorted((FIXTURES / "lora_extras").iterdir()):
        adapter_seed(0, folder.name, folder)
    query = {f"model.layers.{layer}.self_attn.q_proj.lora_{ab}": shape for layer in (0, 1)
             for ab, shape in (("a", [32, 2]), ("b", [2, 32]))}
    mlx = {"fine_tune_type": "lora", "num_layers": 2,
           "lora_parameters": {"rank": 2, "scale": 20.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]}}
    parts = dict.fromkeys(ADAPTER_FILES, b"") | {"adapter_config.json": json.dumps(mlx).encode(),
                                                  "adapters.safetensors": safetensors(query)}
    write("adapter", "mlx", b"\0" + packed(parts.values()))
    with tempfile.TemporaryDirectory() as work:
        rows = Path(work) / "rows.jsonl"
        rows.write_text('{"input_ids": [1, 2, 3, 4], "labels": [-100, 2, 3, 4]}\n' * 4)
        for base in (0, 1, 3):
            for method in methods():
                out = f"{work}/{base}-{method}"
                done = subprocess.run([LOWRANK, "train", "--model", FIXTURES / ADAPTER_BASES[base], "--data", rows,
                                       "--method", method, "--output", out, "--steps", "1"], capture_output=True)
                if done.returncode == 0:  # some methods cannot train on some bases
                    adapter_seed(base, method, out)
        exported = subprocess.run([LOWRANK, "export", "--model", FIXTURES / ADAPTER_BASES[3], "--adapter", f"{work}/3-lora",
                                   "--output", f"{work}/adapter.gguf"], capture_output=True)
        if exported.returncode == 0:
            (Path(work) / "gguf").mkdir()
            Path(work, "adapter.gguf").rename(Path(work, "gguf/adapter.gguf"))
            adapter_seed(3, "gguf", Path(work, "gguf"))


file_seeds()
tokenizer_seeds()
adapter_seeds()
