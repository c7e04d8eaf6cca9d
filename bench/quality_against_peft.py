#!/usr/bin/env python3
"""Whether LoRA trained by lowrank is as good as LoRA trained by PEFT: the same rows, settings and seeds, the same questions, answers
and scores.

    quality_against_peft.py LOWRANK MODEL PREPARED [--seeds 1,2,3] [--steps 300] [--batch-size 8] [--lr 1e-3] [--rank 8] [--dtype f32|bf16]
                            [--asked 100] [--targets q_proj,v_proj] [--threads N] [--work FOLDER] [--output FILE.json]

MODEL: a GGUF file for texts, an encoder's folder for labels. PREPARED: a folder of `lowrank benchmark`. For each seed the training rows
are put in an order of that seed, both programs train on them in that order (each with its own initial values), and both adapters answer
by `lowrank`, so that nothing but the training differs. A result that FOLDER has is not computed again. Prints each seed's scores, then
mean and standard deviation of both, and whether the means lie within one standard deviation (the larger of the two). The interpreter
that runs this needs torch, transformers, peft and gguf.
"""
import argparse, json, os, pathlib, random, statistics, subprocess, sys


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("lowrank", "model", "prepared"):
        parser.add_argument(name)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--asked", type=int, default=100)
    parser.add_argument("--targets")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--work", default="quality_against_peft")
    parser.add_argument("--output")
    return parser.parse_args()


def write_rows(source, path, seed, count):
    """`count` rows in an order of the seed, beginning anew where they end."""
    rows = [line for line in open(source, encoding="utf-8") if line.strip()]
    order, shuffled = random.Random(seed), []
    while len(shuffled) < count:
        order.shuffle(rows)
        shuffled += rows
    path.write_text("".join(shuffled[:count]), encoding="utf-8")


def write_asked(source, path, count):
    """`count` of the asked rows, evenly spaced; all if there are not more."""
    rows = open(source, encoding="utf-8").readlines()
    step = max(len(rows) / count, 1)
    path.write_text("".join(rows[int(i * step)] for i in range(min(count, len(rows)))), encoding="utf-8")


def train_lowrank(args, rows, seed, adapter):
    subprocess.run([args.lowrank, "train", "--model", args.model, "--data", rows, "--method", "lora", "--rank", str(args.rank), "--alpha",
                    str(2 * args.rank), "--target-modules", args.targets, "--steps", str(args.steps), "--batch-size", str(args.batch_size),
                    "--lr", str(args.lr), "--schedule", "linear", "--no-shuffle", "--seed", str(seed), "--dtype", args.dtype, "--weight-decay", "0.01",
                    "--threads", str(args.threads), "--output", adapter, "--overwrite"], check=True, stderr=subprocess.DEVNULL)


def encoded(args, tokenizer, rows):
    """Rows as PEFT's users tokenise them: token ids, and labels."""
    for line in open(rows, encoding="utf-8"):
        row = json.loads(line)
        if args.labelled:
            yield tokenizer(row["text"], truncation=True, max_length=256)["input_ids"], row["label"]
        else:
            prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
            completion = tokenizer(row["completion"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
            yield prompt + completion, [-100] * len(prompt) + completion


def train_peft(args, rows, seed, adapter):
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

    torch.set_num_threads(args.threads)
    torch.manual_seed(seed)
    dtype = torch.float32 if args.dtype == "f32" else torch.bfloat16
    if args.labelled:
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=2, dtype=dtype)
    else:
        folder, file = os.path.split(os.path.abspath(args.model))
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=dtype, attn_implementation="sdpa")
        model.config.use_cache = False
    model = get_peft_model(model, LoraConfig(r=args.rank, lora_alpha=2 * args.rank, target_modules=args.targets.split(","),
                                             task_type="SEQ_CLS" if args.labelled else "CAUSAL_LM"))
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=args.lr, weight_decay=0.01)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, args.steps)
    examples = list(encoded(args, tokenizer, rows))
    for step in range(args.steps):
        batch = examples[step * args.batch_size:(step + 1) * args.batch_size]
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch])
        mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in batch])
        labels = torch.tensor([labels if args.labelled else labels + [-100] * (width - len(labels)) for _, labels in batch])
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.save_pretrained(adapter)


def scores(args, adapter, asked, answers):
    """The benchmark's scores of an adapter's answers."""
    common = ["--model", args.model, "--adapter", adapter, "--data", asked, "--dtype", args.dtype, "--threads", str(args.threads), "--output", answers]
    command = ["classify"] if args.labelled else ["generate", "--max-new-tokens", "64", "--temperature", "0"]
    answers.unlink(missing_ok=True)
    subprocess.run([args.lowrank, *command, *common], check=True, stderr=subprocess.DEVNULL)
    done = subprocess.run([args.lowrank, "score", "--predictions", answers, "--benchmark", args.prepared, "--json"], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout)


def numbers(found, prefix=""):
    """All numbers in what `score` gives, by dotted names."""
    if isinstance(found, dict):
        return {name: value for key, part in found.items() for name, value in numbers(part, f"{prefix}{key}.").items()}
    return {prefix[:-1]: found} if isinstance(found, float) else {}


def main():
    args = arguments()
    args.prepared = pathlib.Path(args.prepared)
    args.labelled = json.load(open(args.prepared / "benchmark.json"))["answer"] == "label"
    args.targets = args.targets or ("query,value" if args.labelled else "q_proj,v_proj")
    work = pathlib.Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    asked = work / "asked.jsonl"
    write_asked(args.prepared / "test.jsonl", asked, args.asked)
    found = {"lowrank": [], "peft": []}
    for seed in map(int, args.seeds.split(",")):
        rows = work / f"rows-{seed}.jsonl"
        write_rows(args.prepared / "train.jsonl", rows, seed, args.steps * args.batch_size)
        for name, train in (("lowrank", train_lowrank), ("peft", train_peft)):
            result = work / f"{name}-{seed}.json"
            if not result.exists():
                adapter = work / f"{name}-{seed}"
                train(args, rows, seed, adapter)
                result.write_text(json.dumps(scores(args, adapter, asked, work / f"{name}-{seed}.jsonl")))
            found[name].append(numbers(json.loads(result.read_text())))
            print(f"seed {seed} {name:8s}", " ".join(f"{key} {value:.4f}" for key, value in found[name][-1].items()), flush=True)
    within, summary = True, {}
    for metric in found["lowrank"][0]:
        values = {name: [row[metric] for row in rows] for name, rows in found.items()}
        mean = {name: statistics.mean(row) for name, row in values.items()}
        deviation = {name: statistics.stdev(row) if len(row) > 1 else 0.0 for name, row in values.items()}
        close = abs(mean["lowrank"] - mean["peft"]) <= max(deviation.values())
        within &= close or mean["lowrank"] > mean["peft"]
        summary[metric] = {"values": values, "mean": mean, "deviation": deviation, "within": close}
        print(f"{metric}: lowrank {mean['lowrank']:.4f} +- {deviation['lowrank']:.4f}, PEFT {mean['peft']:.4f} +- {deviation['peft']:.4f}: "
              + ("within a standard deviation" if close else "further apart"))
    if args.output:
        with open(args.output, "w") as out:
            json.dump({"settings": {key: str(value) for key, value in vars(args).items() if key not in ("work", "lowrank")}, "metrics": summary}, out, indent=1)
    if not within:
        sys.exit("lowrank's mean is worse by more than a standard deviation")


main()
