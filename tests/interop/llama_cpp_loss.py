#!/usr/bin/env python3
"""llama.cpp's loss moves with our adapter as lowrank's does: base, base with the exported GGUF LoRA, merged GGUF file.

    llama_cpp_loss.py BUILD/lowrank MODEL.gguf ADAPTER ROWS.jsonl

ADAPTER is what `lowrank train` wrote, ROWS.jsonl holds objects with input_ids and perhaps labels. Needs llama-cpp-python,
gguf and numpy. Done twice: with the model as it is, where llama.cpp rounds activations to 8 bits, and with a copy of it in
F32, where it does not."""
import json
import os
import subprocess
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np

# Largest difference of the losses, and of their changes as a share of the change.
TOLERANCES = {"as it is": (0.1, 0.05), "in F32": (1e-3, 1e-3)}


def without_repacked_weights():
    """llama.cpp's default parameters, but weights stay as they are: AMX, for which it repacks them, crashes where the system
    does not grant it."""
    parameters = DEFAULTS()
    parameters.use_extra_bufts = False
    return parameters


DEFAULTS = llama_cpp.llama_model_default_params
llama_cpp.llama_cpp.llama_model_default_params = without_repacked_weights


def read_rows(path):
    rows = [json.loads(line) for line in open(path)]
    return [(row["input_ids"], row.get("labels", row["input_ids"])) for row in rows]


def llama_loss(rows, model, lora=None):
    """Mean over the target tokens of -log p, as lowrank evaluate computes it."""
    llama = llama_cpp.Llama(model_path=model, lora_path=lora, n_ctx=max(len(tokens) for tokens, _ in rows), logits_all=True, verbose=False,
                  type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32)
    total, count = 0.0, 0
    for tokens, labels in rows:
        llama.reset()
        llama.eval(tokens)
        logits = llama.scores[:len(tokens) - 1].astype(np.float64)
        log_sum = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
        targets = np.array(labels[1:])
        for row in np.flatnonzero(targets != -100):
            total += log_sum[row] - logits[row, targets[row]]
            count += 1
    llama.close()
    return total / count


def lowrank_loss(program, rows, model, adapter=None):
    arguments = ["--adapter", adapter] if adapter else []
    out = subprocess.run([program, "evaluate", "--model", model, "--data", rows, "--dtype", "f32", "--json", *arguments], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return json.loads(out)["loss"]


def write_f32_copy(model, path):
    """All keys as they are, all tensors in F32."""
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        sub_type = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=sub_type)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def compare(program, kind, model, adapter, rows_path, folder):
    lora, merged = (os.path.join(folder, name) for name in (f"{kind} lora.gguf", f"{kind} merged.gguf"))
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([program, "export", "--model", model, "--adapter", adapter, "--output", lora], **quiet)
    subprocess.run([program, "merge", "--model", model, "--adapter", adapter, "--output", merged, "--merged-type", "f32", "--no-check"],
                   **quiet)
    rows = read_rows(rows_path)
    ours = [lowrank_loss(program, rows_path, model), lowrank_loss(program, rows_path, model, adapter),
            lowrank_loss(program, rows_path, merged)]
    theirs = [llama_loss(rows, model), llama_loss(rows, model, lora), llama_loss(rows, merged)]
    os.remove(merged)
    absolute, relative = TOLERANCES[kind]
    print(f"the model {kind:9}      lowrank  llama.cpp   change: lowrank  llama.cpp")
    for name, a, b in zip(("base", "adapter", "merged"), ours, theirs):
        print(f"  {name:8} {a:17.5f} {b:10.5f} {a - ours[0]:17.5f} {b - theirs[0]:10.5f}")
        change = a - ours[0]
        assert abs(a - b) < absolute, "the losses differ"
        assert abs(b - theirs[0] - change) <= relative * abs(change), "the changes of the loss differ"
    assert abs(ours[1] - ours[0]) > 0.1, "the adapter changes too little: this says nothing"


def main():
    program, model, adapter, rows = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        compare(program, "as it is", model, adapter, rows, folder)
        copy = os.path.join(folder, "f32.gguf")
        write_f32_copy(model, copy)
        compare(program, "in F32", copy, adapter, rows, folder)


main()
