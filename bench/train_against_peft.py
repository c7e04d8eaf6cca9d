#!/usr/bin/env python3
"""Training speed and memory of lowrank and PEFT, measured in turn (A B A B) on the same rows in the same order.

    train_against_peft.py LOWRANK MODEL.gguf [--data meaning-text.txt] [--rounds 3] [--steps 20] [--targets all-linear]
                          [--cpu avx2|avx512] [--base-memory auto|fast|one|small] [--output results.json]
                          [--compare results.json]

`--data`: a file of `meaning||text` lines (the E2E set's form), or JSON lines of prompt and completion or of question and
answer; without it rows of similar length are made up. Figures: non-padding tokens a second over the steps after the third
(medians over steps, then rounds), the peak resident memory of the process, and what it takes beside its steps (start and
end). `--compare`: ratios of an earlier run, as `--output` wrote them; says where one got worse by more than a tenth, and
fails. `--cpu`: both run as on a processor that has no more, through their environment: lowrank with LOWRANK_CPU, which
sets for it what PEFT's process gets here: ONEDNN_MAX_CPU_ISA, MKL_ENABLE_INSTRUCTIONS (MKL obeys on Intel's processors
only) and ATEN_CPU_CAPABILITY. What the caller set of these is taken away. Where the processor has less than the level,
the run fails. The interpreter that runs this needs torch, transformers, peft and gguf.
"""
import argparse, json, os, random, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
# As library_limits in src/base/cpu_features.cpp.
LIMITS = {"avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
          "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512", "ATEN_CPU_CAPABILITY": "avx512"}}


def environment(cpu, more):
    """This process's, held to a level; None: as it is."""
    if cpu is None:
        return None
    own = {"LOWRANK_CPU", *LIMITS[cpu]}
    return {name: value for name, value in os.environ.items() if name not in own} | more


def require_level(cpu):
    needed = {"avx2": {"avx2", "fma"}, "avx512": {"avx512f", "avx512bw", "avx512vl", "avx512dq"}}[cpu]
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "").split()
    if not needed <= set(flags):
        sys.exit(f"--cpu {cpu}: this processor has none")


def write_rows(source, path):
    rows = []
    if source is None:
        rng = random.Random(0)
        words = "the a quiet small old restaurant near river city centre serves good cheap food with friendly staff".split()
        for _ in range(400):
            rows.append({"prompt": "name : " + " ".join(rng.choices(words, k=rng.randint(12, 30))) + "\n",
                         "completion": " ".join(rng.choices(words, k=rng.randint(12, 30)))})
    else:
        for line in open(source, encoding="utf-8"):
            if source.endswith(".jsonl"):
                row = json.loads(line)
                if "question" in row:
                    row = {"prompt": row["question"] + "\n", "completion": row["answer"]}
                rows.append(row)
            elif "||" in line:
                meaning, text = line.rstrip("\n").split("||")
                rows.append({"prompt": meaning.strip() + "\n", "completion": text.strip()})
    random.Random(1).shuffle(rows)
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def figures(path, seconds):
    steps, peak = [], 0
    for line in open(path):
        entry = json.loads(line)
        peak = max(peak, entry.get("peak_rss_bytes", 0))
        if "seconds" in entry:
            steps.append(entry)
    speed = statistics.median(s["tokens"] / s["seconds"] for s in steps[3:])
    return {"tokens_per_second": speed, "peak_bytes": peak, "first_loss": steps[0]["loss"],
            "seconds_beside_steps": seconds - sum(s["seconds"] for s in steps)}


def run_lowrank(args, dtype, rows, folder):
    out = os.path.join(folder, "lowrank-" + dtype)
    started = time.perf_counter()
    subprocess.run([args.lowrank, "train", "--model", args.model, "--data", rows, "--method", "lora", "--rank", "8",
                    "--alpha", "16", "--target-modules", args.targets, "--output", out, "--steps",
                    str(args.steps), "--batch-size", "8", "--lr", "1e-4", "--schedule", "constant", "--dtype", dtype,
                    "--no-shuffle", "--seed", "0", "--overwrite", "--base-memory", args.base_memory], check=True, stderr=subprocess.DEVNULL,
                   env=environment(args.cpu, {"LOWRANK_CPU": args.cpu}))
    return figures(os.path.join(out, "metrics.jsonl"), time.perf_counter() - started)


