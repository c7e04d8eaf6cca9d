#!/usr/bin/env python3
"""Training on a GPU: lowrank, PEFT, and PEFT with Liger's kernels, in turn (A B C A B C) on the same random rows.

    gpu_train.py LOWRANK [--shape llama-3.2-3b] [--batch-sizes 4,16] [--tokens 1024] [--steps 12] [--rounds 3] [--rank 32]
                 [--device cuda] [--contenders lowrank,peft,liger] [--output bench/results/NAME.json]

A model folder of the shape is made with random bf16 weights; all rows have `--tokens` random tokens, all of which are learned;
LoRA is on all linear layers. Figures: tokens a second (medians of the steps after the fourth, then of the rounds), the peak of
the GPU's memory in use by all programs while each one runs (sampled ten times a second), and the share of the GPU's bf16 peak
that the products of a step take: 6 operations per frozen weight and token less the 2 of the frozen weights' own gradients, with
the head, without attention. The interpreter needs torch, transformers, peft, safetensors, and liger_kernel for `liger`.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile, threading, time

SHAPES = {  # of a LlamaForCausalLM
    "llama-3.2-3b": dict(vocab_size=128256, hidden_size=3072, intermediate_size=8192, num_hidden_layers=28, num_attention_heads=24,
                         num_key_value_heads=8, head_dim=128, tie_word_embeddings=True, rope_theta=500000.0),
    "tiny": dict(vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, head_dim=16, tie_word_embeddings=True),
}
# bf16 operations a second without sparsity, from NVIDIA's data sheets.
PEAKS = {"A100": 312e12, "L4": 121e12, "L40S": 362e12, "H100": 989e12, "H200": 989e12, "B200": 2250e12, "RTX 4090": 165e12}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SKIPPED = 4  # steps that warm up


def make_model(shape, folder):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(0)
    config = LlamaConfig(max_position_embeddings=8192, rms_norm_eps=1e-5, bos_token_id=0, eos_token_id=1, **SHAPES[shape])
    with torch.device("cpu"):
        torch.set_default_dtype(torch.bfloat16)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    frozen = sum(p.numel() for name, p in model.named_parameters() if "norm" not in name)
    return frozen  # a tied embedding is the head, which is multiplied


def make_rows(path, vocabulary, count, tokens):
    import random
    rng = random.Random(0)
    with open(path, "w") as out:
        for _ in range(count):
            out.write(json.dumps({"input_ids": [rng.randrange(2, vocabulary) for _ in range(tokens)]}) + "\n")


class MemoryWatch:
    """The peak of the GPU's memory in use, less what was in use before."""

    def __init__(self, device):
        self.device, self.peak, self.stopped = device, 0, threading.Event()
        self.before = self.used()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def used(self):
        if not self.device.startswith("cuda"):
            return 0
        number = self.device.partition(":")[2] or "0"
        text = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", number],
                              capture_output=True, text=True, check=True).stdout
        return int(text) << 20

    def watch(self):
        while not self.stopped.wait(0.1):
            self.peak = max(self.peak, self.used() - self.before)

    def stop(self):
        self.stopped.set()
        self.thread.join()
        return self.peak


def run_lowrank(args, model, rows, batch, folder):
    out = os.path.join(folder, "lowrank")
    subprocess.run([args.lowrank, "train", "--model", model, "--data", rows, "--output", out, "--overwrite", "--steps", str(args.steps),
                    "--batch-size", str(batch), "--method", "lora", "--rank", str(args.rank), "--alpha", str(2 * args.rank),
                    "--target-modules", ",".join(TARGETS), "--lr", "1e-4", "--schedule", "constant", "--warmup", "0", "--dtype", "bf16",
                    "--no-shuffle", "--device", args.device], check=True, stderr=subprocess.PIPE)
    return [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]


def run_peft(args, model, rows, batch, folder, liger=False):
    out = os.path.join(folder, "peft.jsonl")
    subprocess.run([sys.executable, os.path.abspath(__file__), "--as-peft", model, rows, str(batch), out, args.device, str(args.rank),
                    str(args.steps), "liger" if liger else "peft"], check=True, stderr=subprocess.PIPE)
    return [json.loads(line) for line in open(out)]


