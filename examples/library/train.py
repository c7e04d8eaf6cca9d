"""The same in Python, with the wheel of `make wheel`:  train.py MODEL ROWS.jsonl"""
import sys

import lowrank

with lowrank.open(sys.argv[1]) as session:
    session.train("mine", data=sys.argv[2], steps=20, lr=5e-3, after_step=lambda step: print(step["step"], step["loss"]))
    print(session.generate("Once", adapter="mine", max_new_tokens=20))
