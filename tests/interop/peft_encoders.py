"""PEFT loads what lowrank trained on an encoder with a label head, with the same loss.

    python peft_encoders.py LOWRANK FOLDER ROWS.jsonl [METHOD...]

For each method: 5 steps of 4 labelled rows ({"text", "label"}) in f32, then the mean loss of 16 rows by `lowrank evaluate` and by PEFT on
transformers' AutoModelForSequenceClassification. Needs torch, transformers and peft from PyPI. Fails when a loss differs by more
than 1e-4, or PEFT reports keys that do not fit.
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
from transformers import AutoModelForSequenceClassification, AutoTokenizer

OPTIONS = {"vera": ["--rank", "64"]}
OWN_FILES = ["pre_layer", "pre_embed", "full", "subset", "top_layers", "bitfit", "did", "said", "houlsby", "pfeiffer", "lin_adapter",
             "parallel_adapter", "plain_adapter", "compacter", "compacter_pp", "adapter_fusion"]  # of no type that PEFT knows


def run(*arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def loss_of(model, tokenizer, rows, names):
    total = 0
    with torch.no_grad():
        for row in rows:
            label = torch.tensor([names.index(str(row["label"]))])
            # Not by the model's own loss: PEFT's AdaLoRA cannot compute one after loading.
            logits = model(**tokenizer([row["text"]], return_tensors="pt")).logits
            total += torch.nn.functional.cross_entropy(logits, label).item()
    return total / len(rows)


def main():
    program, base, data = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    methods = sys.argv[4:] or [m["name"] for m in json.loads(run(program, "methods", "--json")) if m["name"] not in OWN_FILES]
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = [json.loads(line) for line in data.read_text().splitlines()[:16]]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "rows.jsonl"
        few.write_text("".join(json.dumps(row) + "\n" for row in rows))
        for method in methods:
            adapter = Path(folder) / method
            run(program, "train", "--model", base, "--data", str(few), "--output", str(adapter), "--method", method, "--steps", "5", "--batch-size", "4",
                "--dtype", "f32", *OPTIONS.get(method, []))
            ours = json.loads(run(program, "evaluate", "--model", base, "--adapter", str(adapter), "--data", str(few), "--dtype", "f32", "--json"))["loss"]
            names = list(json.loads((adapter / "labels.json").read_text())["id2label"].values())
            model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(names), dtype=torch.float32)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                theirs = loss_of(PeftModel.from_pretrained(model, adapter).eval(), tokenizer, rows, names)
            keys = [str(w.message)[:200] for w in caught if "missing" in str(w.message) or "unexpected" in str(w.message)]
            bad = abs(ours - theirs) > 1e-4 or bool(keys)
            failed |= bad
            print(f"{method:10s} lowrank {ours:.6f}  PEFT {theirs:.6f}  difference {abs(ours - theirs):.1e} {'FAILED ' + str(keys) if bad else ''}", flush=True)
    sys.exit(failed)


main()
