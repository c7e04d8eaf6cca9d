#!/usr/bin/env python3
"""One training run with PEFT, for comparison: LoRA of a GGUF base, as its users write it, or of random weights.

    peft_train.py --model FILE.gguf|1.5b|7b --data ROWS.jsonl --dtype f32|bf16 --steps N --batch-size N --output metrics.jsonl

Rows are prompts and completions, or `input_ids` that are all targets; 1.5b and 7b are Qwen 2.5's shapes, which take the latter.

Writes an object a step: step, loss, tokens (without padding), target_tokens, seconds; then one with peak_rss_bytes.
Batches are padded to their longest row, attention is sdpa, the optimizer torch.optim.AdamW, rows come in file order.
"""
import argparse, json, os, resource, time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config

SHAPES = {
    "1.5b": dict(hidden_size=1536, intermediate_size=8960, num_attention_heads=12, num_key_value_heads=2, vocab_size=151936,
                 num_hidden_layers=28, tie_word_embeddings=True),
    "7b": dict(hidden_size=3584, intermediate_size=18944, num_attention_heads=28, num_key_value_heads=4, vocab_size=152064,
               num_hidden_layers=28, tie_word_embeddings=False),
}

parser = argparse.ArgumentParser()
for name in ("model", "data", "dtype", "output"):
    parser.add_argument("--" + name, required=True)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--rank", type=int, default=8)
parser.add_argument("--targets", default="q_proj,k_proj,v_proj,o_proj")
args = parser.parse_args()

dtype = torch.float32 if args.dtype == "f32" else torch.bfloat16
if args.model in SHAPES:
    model = AutoModelForCausalLM.from_config(Qwen2Config(**SHAPES[args.model]), dtype=dtype, attn_implementation="sdpa")
else:
    folder, file = os.path.split(os.path.abspath(args.model))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=dtype, attn_implementation="sdpa")
model.config.use_cache = False
model = get_peft_model(model, LoraConfig(r=args.rank, lora_alpha=2 * args.rank, task_type="CAUSAL_LM",
                                         target_modules="all-linear" if args.targets == "all-linear" else args.targets.split(",")))
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

rows = []
with open(args.data, encoding="utf-8") as lines:
    for line in lines:
        row = json.loads(line)
        if "input_ids" in row:
            rows.append((row["input_ids"], row["input_ids"]))
            continue
        prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
        completion = tokenizer(row["completion"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        rows.append((prompt + completion, [-100] * len(prompt) + completion))
        if len(rows) == args.steps * args.batch_size:
            break

with open(args.output, "w") as out:
    for step in range(args.steps):
        batch = rows[step * args.batch_size:(step + 1) * args.batch_size]
        started = time.perf_counter()
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch])
        mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in batch])
        labels = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in batch])
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        out.write(json.dumps({"step": step + 1, "loss": loss.item(), "tokens": int(mask.sum()),
                              "target_tokens": int((labels != -100).sum()),
                              "seconds": time.perf_counter() - started}) + "\n")
    out.write(json.dumps({"peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}) + "\n")
