"""Speed of `lowrank tokenize` against Hugging Face's tokenizers on one thread, in turn, on the same lines.

    python bench/tokenizer_speed.py LOWRANK MODEL FILE [--reference FOLDER_OR_GGUF] [--rounds 5]

FILE is plain text, a text a line. Loading is left out on both sides: it is timed with an empty file and subtracted
from ours, and not counted for the reference. Needs transformers, tokenizers and gguf from PyPI.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

from transformers import AutoTokenizer


def ours(program, model, path):
    start = time.perf_counter()
    subprocess.run([program, "tokenize", "--model", model, "--data", path, "--lines", "--json"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    model = Path(arguments.model)
    if model.is_file():
        reference = AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name)
    else:
        reference = AutoTokenizer.from_pretrained(model)
    backend = reference.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    text = arguments.file.read_text(encoding="utf-8")
    lines = text.split("\n")
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one.txt"
        one.write_text("a\n")
        ratios = []
        for _ in range(arguments.rounds):
            load = min(ours(arguments.program, arguments.model, str(one)) for _ in range(3))
            mine = ours(arguments.program, arguments.model, str(arguments.file)) - load
            start = time.perf_counter()
            for encoding in backend.encode_batch_fast(lines, add_special_tokens=False):
                encoding.ids
            theirs = time.perf_counter() - start
            ratios.append(theirs / mine)
            print(f"load {load:.2f} s; {len(text.encode()) / mine / 1e6:6.1f} MB/s against {len(text.encode()) / theirs / 1e6:6.1f} MB/s: "
                  f"x{ratios[-1]:.2f}")
        print(f"median x{statistics.median(ratios):.2f}")


main()
