"""See run, which prepares everything: `compare.py LOWRANK PYTHON MODEL.gguf FOLDER THREADS ROUNDS`. FOLDER holds adapters 1 to 16, as folders and
as GGUF files."""
import concurrent.futures
import json
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

REQUESTS, PROMPT, TOKENS = 16, 200, 64
KINDS = {"base": "base", "one": "one LoRA for all", "each": f"{REQUESTS} LoRAs"}


class Lowrank:
    """`lowrank serve`, asked over HTTP by as many clients as there are requests."""

    def __init__(self, lowrank, model, folder, threads, prompts):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.url, self.prompts = f"http://127.0.0.1:{port}", prompts
        adapters = [argument for number in range(1, REQUESTS + 1) for argument in ("--adapter", f"{number}={folder / str(number)}")]
        self.process = subprocess.Popen([lowrank, "serve", "--model", model, "--port", str(port), "--threads", threads, *adapters],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self.ready():
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}"
            time.sleep(0.2)
        with urllib.request.urlopen(self.url + "/v1/models") as answer:
            self.base = next(model["id"] for model in json.load(answer)["data"] if not model["parent"])
        self.measure("each")

    def ready(self):
        try:
            return urllib.request.urlopen(self.url + "/health").status == 200
        except OSError:
            return False

    def ask(self, body):
        request = urllib.request.Request(self.url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=3600) as answer:
            usage = json.load(answer)["usage"]
        assert usage["completion_tokens"] == TOKENS and usage["prompt_tokens"] == PROMPT, usage

    def measure(self, kind):
        models = {"base": [self.base] * REQUESTS, "one": ["1"] * REQUESTS, "each": [str(number) for number in range(1, REQUESTS + 1)]}[kind]
        bodies = [{"model": model, "prompt": prompt, "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
                  for model, prompt in zip(models, self.prompts)]
        with concurrent.futures.ThreadPoolExecutor(REQUESTS) as clients:
            started = time.perf_counter()
            list(clients.map(self.ask, bodies))
            return time.perf_counter() - started

    def close(self):
        self.process.terminate()
        self.process.wait()


class Llama:
    def __init__(self, python, model, folder, threads, prompts_file, repack):
        adapters = [str(folder / f"{number}.gguf") for number in range(1, REQUESTS + 1)]
        self.process = subprocess.Popen([python, Path(__file__).parent / "llama_tokens.py", model, threads, prompts_file, str(TOKENS), repack, *adapters],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.works = self.process.stdout.readline().strip() == "ready"

    def measure(self, kind):
        self.process.stdin.write(kind + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    lowrank, python, model, folder, threads, rounds = sys.argv[1:]
    folder = Path(folder)
    chooser = random.Random(1)
    # Token ids of ordinary words; no two prompts begin alike, so that nothing can be shared.
    prompts = [[chooser.randrange(1000, 40000) for _ in range(PROMPT)] for _ in range(REQUESTS)]
    (folder / "prompts.json").write_text(json.dumps(prompts))
    llama, kind_of_weights = Llama(python, model, folder, threads, folder / "prompts.json", "1"), "repacked"
    if not llama.works:
        llama, kind_of_weights = Llama(python, model, folder, threads, folder / "prompts.json", "0"), "as they are (repacked ones crash here)"
    assert llama.works, "llama.cpp does not run"
    programs = {"lowrank serve": Lowrank(lowrank, model, folder, threads, prompts), "llama.cpp": llama}
    speeds = {(program, kind): [] for program in programs for kind in KINDS}
    for _ in range(int(rounds)):
        for kind in KINDS:
            for program, running in programs.items():
                speeds[program, kind].append(REQUESTS * TOKENS / running.measure(kind))
    for running in programs.values():
        running.close()
    print(f"{REQUESTS} requests of {PROMPT} tokens, {TOKENS} new tokens each, {threads} threads, llama.cpp's weights {kind_of_weights}; new tokens per\n"
          "second of all requests together, prompts included; medians of {rounds} rounds, lowest and highest\n".replace("{rounds}", rounds))
    print("| adapters | lowrank serve | llama.cpp | ratio |\n|---|---|---|---|")
    for kind, words in KINDS.items():
        ours, theirs = (speeds[program, kind] for program in programs)
        shown = [f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})" for values in (ours, theirs)]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        print(f"| {words} | {shown[0]} | {shown[1]} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
