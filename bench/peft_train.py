#!/usr/bin/env python3
"""One training run with PEFT, for comparison: LoRA of a GGUF base, as its users write it.

    peft_train.py --model FILE.gguf --data ROWS.jsonl --dtype f32|bf16 --steps N --batch-size N --output metrics.jsonl

Writes an object a step: step, loss, tokens (without padding), target_tokens, seconds; then one with peak_rss_bytes.
Batches are padded to their longest row, attention is sdpa, the optimizer torch.optim.AdamW, rows come in file order.
"""
import argparse, json, os, resource, time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

parser = argparse.ArgumentParser()
for name in ("model", "data", "dtype", "output"):
    parser.add_argument("--" + name, required=True)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--rank", type=int, default=8)
parser.add_argument("--targets", default="q_proj,k_proj,v_proj,o_proj")
args = parser.parse_args()

folder, file = os.path.split(os.path.abspath(args.model))
dtype = torch.float32 if args.dtype == "f32" else torch.bfloat16
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
