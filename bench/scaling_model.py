#!/usr/bin/env python3
"""What data parallel training would cost on 8 to 512 GPUs: bytes on the wire against compute. A model, not a measurement.

    bench/scaling_model.py [--gpus 8 64 512] [--tokens 8192] [--rank 16] ...

Assumptions, each an option:
- Forward and backward passes of frozen weights take 4 FLOP per weight and token (forward 2, gradient of the input 2; there is none of the
  weight), full fine-tuning 6. A GPU reaches `--mfu` of its peak.
- Each GPU computes `--tokens` tokens a step (its micro-batches together), then one all-reduce sums the gradient: f32 of the trained values for
  an adapter, as this program does, bf16 of all weights for full fine-tuning. Nothing overlaps with the backward pass, as in this program.
- A ring moves 2 (N - 1) / N times the gradient's bytes through each GPU's slowest link: `--machine-bandwidth` within a machine of
  `--machine` GPUs, `--network-bandwidth` per GPU between machines. A tree's latency is added: 2 log2(N) times `--latency`.
- Counts of target tokens, losses and the common decision to stop are three more all-reduces of at most 24 bytes, all latency.
- All GPUs are equally fast, and the base fits on each of them; a base that is split over GPUs is not modelled, as it is not supported.
"""
import argparse
import math

# Weights, layers, sum of in + out over a layer's adapted matrices (q, k, v, o, gate, up, down): Qwen 2.5 1.5B, Llama 3.1 8B, Llama 3.3 70B.
MODELS = {
    "1.5B": (1.5e9, 28, 2 * (1536 + 1536) + 2 * (1536 + 256) + 3 * (1536 + 8960)),
    "8B": (8.0e9, 32, 2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14336)),
    "70B": (70.6e9, 80, 2 * (8192 + 8192) + 2 * (8192 + 1024) + 3 * (8192 + 28672)),
}


def reduce_seconds(gpus, size, given):
    bandwidth = given.machine_bandwidth if gpus <= given.machine else given.network_bandwidth
    return 2 * (gpus - 1) / gpus * size / bandwidth + 2 * math.log2(gpus) * given.latency


def row(name, full, gpus, given):
    weights, layers, sides = MODELS[name]
    values = weights if full else given.rank * layers * sides
    compute = (6 if full else 4) * weights * given.tokens / (given.peak * given.mfu)
    size = values * (2 if full else 4)
    wire = reduce_seconds(gpus, size, given) + 3 * reduce_seconds(gpus, 24, given)
    return values, 2 * (gpus - 1) / gpus * size, compute, wire, compute / (compute + wire)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 16, 64, 256, 512])
    parser.add_argument("--tokens", type=float, default=8192, help="tokens per GPU and step")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--peak", type=float, default=989e12, help="FLOP/s of a GPU in bf16 (H100, H200: 989e12)")
    parser.add_argument("--mfu", type=float, default=0.4)
    parser.add_argument("--machine", type=int, default=8, help="GPUs per machine")
    parser.add_argument("--machine-bandwidth", type=float, default=350e9, help="bytes/s per GPU and direction that a ring reaches (NVLink)")
    parser.add_argument("--network-bandwidth", type=float, default=40e9, help="the same between machines (400 Gb/s per GPU)")
    parser.add_argument("--latency", type=float, default=15e-6, help="seconds per hop")
    given = parser.parse_args()
    print("| model | trained | GPUs | values | MB on the wire per GPU and step | compute | all-reduce | efficiency |")
    print("|---|---|---|---|---|---|---|---|")
    for name in MODELS:
        for full in (False, True):
            for gpus in given.gpus:
                values, wire_bytes, compute, wire, efficiency = row(name, full, gpus, given)
                print(f"| {name} | {'all weights' if full else f'LoRA, rank {given.rank}'} | {gpus} | {values / 1e6:.0f} M | "
                      f"{wire_bytes / 1e6:.0f} | {compute * 1e3:.0f} ms | {wire * 1e3:.1f} ms | {efficiency:.1%} |")


if __name__ == "__main__":
    main()
