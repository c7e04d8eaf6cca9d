#!/usr/bin/env python3
"""The gguf package opens what our writer writes and finds the same keys and tensors.

    open_gguf.py BUILD/tests/test_formats [MODEL.gguf]

With a model, our program also writes it again in each type that it writes; all keys must be those of the model, byte
for byte, and all tensors what the package makes of the model's: gguf.quantize(gguf.dequantize(tensor))."""
import os
import subprocess
import sys
import tempfile
import warnings

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

warnings.filterwarnings("ignore", category=RuntimeWarning)

KEYS = {"general.architecture": "written", "n.u8": 200, "n.i8": -100, "n.u16": 60000, "n.i16": -30000, "n.u32": 4000000000,
        "n.i32": -2000000000, "n.u64": 2**64 - 1, "n.i64": -(2**63), "n.f32": float(np.float32(0.1)), "n.f64": 0.1,
        "flag": True, "text": "naïve 😀", "texts": ["a", "", "ü"], "wholes": [1, -2, 3], "reals": [0.5, -0.25]}
TENSORS = {"norm": (T.F32, [5], 20), "matrix": (T.Q4_0, [64, 3], 108), "k": (T.Q6_K, [256, 1], 210),
           "four": (T.F16, [5, 3, 1, 2], 60), "ü": (T.BF16, [1], 2), "wholes": (T.I32, [2, 2], 16)}


def run(program, test, **variables):
    subprocess.run([program, f"--gtest_filter=GgufWriter.{test}"], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, **variables})


def keys_of(reader):
    """The fields of the file in their order; GGUF.* are counts and version."""
    return {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def open_written(program, path):
    run(program, "ForOtherReaders", LOWRANK_WRITE_GGUF=path)
    reader = gguf.GGUFReader(path)
    keys = keys_of(reader)
    assert list(keys) == list(KEYS), list(keys)
    for name, value in KEYS.items():
        assert keys[name].contents() == value, (name, keys[name].contents())
    assert [tensor.name for tensor in reader.tensors] == list(TENSORS)
    position = 0
    for tensor in reader.tensors:
        type, shape, size = TENSORS[tensor.name]
        assert (tensor.tensor_type, tensor.shape.tolist(), tensor.n_bytes) == (type, shape, size), tensor
        expected = (np.arange(position, position + size) % 256).astype(np.uint8)
        assert np.array_equal(np.ascontiguousarray(tensor.data).view(np.uint8).ravel(), expected), tensor.name
        position += size
    print(f"{len(KEYS)} keys and {len(TENSORS)} tensors written by lowrank read by the gguf package")


def compare_copy(program, model, path, type):
    run(program, "CopyForOtherReaders", LOWRANK_WRITE_GGUF=path, LOWRANK_COPY_GGUF=model, LOWRANK_COPY_TYPE=str(int(type)))
    original, copy = gguf.GGUFReader(model), gguf.GGUFReader(path)
    keys, copied = keys_of(original), keys_of(copy)
    assert list(keys) == list(copied)
    for name, field in keys.items():
        assert all(np.array_equal(a, b) for a, b in zip(field.parts, copied[name].parts, strict=True)), name
    values = 0
    for ours, theirs in zip(copy.tensors, original.tensors, strict=True):
        assert ours.name == theirs.name and ours.shape.tolist() == theirs.shape.tolist(), (ours, theirs)
        block = gguf.GGML_QUANT_SIZES[type][0]
        expected_type = type if ours.shape[0] % block == 0 else T.F32
        assert ours.tensor_type == expected_type, ours
        # A few rows at a time: an embedding in f32 takes much memory.
        ours_rows, their_rows = (np.atleast_2d(t.data) for t in (ours, theirs))
        for start in range(0, len(their_rows), 4096):
            rows = gguf.dequantize(their_rows[start:start + 4096], theirs.tensor_type)
            expected = np.ascontiguousarray(gguf.quantize(rows, expected_type)).view(np.uint8)
            written = np.ascontiguousarray(ours_rows[start:start + 4096]).view(np.uint8)
            assert np.array_equal(written, expected), (ours.name, start)
            values += rows.size
    types = sorted({tensor.tensor_type.name for tensor in original.tensors})
    print(f"{model} ({', '.join(types)}) as {type.name}: {len(keys)} keys, {len(copy.tensors)} tensors, {values} values equal")


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "written.gguf")
        open_written(sys.argv[1], path)
        for model in sys.argv[2:]:
            for type in (T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1):
                compare_copy(sys.argv[1], model, path, type)


main()
