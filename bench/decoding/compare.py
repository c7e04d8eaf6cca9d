"""See run: `compare.py DECODE_FORMS PYTHON MODEL.gguf THREADS ROUNDS FORM/TYPE...`."""
import os
import statistics
import subprocess
import sys
from pathlib import Path

PROMPT, TOKENS, LONG = 32, 32, 512


class Program:
    def __init__(self, name, command, prefix=""):
        self.name, self.prefix = name, prefix
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.works = self.process.stdout.readline().strip() == "ready"

    def measure(self, sequences, prompt, tokens):
        self.process.stdin.write(f"{self.prefix}{sequences} {prompt} {tokens}\n")
        self.process.stdin.flush()
        seconds = [float(word) for word in self.process.stdout.readline().split()]
        return seconds[2:] if os.environ.get("PROCESSOR") else seconds[:2]


def main():
    forms_program, python, model, threads, rounds, *forms = sys.argv[1:]
    peer = Path(__file__).parent / "llama_steps.py"
    llama = Program("llama.cpp", [python, peer, model, threads, 1])
    if not llama.works or not llama.measure(1, 4, 1):
        llama = Program("llama.cpp, weights not repacked", [python, peer, model, threads, 0])
    ours = [Program(form, [forms_program, model, threads], "time " + form.replace("/", " ") + " ") for form in forms]
    programs = [llama, *ours]
    cases = {"1 sequence": (1, PROMPT, TOKENS), "16 sequences": (16, PROMPT, TOKENS), f"prompt of {LONG}": (1, LONG, 1)}
    of = " of the processor's time" if os.environ.get("PROCESSOR") else ""
    print(f"{threads} threads, {rounds} rounds in turn; tokens per second{of}, and the median of the ratios to {llama.name} in the same rounds (lowest and highest)\n")
    print("| |" + "".join(f" {program.name} |" for program in programs) + "\n|---|" + "---|" * len(programs))
    for case, sizes in cases.items():
        seconds = {program.name: [] for program in programs}
        for round_number in range(int(rounds) + 1):
            for program in programs:
                first, step = program.measure(*sizes)
                if round_number > 0:
                    seconds[program.name].append(first / LONG if sizes[1] == LONG else step / sizes[0])
        shown = []
        for program in programs:
            ratios = [theirs / own for theirs, own in zip(seconds[llama.name], seconds[program.name])]
            speed = 1 / statistics.median(seconds[program.name])
            shown.append(f"{speed:.0f}" if program is llama else f"{speed:.0f}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {case} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
