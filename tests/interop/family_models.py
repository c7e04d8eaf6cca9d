"""The tiny random models of all decoder families, and what both programs are asked about them.

The folders of tests/fixtures, each a checkpoint as transformers saves it; with LOWRANK_SHARED also those of golden/families, which
have the multimodal folders and all forms of RoPE scaling."""
import json
import os
import random
import subprocess
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
SHARED = os.environ.get("LOWRANK_SHARED")
RANK = 4


def decoder_folders():
    """Folders with weights, by name."""
    places = [FIXTURES / "tiny_llama", FIXTURES / "tiny_decoders", FIXTURES / "families"]
    if SHARED:
        places.append(Path(SHARED) / "golden" / "families")
    folders = {}
    for place in places:
        for config in sorted(place.glob("*/config.json")):
            folder = config.parent
            kind = json.loads(config.read_text())
            if (folder / "model.safetensors").exists() and kind["model_type"] not in ("modernbert", "xlm-roberta", "bert", "roberta"):
                folders[folder.name if place.name != "tiny_llama" else "llama_" + folder.name] = folder
    return folders


def text_config(folder):
    config = json.loads((folder / "config.json").read_text())
    return config.get("text_config") or config


def has_experts(folder):
    return any(text_config(folder).get(key) for key in ("num_experts", "num_local_experts"))


def write_rows(path, size, length=24):
    """Rows of ids below `size`, of which a model learns what follows what."""
    source = random.Random(0)
    rows = []
    for _ in range(12):
        first, step = source.randrange(size), source.randrange(1, 5)
        rows.append([(first + step * i) % size for i in range(length)])
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
    return rows


def run(*arguments):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"exit status {done.returncode}")
    return done.stdout


def train(program, model, rows, output, *options):
    run(program, "train", "--model", model, "--data", rows, "--output", output, "--rank", RANK, "--alpha", 8, "--steps", 12, "--lr", 0.02,
        "--batch-size", 4, "--dtype", "f32", "--seed", 1, "--threads", 1, *options)


def lowrank_loss(program, model, rows, adapter=None):
    more = ["--adapter", adapter] if adapter else []
    return json.loads(run(program, "evaluate", "--model", model, "--data", rows, "--dtype", "f32", "--threads", 1, "--json", *more))["loss"]
