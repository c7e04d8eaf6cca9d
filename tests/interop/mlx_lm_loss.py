#!/usr/bin/env python3
"""lowrank reads an adapter of mlx-lm: the same loss as mlx-lm's own, on the base and with the adapter.

    mlx_lm_loss.py BUILD/lowrank MODEL_FOLDER MLX_ADAPTER ROWS.jsonl

MODEL_FOLDER is a Hugging Face folder in F32, MLX_ADAPTER what `mlx_lm.lora --train --adapter-path` wrote, ROWS.jsonl holds
objects with input_ids and perhaps labels. Needs mlx-lm (`pip install 'mlx[cpu]' mlx-lm` on Linux)."""
import json
import subprocess
import sys

import mlx.core as mx
import mlx.nn as nn
from mlx_lm import load


def mlx_loss(rows, model_path, adapter=None):
    """Mean over the target tokens of -log p, as lowrank evaluate computes it."""
    model, _ = load(model_path, adapter_path=adapter)
    model.eval()
    total, count = 0.0, 0
    for row in rows:
        tokens, labels = row["input_ids"], row.get("labels", row["input_ids"])
        losses = nn.losses.cross_entropy(model(mx.array([tokens[:-1]])).astype(mx.float32), mx.array([tokens[1:]]))[0]
        wanted = mx.array([label != -100 for label in labels[1:]])
        total += mx.sum(losses * wanted).item()
        count += mx.sum(wanted).item()
    return total / count


def lowrank_loss(program, rows, model, adapter=None):
    arguments = ["--adapter", adapter] if adapter else []
    out = subprocess.run([program, "evaluate", "--model", model, "--data", rows, "--dtype", "f32", "--json", *arguments], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return json.loads(out)["loss"]


def main():
    program, model, adapter, path = sys.argv[1:]
    rows = [json.loads(line) for line in open(path)]
    losses = {}
    for name, chosen in (("base", None), ("adapter", adapter)):
        losses[name] = lowrank_loss(program, path, model, chosen), mlx_loss(rows, model, chosen)
        print(f"{name:8} lowrank {losses[name][0]:.5f}  mlx-lm {losses[name][1]:.5f}")
        assert abs(losses[name][0] - losses[name][1]) < 1e-3, "the losses differ"
    assert abs(losses["adapter"][0] - losses["base"][0]) > 0.01, "the adapter changes too little: this says nothing"


main()
