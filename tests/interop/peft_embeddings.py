"""PEFT loads what lowrank trained on anchors and positives, and gives the same vectors.

    python peft_embeddings.py LOWRANK FOLDER [METHOD...]

FOLDER: an encoder whose vector is the mean of its hidden states, or a decoder whose vector is that of the last token. For
each method (lora, dora, ia3): 5 steps in f32, then the vectors of three texts by `lowrank embed --adapter` and by PEFT on
transformers' AutoModel. Needs torch, transformers and peft from PyPI. Fails when a value differs by more than 1e-4, or PEFT
reports keys that do not fit."""

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
from transformers import AutoModel, AutoTokenizer

PAIRS = [{"anchor": "what is a mill", "positive": "A mill grinds corn."},
         {"anchor": "where is the river", "positive": "The river runs past the mill."},
         {"anchor": "who left in 1999", "positive": "Nobody could remember who left."},
         {"anchor": "what turns", "positive": "The wheel always turns, the miller said."}]
TEXTS = [row["anchor"] for row in PAIRS[:3]]


def run(*arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def main():
    program, base = sys.argv[1], sys.argv[2]
    methods = sys.argv[3:] or ["lora", "dora", "ia3"]
    tokenizer = AutoTokenizer.from_pretrained(base)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        rows, texts = Path(folder) / "pairs.jsonl", Path(folder) / "texts.jsonl"
        rows.write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
        texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
        for method in methods:
            adapter = str(Path(folder) / method)
            run(program, "train", "--model", base, "--data", str(rows), "--output", adapter, "--method", method, "--steps", "5", "--batch-size", "4",
                "--dtype", "f32", "--lr", "1e-2")
            lines = run(program, "embed", "--model", base, "--adapter", adapter, "--data", str(texts), "--dtype", "f32", "--normalise=false").splitlines()
            model = AutoModel.from_pretrained(base, dtype=torch.float32)
            causal = "Causal" in (model.config.architectures or [""])[0] or model.config.model_type in ("llama", "qwen3")
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model = PeftModel.from_pretrained(model, adapter).eval()
            keys = [str(w.message)[:200] for w in caught if "missing" in str(w.message) or "unexpected" in str(w.message)]
            worst = 0
            for text, line in zip(TEXTS, lines):
                with torch.no_grad():
                    states = model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0]
                theirs = states[-1] if causal else states.mean(0)
                worst = max(worst, (theirs - torch.tensor(json.loads(line)["embedding"])).abs().max().item())
            bad = worst > 1e-4 or bool(keys) or type(model).__name__ != "PeftModelForFeatureExtraction"
            failed |= bad
            print(f"{method:10s} {type(model).__name__}, largest difference {worst:.1e} {'FAILED ' + str(keys) if bad else ''}", flush=True)
    sys.exit(failed)


main()
