"""AdapterHub's `adapters` loads what lowrank trained, with the same loss.

    python adapterhub_methods.py LOWRANK MODEL_FOLDER [METHOD...]

For each method of bottleneck adapters: 5 steps of 4 rows in f32, then the loss of 16 rows by `lowrank evaluate` and by `adapters` on
transformers' model; rows are random token ids. Needs torch, safetensors, adapters 1.3.0 and transformers 4.57 with its
huggingface_hub (below 1.0) from PyPI. Fails when a loss differs by more than 1e-4, or keys do not fit.

`adapters` 1.3.0 writes no safetensors of lin_adapter itself (its norm stands there under two names), but reads ours.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import adapters
import adapters.composition as composition
import torch
from transformers import AutoModelForCausalLM

METHODS = ["houlsby", "pfeiffer", "lin_adapter", "parallel_adapter", "plain_adapter", "compacter", "compacter_pp", "adapter_fusion"]


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stderr}")
    return done.stdout


def loss_of(model, rows):
    total = count = 0
    with torch.no_grad():
        for ids in rows:
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].float()
            total += torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum").item()
            count += len(ids) - 1
    return total / count


def load(folder, base, method):
    """The model with the adapter, and the keys that its files lack or have too many."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    adapters.init(model)
    info = {}
    if method != "adapter_fusion":
        name = model.load_adapter(str(folder), with_head=False, loading_info=info, use_safetensors=True)
        model.set_active_adapters(name)
    else:
        names = json.loads((folder / "adapter_fusion_config.json").read_text())["adapter_names"]
        for name in names:
            model.load_adapter(str(folder / name), with_head=False, use_safetensors=True)
        model.load_adapter_fusion(str(folder), use_safetensors=True)
        model.set_active_adapters(composition.Fuse(*names))
    odd = [key for key in info.get("unexpected_keys", [])]
    odd += [key for key in info.get("missing_keys", []) if "adapter" in key]
    return model.eval(), odd


def main():
    program, base = sys.argv[1], Path(sys.argv[2])
    methods = sys.argv[3:] or METHODS
    vocabulary = json.loads((base / "config.json").read_text())["vocab_size"]
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(vocabulary, (12 + i % 5,), generator=generator).tolist() for i in range(16)]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "rows.jsonl"
        data.write_text("".join(json.dumps({"input_ids": ids, "labels": ids}) + "\n" for ids in rows))

        def train(method, output, *more):
            run(program, "train", "--model", str(base), "--data", str(data), "--output", str(output), "--method", method, "--steps", "5",
                "--batch-size", "4", "--dtype", "f32", "--lr", "1e-2", *more)

        plain = json.loads(run(program, "evaluate", "--model", str(base), "--data", str(data), "--dtype", "f32", "--json"))["loss"]
        for method in methods:
            adapter = Path(folder) / method
            more = []
            if method == "adapter_fusion":
                members = [Path(folder) / name for name in ("one", "two")]
                for seed, member in enumerate(members):
                    train("pfeiffer", member, "--adapter-name", member.name, "--seed", str(seed))
                more = ["--members", ",".join(map(str, members))]
            train(method, adapter, *more)
            ours = json.loads(run(program, "evaluate", "--model", str(base), "--adapter", str(adapter), "--data", str(data), "--dtype", "f32", "--json"))["loss"]
            model, odd = load(adapter, base, method)
            theirs = loss_of(model, rows)
            bad = abs(ours - theirs) > 1e-4 or bool(odd) or abs(ours - plain) < 1e-3
            failed |= bad
            print(f"{method:16s} base {plain:.6f}  lowrank {ours:.6f}  adapters {theirs:.6f}  difference {abs(ours - theirs):.1e} "
                  f"{'FAILED ' + str(odd) if bad else ''}", flush=True)
    sys.exit(failed)


main()
