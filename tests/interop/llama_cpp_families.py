#!/usr/bin/env python3
"""llama.cpp's loss moves with our adapter on a tiny model of each decoder family as lowrank's does.

    llama_cpp_families.py BUILD/lowrank [NAME...]

For each model: the GGUF file that `lowrank convert` writes (F32), and with LOWRANK_SHARED those that llama.cpp's converter wrote; 12 steps of
LoRA on all linear layers; the GGUF LoRA of `lowrank export` and the file of `lowrank merge`. Fails where llama.cpp's change of the loss with
either is not ours. Each file is loaded in a
process of its own, since some crash llama.cpp. What lowrank does not write and what llama.cpp does not load is listed with the reason."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from family_models import SHARED, decoder_folders, lowrank_loss, run, text_config, train, write_rows

# Largest difference of the changes as a share of the change. llama.cpp rounds activations to 8 bits beside quantised weights.
RELATIVE, QUANTISED = 1e-3, 1e-2
# Why there is no file, as far as GGUF itself is the reason.
BANDS = "is not Llama 3.1's scaling"
EXPECTED = {"llama_bf16": BANDS, "llama_llama3": BANDS, "llama31": BANDS, "llama_llama3.gguf": BANDS, "llama_dynamic": "dynamic"}


def llama_loss(model, rows, lora=None):
    """In this process."""
    import llama_cpp
    import numpy as np
    defaults = llama_cpp.llama_model_default_params

    def without_repacked_weights():  # as in llama_cpp_loss.py
        parameters = defaults()
        parameters.use_extra_bufts = False
        return parameters

    llama_cpp.llama_cpp.llama_model_default_params = without_repacked_weights
    llama = llama_cpp.Llama(model_path=model, lora_path=lora, n_ctx=len(rows[0]), n_threads=1, n_threads_batch=1, logits_all=True, verbose=False,
                            type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32)
    total = count = 0
    for ids in rows:
        llama.reset()
        llama.eval(ids)
        logits = llama.scores[:len(ids) - 1].astype(np.float64)
        log_sum = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
        total += (log_sum - logits[np.arange(len(ids) - 1), ids[1:]]).sum()
        count += len(ids) - 1
    return total / count


def their_loss(model, rows, lora=None):
    """In another process."""
    done = subprocess.run([sys.executable, __file__, "--loss", str(model), str(rows), str(lora or "")], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(f"llama.cpp ends with {done.returncode}: {lines[-1][:200] if lines else 'no message'}")
    return json.loads(done.stdout.splitlines()[-1])


def written_by(program, folder, path):
    run(program, "convert", folder, "--type", "f32", "--output", path, "--no-check")
    return path


def gguf_bases(program, work):
    """What makes the file of each model, by name."""
    bases = {name: (lambda folder=folder, name=name: written_by(program, folder, work / f"{name}.gguf"))
             for name, folder in decoder_folders().items()}
    if SHARED:
        for path in sorted((Path(SHARED) / "golden" / "families" / "gguf").glob("*.gguf")):
            if "bert" not in path.name:
                bases[path.name] = lambda path=path: path
    return bases


def described(path):
    """Architecture, size of the vocabulary, length of the rows, tolerance."""
    import gguf
    reader = gguf.GGUFReader(path)

    def value(key, otherwise):
        field = reader.fields.get(key)
        return field.contents() if field else otherwise

    architecture = value("general.architecture", "")
    quantised = any(tensor.tensor_type != gguf.GGMLQuantizationType.F32 for tensor in reader.tensors)
    tolerance = QUANTISED if quantised else RELATIVE
    # llama.cpp chooses longrope's factors by its context, lowrank by the text: both long here.
    longrope = any(tensor.name == "rope_factors_long.weight" for tensor in reader.tensors)
    length = 24 + (value(f"{architecture}.rope.scaling.original_context_length", 0) if longrope else 0)
    return architecture, value(f"{architecture}.vocab_size", 64), length, tolerance


def check(program, name, base, work):
    """The cells of the model's line in the table."""
    path = work / f"{name}.jsonl"
    architecture, size, length, tolerance = described(base)
    rows = write_rows(path, size, length)
    adapter, lora, merged = (work / f"{name}{end}" for end in ("-adapter", "-lora.gguf", "-merged.gguf"))
    without = ["--exclude-modules", "per_layer_model_projection"] if architecture == "gemma4" else []
    train(program, base, path, adapter, "--target-modules", "all-linear", *without)
    run(program, "export", "--model", base, "--adapter", adapter, "--output", lora)
    run(program, "merge", "--model", base, "--adapter", adapter, "--output", merged, "--merged-type", "f32")
    ours = [lowrank_loss(program, base, path), lowrank_loss(program, base, path, adapter), lowrank_loss(program, base, path, lora),
            lowrank_loss(program, merged, path)]
    change = ours[1] - ours[0]
    assert abs(change) > 0.1, "the adapter changes too little: this says nothing"
    assert abs(ours[2] - ours[1]) < 1e-5 and abs(ours[3] - ours[1]) < 1e-4, f"lowrank's own losses differ: {ours}"
    theirs = [their_loss(base, path), their_loss(base, path, lora), their_loss(merged, path)]
    off = [abs(loss - theirs[0] - change) / abs(change) for loss in theirs[1:]]
    good = max(off) <= tolerance
    figures = (ours[0], theirs[0], change, theirs[1] - theirs[0], theirs[2] - theirs[0])
    return good, [f"{architecture:9}", *(f"{value:9.5f}" for value in figures), "" if good else f"FAILED: off by {off[0]:.1e}, {off[1]:.1e}"]


def main():
    if sys.argv[1] == "--loss":
        rows = [json.loads(line)["input_ids"] for line in open(sys.argv[3])]
        print(json.dumps(llama_loss(sys.argv[2], rows, sys.argv[4] or None)))
        return
    program, names = sys.argv[1], sys.argv[2:]
    failed = []
    print(f"{'':20} {'':9} {'loss of the base':19}  {'change of the loss':19}")
    print(f"{'model':20} {'file':9} {'lowrank':>9} {'llama.cpp':>9} {'lowrank':>9} {'LoRA':>9} {'merged':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, base in gguf_bases(program, Path(folder)).items():
            if names and name not in names:
                continue
            try:
                good, cells = check(program, name, base(), Path(folder))
                print(f"{name:20} {' '.join(cells)}", flush=True)
            except Exception as error:
                expected = EXPECTED.get(name)
                good = expected is not None and expected in str(error)
                print(f"{name:20} {'skipped' if good else 'FAILED'}: {str(error)[-300:]}", flush=True)
            if not good:
                failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


main()
