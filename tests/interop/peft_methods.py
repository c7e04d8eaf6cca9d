"""PEFT loads what lowrank trained, with the same loss.

    python peft_methods.py LOWRANK MODEL.gguf ROWS.jsonl [METHOD...]

For each method with a file that PEFT reads: 5 steps of 4 rows in f32, then the loss of 16 rows by `lowrank evaluate` and by PEFT on transformers' model.
A row of ids that are all targets is among them: behind virtual
tokens its first token is a target, too. Needs torch, transformers, peft and gguf from PyPI. Fails when a loss differs by more than 1e-3, or PEFT reports keys that do
not fit.
"""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

PREFERRED = {
    "vera": [["--rank", "64"]],
    "p_tuning": [[], ["--encoder-reparameterization-type", "LSTM", "--encoder-hidden-size", "64"]],
    "prefix_tuning": [[], ["--prefix-projection"]],
    "prompt_tuning": [[], ["--prompt-tuning-init", "text", "--prompt-tuning-init-text", "Describe it in one sentence:"]],
    "pre_embed": [["--num-infix-tokens", "0"]],
}
OWN_FILES = ["pre_layer", "full", "subset", "top_layers", "bitfit", "did", "said", "houlsby", "pfeiffer", "lin_adapter", "parallel_adapter",
             "plain_adapter", "compacter", "compacter_pp", "adapter_fusion"]  # of no type that PEFT knows


def run(*arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def pairs(tokenizer, rows):
    for row in rows:
        prompt = tokenizer(row["prompt"], add_special_tokens=False).input_ids
        completion = tokenizer(row["completion"], add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
        yield prompt + completion, [-100] * len(prompt) + completion


def loss_of(model, rows):
    total = count = 0
    with torch.no_grad():
        for ids, labels in rows:
            # Virtual tokens come first and have logits of their own; the last of them predicts the first token.
            logits = model(input_ids=torch.tensor([ids])).logits[0].float()
            virtual = len(logits) - len(ids)
            logits = logits[max(0, virtual - 1):-1]
            labels = torch.tensor(labels if virtual > 0 else labels[1:])
            total += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            count += (labels != -100).sum().item()
    return total / count


def main():
    program, model, data = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    methods = sys.argv[4:] or [m["name"] for m in json.loads(run(program, "methods", "--json"))]
    tokenizer = AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name)
    rows = [json.loads(line) for line in data.read_text().splitlines()[:16]]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "rows.jsonl"
        few.write_text("".join(json.dumps(row) + "\n" for row in rows))
        # Ids are given, so that no tokenizer stands between the two.
        ids = [json.loads(line) for line in run(program, "tokenize", "--model", str(model), "--data", str(few), "--json").splitlines()]
        tokenised = []
        for row, (expected, labels) in zip(ids, pairs(tokenizer, rows)):
            tokenised.append((row, [-100] * (len(row) - sum(l != -100 for l in labels)) + [l for l in labels if l != -100]))
        tokenised.append((tokenised[0][0][:24], tokenised[0][0][:24]))
        given = Path(folder) / "given.jsonl"
        given.write_text("".join(json.dumps({"input_ids": i, "labels": l}) + "\n" for i, l in tokenised))
        for method, options in [(m, o) for m in methods if m not in OWN_FILES for o in PREFERRED.get(m, [[]])]:
            adapter = Path(tempfile.mkdtemp(dir=folder))
            run(program, "train", "--model", str(model), "--data", str(given), "--output", str(adapter), "--method", method, "--steps", "5",
                "--batch-size", "4", "--dtype", "f32", *options)
            ours = json.loads(run(program, "evaluate", "--model", str(model), "--adapter", str(adapter), "--data", str(given), "--dtype", "f32", "--json"))["loss"]
            base = AutoModelForCausalLM.from_pretrained(model.parent, gguf_file=model.name, dtype=torch.float32)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                theirs = loss_of(PeftModel.from_pretrained(base, adapter).eval(), tokenised)
            keys = [str(w.message)[:200] for w in caught if "missing" in str(w.message) or "unexpected" in str(w.message)]
            bad = abs(ours - theirs) > 1e-3 or bool(keys)
            failed |= bad
            print(f"{' '.join([method, *options[:2]]):50s} lowrank {ours:.6f}  PEFT {theirs:.6f}  difference {abs(ours - theirs):.1e} {'FAILED ' + str(keys) if bad else ''}", flush=True)
    sys.exit(failed)


main()