def as_peft(model, rows, batch, out, device, rank, steps, kind):
    """One run with PEFT, in a process of its own."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    if kind == "liger":
        from liger_kernel.transformers import apply_liger_kernel_to_llama
        apply_liger_kernel_to_llama()
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, attn_implementation="sdpa").to(device)
    base.config.use_cache = False
    adapted = get_peft_model(base, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM"))
    adapted.train()
    trained = [p for p in adapted.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0, fused=device.startswith("cuda"))
    tokens = [json.loads(line)["input_ids"] for line in open(rows)]
    with open(out, "w") as lines:
        for step in range(steps):
            ids = torch.tensor(tokens[step * batch:(step + 1) * batch])
            started = time.perf_counter()
            ids = ids.to(device)
            loss = adapted(input_ids=ids, labels=ids).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            value = loss.item()
            lines.write(json.dumps({"step": step + 1, "loss": value, "tokens": ids.numel(), "seconds": time.perf_counter() - started}) + "\n")


def gpu_name(device):
    if not device.startswith("cuda"):
        return "cpu"
    import torch
    return torch.cuda.get_device_name(torch.device(device))


def measure(args, folder, frozen, model):
    runners = {"lowrank": run_lowrank, "peft": run_peft, "liger": lambda *all: run_peft(*all, liger=True)}
    name = gpu_name(args.device)
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    results = {"device": name, "shape": args.shape, "tokens": args.tokens, "rank": args.rank, "batches": {}}
    for batch in map(int, args.batch_sizes.split(",")):
        rows = os.path.join(folder, f"rows{batch}.jsonl")
        make_rows(rows, SHAPES[args.shape]["vocab_size"], batch * args.steps, args.tokens)
        found = {contender: [] for contender in args.contenders.split(",")}
        for _ in range(args.rounds):
            for contender, runs in found.items():
                watch = MemoryWatch(args.device)
                try:
                    steps = [s for s in runners[contender](args, model, rows, batch, folder) if "seconds" in s]
                finally:
                    memory = watch.stop()
                speed = statistics.median(s["tokens"] / s["seconds"] for s in steps[SKIPPED:])
                runs.append({"tokens_per_second": speed, "memory": memory, "first_loss": steps[0]["loss"], "last_loss": steps[-1]["loss"]})
        table = results["batches"][str(batch)] = {}
        for contender, runs in found.items():
            row = table[contender] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            row["share_of_peak"] = 4 * frozen * row["tokens_per_second"] / peak if peak else None
            ratios = [run["tokens_per_second"] / other["tokens_per_second"] for run, other in zip(found["lowrank"], runs)]
            row["lowrank_is"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
            share = f", {row['share_of_peak']:.0%} of the peak" if peak else ""
            print(f"{name} batch {batch:3d} {contender:8s} {row['tokens_per_second']:9.0f} tokens/s, {row['memory'] / 1e9:6.2f} GB{share}, "
                  f"loss {row['first_loss']:.4f} to {row['last_loss']:.4f}; lowrank is {row['lowrank_is']['median']:.2f} times "
                  f"as fast ({row['lowrank_is']['min']:.2f} to {row['lowrank_is']['max']:.2f})", flush=True)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lowrank")
    parser.add_argument("--shape", choices=SHAPES, default="llama-3.2-3b")
    parser.add_argument("--batch-sizes", default="4,16")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--contenders", default="lowrank,peft,liger", help="lowrank first")
    parser.add_argument("--output")
    args = parser.parse_args()
    if args.steps <= SKIPPED:
        sys.exit(f"--steps: more than {SKIPPED}, which warm up")
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        frozen = make_model(args.shape, model)
        results = measure(args, folder, frozen, model)
    if args.output:
        os.makedirs(os.path.dirname(os.path.abspath(args.output)), exist_ok=True)
        with open(args.output, "w") as out:
            json.dump(results, out, indent=1)


if sys.argv[1:2] == ["--as-peft"]:
    path, data, size, target, where, r, count, kind = sys.argv[2:]
    as_peft(path, data, int(size), target, where, int(r), int(count), kind)
else:
    main()
