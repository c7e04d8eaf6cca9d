#!/usr/bin/env python3
"""llama.cpp reads what `lowrank convert` writes: the loss and the token ids are lowrank's own on the folder.

    llama_cpp_convert.py BUILD/lowrank MODEL_FOLDER ROWS.jsonl

ROWS.jsonl holds objects with input_ids. Needs llama-cpp-python and numpy."""
import json
import os
import subprocess
import sys
import tempfile

import llama_cpp
import numpy as np

# Largest difference of the losses: llama.cpp rounds activations to 8 bits beside quantised weights.
TOLERANCES = {"f32": 1e-3, "f16": 5e-3, "bf16": 0.05, "q8_0": 0.05, "q4_k": 0.5}
TEXTS = ["Hello, World! 12345", "  two spaces\n\n\tand a tab", "naïve café, 日本語, 👩‍👩‍👧"]
DEFAULTS = llama_cpp.llama_model_default_params


def without_repacked_weights():
    """As in llama_cpp_loss.py: AMX, for which llama.cpp repacks weights, crashes where the system does not grant it."""
    parameters = DEFAULTS()
    parameters.use_extra_bufts = False
    return parameters


llama_cpp.llama_cpp.llama_model_default_params = without_repacked_weights


def llama_loss(llama, rows):
    """Mean over all tokens but the first of -log p."""
    total, count = 0.0, 0
    for tokens in rows:
        llama.reset()
        llama.eval(tokens)
        logits = llama.scores[:len(tokens) - 1].astype(np.float64)
        log_sum = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
        total += (log_sum - logits[np.arange(len(tokens) - 1), tokens[1:]]).sum()
        count += len(tokens) - 1
    return total / count


def answer(program, *words):
    return subprocess.run([program, *words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def main():
    program, folder, rows_path = sys.argv[1:]
    rows = [json.loads(line)["input_ids"] for line in open(rows_path)]
    with tempfile.TemporaryDirectory() as out:
        plain = os.path.join(out, "rows.jsonl")  # without labels, so that all tokens count
        with open(plain, "w") as file:
            file.writelines(json.dumps({"input_ids": tokens}) + "\n" for tokens in rows)
        ours = json.loads(answer(program, "evaluate", "--model", folder, "--data", plain, "--dtype", "f32", "--json"))["loss"]
        for type, tolerance in TOLERANCES.items():
            path = os.path.join(out, type + ".gguf")
            answer(program, "convert", folder, "--type", type, "--output", path)
            llama = llama_cpp.Llama(model_path=path, n_ctx=max(map(len, rows)), logits_all=True, verbose=False,
                                    type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32)
            theirs = llama_loss(llama, rows)
            print(f"{type:5} {os.path.getsize(path):12} bytes: loss {theirs:.5f} in llama.cpp, {ours:.5f} of the folder")
            assert abs(theirs - ours) < tolerance, "the losses differ"
            for text in TEXTS:
                ids = json.loads(answer(program, "tokenize", "--model", folder, "--text", text, "--json"))
                assert llama.tokenize(text.encode(), add_bos=False, special=True) == ids, text
            llama.close()
            os.remove(path)


main()
