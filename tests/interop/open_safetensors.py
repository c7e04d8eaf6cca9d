#!/usr/bin/env python3
"""The safetensors package (numpy and torch) opens what our writer writes and finds the same tensors.

    open_safetensors.py BUILD/tests/test_formats"""
import os
import subprocess
import sys
import tempfile

import torch
from safetensors import safe_open
from safetensors.torch import load_file

SHAPES = {"wide": (torch.float64, [2]), "base_model.model.x.lora_A.weight": (torch.float32, [2, 3]),
          "scalar": (torch.int64, []), "empty": (torch.float16, [0, 5]), 'ü"\\\n': (torch.bfloat16, [3]),
          "flags": (torch.bool, [1])}


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "written.safetensors")
        subprocess.run([sys.argv[1], "--gtest_filter=SafetensorsWriter.ForOtherReaders"], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "LOWRANK_WRITE_SAFETENSORS": path})
        with safe_open(path, "pt") as file:
            assert file.metadata() == {"format": "pt", "note": "ü\n"}, file.metadata()
            assert set(file.keys()) == set(SHAPES), list(file.keys())
        tensors = load_file(path)
        position = 0
        for name, (dtype, shape) in SHAPES.items():
            tensor = tensors[name]
            assert tensor.dtype == dtype and list(tensor.shape) == shape, (name, tensor)
            data = tensor.reshape(-1).view(torch.uint8).tolist() if tensor.numel() else []
            expected = [1] if name == "flags" else list(range(position, position + len(data)))
            assert data == expected, (name, data)
            position += len(data)
    print(f"{len(SHAPES)} tensors written by lowrank read by the safetensors package")


main()