def run_peft(args, dtype, rows, folder):
    out = os.path.join(folder, "peft.jsonl")
    started = time.perf_counter()
    subprocess.run([sys.executable, os.path.join(HERE, "peft_train.py"), "--model", args.model, "--data", rows, "--dtype",
                    dtype, "--steps", str(args.steps), "--targets", args.targets, "--output", out], check=True, stderr=subprocess.DEVNULL,
                   env=environment(args.cpu, LIMITS.get(args.cpu)))
    return figures(out, time.perf_counter() - started)


def worse(results, path):
    """Where ratios are worse than those of an earlier run by more than a tenth."""
    earlier = json.load(open(path))
    found = []
    for dtype, row in results.items():
        if dtype not in earlier:
            continue
        was, now = earlier[dtype], row
        print(f"{dtype:5s} speed x{now['speed_ratio']['median']:.2f}, was x{was['speed_ratio']['median']:.2f}; "
              f"memory x{now['memory_ratio']:.2f}, was x{was['memory_ratio']:.2f}")
        if now["speed_ratio"]["median"] < 0.9 * was["speed_ratio"]["median"]:
            found.append(dtype + " speed")
        if now["memory_ratio"] > 1.1 * was["memory_ratio"]:
            found.append(dtype + " memory")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lowrank")
    parser.add_argument("model")
    parser.add_argument("--data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--types", default="f32,bf16")
    parser.add_argument("--targets", default="q_proj,k_proj,v_proj,o_proj")
    parser.add_argument("--cpu", choices=LIMITS)
    parser.add_argument("--base-memory", choices=("auto", "fast", "one", "small"), default="auto", help="of lowrank")
    parser.add_argument("--output")
    parser.add_argument("--compare")
    args = parser.parse_args()
    if args.cpu:
        require_level(args.cpu)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        rows = os.path.join(folder, "rows.jsonl")
        write_rows(args.data, rows)
        for dtype in args.types.split(","):
            runs = {"lowrank": [], "peft": []}
            for _ in range(args.rounds):
                runs["lowrank"].append(run_lowrank(args, dtype, rows, folder))
                runs["peft"].append(run_peft(args, dtype, rows, folder))
            row = {name: {key: statistics.median(run[key] for run in found) for key in found[0]}
                   for name, found in runs.items()}
            ratios = [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(runs["lowrank"], runs["peft"])]
            row["speed_ratio"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
            row["memory_ratio"] = row["lowrank"]["peak_bytes"] / row["peft"]["peak_bytes"]
            # Never compared with runs of another level or another form of the base.
            name = " ".join([dtype] + [args.cpu] * bool(args.cpu) + [args.base_memory] * (args.base_memory != "auto"))
            results[name] = row
            print(f"{name:5s} lowrank {row['lowrank']['tokens_per_second']:7.1f} tokens/s {row['lowrank']['peak_bytes'] / 1e9:5.2f} GB"
                  f" | PEFT {row['peft']['tokens_per_second']:7.1f} tokens/s {row['peft']['peak_bytes'] / 1e9:5.2f} GB"
                  f" | speed x{row['speed_ratio']['median']:.2f} ({row['speed_ratio']['min']:.2f} to "
                  f"{row['speed_ratio']['max']:.2f}), memory x{row['memory_ratio']:.2f}, beside the steps "
                  f"{row['lowrank']['seconds_beside_steps']:.1f} s | {row['peft']['seconds_beside_steps']:.1f} s", flush=True)
    if args.output:
        with open(args.output, "w") as out:
            json.dump(results, out, indent=1)
    if args.compare:
        found = worse(results, args.compare)
        if found:
            sys.exit("worse by more than a tenth: " + ", ".join(found))


main()
