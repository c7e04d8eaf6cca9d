"""What `lowrank train --report-to tensorboard` writes, read with tensorboard's own classes and transformers' TrainerState.

usage: tensorboard_events.py LOWRANK MODEL ROWS"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers.trainer_callback import TrainerState

lowrank, model, rows = sys.argv[1:]
STEPS = 6


def train(output, *more, code=0):
    command = [lowrank, "train", "--model", model, "--data", rows, "--eval-data", rows, "--eval-every", "3", "--steps", str(STEPS),
               "--batch-size", "2", "--save-every", "2", "--report-to", "tensorboard", "--output", str(output), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr


def curves(output):
    events = EventAccumulator(str(output / "runs"))
    events.Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def check(output):
    records = [json.loads(line) for line in open(output / "metrics.jsonl")]
    found = curves(output)
    for name in ["loss", "grad_norm", "learning_rate", "epoch"]:
        for record in records:
            if name in record and (name == "epoch" or "loss" in record):
                value = found[f"train/{name}"][record["step"]]
                assert abs(value - record[name]) <= 1e-6 * max(1, abs(record[name])), (name, record, value)
    assert sorted(found["train/loss"]) == list(range(1, STEPS + 1)), found["train/loss"]
    assert sorted(found["eval/loss"]) == [3, 6], found["eval/loss"]
    assert {"train/train_loss", "train/train_runtime", "eval/runtime", "eval/samples_per_second"} <= set(found), sorted(found)


with tempfile.TemporaryDirectory() as work:
    whole, parts = Path(work) / "whole", Path(work) / "parts"
    train(whole)
    check(whole)
    for place, step in [(whole, STEPS), (whole / "checkpoint-4", 4)]:
        state = TrainerState.load_from_json(str(place / "trainer_state.json"))
        assert state.global_step == step and state.max_steps == STEPS, state
        assert [entry["step"] for entry in state.log_history if "loss" in entry] == list(range(1, step + 1)), state.log_history
        assert Path(state.best_model_checkpoint).is_dir(), state.best_model_checkpoint
    # A second file takes back what the first says after the checkpoint.
    train(parts)
    train(parts, "--resume", str(parts / "checkpoint-2"), "--overwrite")
    assert len(list((parts / "runs").iterdir())) == 2
    check(parts)
print(f"tensorboard: {STEPS} steps and two evaluations read back, also those of a resumed run")
