#!/usr/bin/env python3
"""lowrank export writes the tensors that llama.cpp's converter writes, and lowrank reads the converter's file.

    convert_gguf_lora.py BUILD/lowrank LLAMA_CPP

LLAMA_CPP is llama.cpp's source folder (its convert_lora_to_gguf.py needs torch and transformers). The adapters are
trained for some steps on the tiny models of tests/fixtures. The converter knows one alpha for all modules, so patterns
and other scalings are compared in tests/peft/gguf_lora_test.cpp instead."""
import json
import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures")
TARGETS = {"tiny_llama/linear": "all-linear", "tiny_decoders/mistral": "q_proj,k_proj,embed_tokens,lm_head",
           "tiny_decoders/qwen2": "all-linear", "tiny_decoders/qwen3": "k_proj,o_proj,embed_tokens,lm_head",
           "tiny_decoders/gemma3": "all-linear"}


def tensors_of(path):
    return {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(path).tensors}


def keys_of(path):
    fields = gguf.GGUFReader(path).fields
    return {key: fields[key].contents() for key in ("general.type", "general.architecture", "adapter.type", "adapter.lora.alpha")}


def compare(program, converter, base, targets, folder):
    def run(*arguments):
        return subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def loss(adapter):
        return json.loads(run("evaluate", "--model", base, "--adapter", adapter, "--data", rows, "--dtype", "f32", "--json"))["loss"]

    rows, adapter, ours, theirs = (os.path.join(folder, name) for name in ("rows.jsonl", "adapter", "ours.gguf", "theirs.gguf"))
    with open(rows, "w") as file:
        for first in range(8):
            file.write(json.dumps({"input_ids": [(first * 7 + i * i) % 90 for i in range(12)]}) + "\n")
    run("train", "--model", base, "--data", rows, "--output", adapter, "--target-modules", targets, "--rank", "4", "--alpha", "10",
        "--steps", "5", "--lr", "0.01", "--dtype", "f32")
    run("export", "--model", base, "--adapter", adapter, "--output", ours)
    subprocess.run([sys.executable, os.path.join(converter, "convert_lora_to_gguf.py"), "--base", base, "--outfile", theirs, adapter],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert keys_of(ours) == keys_of(theirs), (keys_of(ours), keys_of(theirs))
    expected, written = tensors_of(theirs), tensors_of(ours)
    assert expected.keys() == written.keys(), expected.keys() ^ written.keys()
    for name, values in expected.items():
        assert values.dtype == written[name].dtype and np.array_equal(values, written[name]), name
    assert loss(theirs) == loss(adapter) == loss(ours)
    print(f"{os.path.relpath(base, FIXTURES)}: {len(expected)} tensors equal bit for bit, loss {loss(ours):.6f} with each of the three")


def main():
    for base, targets in TARGETS.items():
        with tempfile.TemporaryDirectory() as folder:
            compare(sys.argv[1], sys.argv[2], os.path.join(FIXTURES, base), targets, folder)


main()
