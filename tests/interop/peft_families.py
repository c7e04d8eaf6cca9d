#!/usr/bin/env python3
"""PEFT loads the LoRA that lowrank trains on a tiny model of each family, and the loss is the same.

    peft_families.py BUILD/lowrank [NAME...]

For each model, with the default targets, with all-linear and, where there are experts, with the experts' parameters: 12 steps in f32, then the
loss of the rows, with and without the adapter, by `lowrank evaluate` and by PEFT on transformers' model (eager attention, each row
alone). Fails where a loss differs by more than 1e-4, or PEFT finds keys that do not fit. A model or an adapter that transformers or PEFT cannot
load is listed with the reason."""
import json
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from family_models import decoder_folders, has_experts, lowrank_loss, text_config, train, write_rows

TOLERANCE = 1e-4
# Sums of the recurrence are small before they are normalised: transformers itself is 1e-4 to 2e-4 from f64.
WIDE = {"qwen3_5_text": 5e-4}
# What PEFT cannot load: part of its message, and the reason.
UNLOADABLE = {("qwen3_moe", "all-linear"): ("mlp.experts", "PEFT takes the names of a dense MLP for those of experts")}
EXPERTS = "experts.gate_up_proj,experts.down_proj"


def losses_of(model, rows):
    total = count = 0
    with torch.no_grad():
        for ids in rows:
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].double()
            total += torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum").item()
            count += len(ids) - 1
    return total / count


def base_model(folder):
    """The class that has the file's names: of a multimodal folder the one with all parts."""
    multimodal = "text_config" in json.loads((folder / "config.json").read_text())
    kind = AutoModelForImageTextToText if multimodal else AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def peft_loss(folder, adapter, rows):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base_model(folder), adapter).eval()
    unfit = [str(w.message)[:300] for w in caught if "missing" in str(w.message) or "unexpected" in str(w.message)]
    if unfit:
        raise RuntimeError(unfit[0])
    return losses_of(model, rows)


def shown(name, targets, *figures):
    print(f"{name:20} {targets:12} {'  '.join(figures)}", flush=True)


def check(program, name, folder, work):
    path = work / f"{name}.jsonl"
    rows = write_rows(path, text_config(folder)["vocab_size"])
    tolerance = WIDE.get(text_config(folder)["model_type"], TOLERANCE)
    ours = lowrank_loss(program, folder, path)
    theirs = losses_of(base_model(folder), rows)
    shown(name, "base", f"{ours:9.5f}", f"{theirs:9.5f}", f"{abs(ours - theirs):.1e}", "" if abs(ours - theirs) < tolerance else "FAILED")
    good = abs(ours - theirs) < tolerance
    kinds = {"default": [], "all-linear": ["--target-modules", "all-linear"]}
    if has_experts(folder):
        kinds["experts"] = ["--target-parameters", EXPERTS]
    for kind, options in kinds.items():
        adapter = work / f"{name}-{kind}"
        train(program, folder, path, adapter, *options)
        with_ours = lowrank_loss(program, folder, path, adapter)
        try:
            with_theirs = peft_loss(folder, adapter, rows)
        except RuntimeError as error:
            part, reason = UNLOADABLE.get((name, kind), (None, None))
            if not part or part not in str(error):
                raise
            shown(name, kind, f"{with_ours:9.5f}", f"skipped: {reason}")
            continue
        fits = abs(with_ours - with_theirs) < tolerance and abs(with_ours - ours) > 100 * TOLERANCE
        good &= fits
        shown(name, kind, f"{with_ours:9.5f}", f"{with_theirs:9.5f}", f"{abs(with_ours - with_theirs):.1e}", "" if fits else "FAILED")
    return good


def main():
    program, names = sys.argv[1], sys.argv[2:]
    failed = []
    print(f"{'model':20} {'targets':12} {'lowrank':>9}  {'PEFT':>9}  difference of the losses")
    with tempfile.TemporaryDirectory() as folder:
        for name, model in decoder_folders().items():
            if names and name not in names:
                continue
            try:
                if not check(program, name, model, Path(folder)):
                    failed.append(name)
            except Exception as error:
                shown(name, "", f"FAILED: {type(error).__name__}: {str(error)[:400]}")
                failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


main()
