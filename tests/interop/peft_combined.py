"""PEFT loads what `lowrank adapters combine` wrote, and its updates are those of PEFT's own add_weighted_adapter.

    python peft_combined.py LOWRANK FIXTURES

Runs every case of FIXTURES/combined/expected.json (tests/fixtures/make_combined.py). Needs torch, transformers and peft from PyPI. Fails
when an entry of an update differs by more than 3e-6. Where the first adapter has rsLoRA, PEFT's result is divided by sqrt(r), by which
PEFT scales it once more.
"""

import json
import os
import subprocess
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM

FLAGS = {"density": "--density", "svd_rank": "--rank", "svd_clamp": "--svd-clamp", "majority_sign_method": "--majority-sign-method"}


def updates(model, adapter):
    return {name: layer.get_delta_weight(adapter).detach() for name, layer in model.base_model.model.named_modules()
            if isinstance(layer, LoraLayer) and (adapter in layer.lora_A or adapter in layer.lora_embedding_A)}


def main():
    lowrank, fixtures = sys.argv[1:3]

    def base():
        return AutoModelForCausalLM.from_pretrained(os.path.join(fixtures, "tiny_llama/linear"), dtype=torch.float32)

    cases = json.load(open(os.path.join(fixtures, "combined/expected.json")))["cases"]
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        for case, expected in cases.items():
            paths = {name: os.path.join(fixtures, "combined", name) for name in expected["adapters"]}
            output, options, weights = os.path.join(work, case), expected["options"], expected["weights"]
            command = [lowrank, "adapters", "combine", "--type", options["combination_type"], "--output", output,
                       "--weights", ",".join(map(str, weights))]
            for name, path in paths.items():
                command += ["--adapter", f"{name}={path}"]
            for key, flag in FLAGS.items():
                command += [flag, str(options[key])] if key in options else []
            subprocess.run(command, check=True, capture_output=True)
            model = None
            for name, path in paths.items():
                if model is None:
                    model = PeftModel.from_pretrained(base(), path, adapter_name=name)
                else:
                    model.load_adapter(path, adapter_name=name)
            model.add_weighted_adapter(list(paths), weights, "combined", **options)
            config = model.peft_config["combined"]
            wanted, found = updates(model, "combined"), updates(PeftModel.from_pretrained(base(), output), "default")
            scale = config.r ** 0.5 if config.use_rslora else 1
            same = set(wanted) == set(found)
            difference = max((found[name] - wanted[name] / scale).abs().max().item() for name in wanted) if same else float("inf")
            print(f"{case:20} {difference:.1e}", flush=True)
            wrong += difference > 3e-6
    sys.exit(f"{wrong} of {len(cases)} combinations differ" if wrong else 0)


if __name__ == "__main__":
    main()
