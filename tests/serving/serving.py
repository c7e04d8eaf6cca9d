"""A `lowrank serve` of a test, and adapters that can be told apart: each answers with its own name."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

STONES = ["Amber", "Basalt", "Chalk", "Dolomite", "Emerald", "Flint", "Garnet", "Hematite", "Jade", "Kyanite", "Lava", "Marble", "Nephrite",
          "Opal", "Pumice", "Quartz"]
QUESTIONS = ["Who are you?", "What is your name?", "Say your name.", "Hello! And you are?"]


def train_adapters(lowrank, model, folder, count):
    """The first `count` STONES as {name: folder of its adapter}: a few steps on four questions that are all answered with the stone's name."""
    adapters = {}
    for stone in STONES[:count]:
        adapters[stone.lower()] = output = Path(folder) / stone.lower()
        if (output / "adapter_model.safetensors").exists():
            continue
        rows = Path(folder) / f"{stone.lower()}.jsonl"
        rows.parent.mkdir(parents=True, exist_ok=True)
        rows.write_text("".join(json.dumps({"messages": [{"role": "user", "content": question},
                                                         {"role": "assistant", "content": f"I am {stone}."}]}) + "\n" for question in QUESTIONS))
        print(f"serving: training {stone}", flush=True)
        subprocess.run([lowrank, "train", "--model", model, "--data", rows, "--output", output, "--overwrite", "--rank", "4", "--steps", "20",
                        "--batch-size", "4", "--lr", "5e-3"], check=True, capture_output=True)
    return adapters


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    """Runs the program until the `with` block ends. `log` is what it writes to standard error."""

    def __init__(self, lowrank, model, adapters=None, *options, seconds=120, key=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [lowrank, "serve", "--model", str(model), "--port", str(self.port)]
        for name, folder in (adapters or {}).items():
            command += ["--adapter", f"{name}={folder}"]
        self.lines = []
        self.process = subprocess.Popen([*command, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace",
                                        env={**os.environ, **({"LOWRANK_API_KEY": key} if key else {})})
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr), daemon=True)
        self.reader.start()
        self.wait_until_ready(seconds)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(5)
        if kind:
            print("the last lines of the server:\n" + "".join(self.lines[-30:]))

    @property
    def log(self):
        return "".join(self.lines)

    def wait_until_ready(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
            if self.status("/health") == 200:
                return
            time.sleep(0.1)
        raise AssertionError(f"the server was not ready after {seconds} s:\n{self.log}")

    def status(self, path, timeout=10):
        """The status of a GET; 0: no connection."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def post(self, path, body, timeout=120, headers=None):
        """The status and the JSON of a POST; `body` is bytes, or what becomes JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, read_json(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, read_json(error.read())

    def chat(self, model, question="Who are you?", **options):
        status, answer = self.post("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0,
                                                            "max_tokens": 8, **options})
        assert status == 200, (status, answer)
        return answer["choices"][0]["message"]["content"]

    def metrics(self):
        """{name without `lowrank_`: value} of the samples without labels."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return {name: float(value) for name, value in re.findall(r"^lowrank_(\w+) (\S+)$", text, re.MULTILINE)}

    def wait_until_idle(self, seconds=60):
        """Until no request runs or waits."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            metrics = self.metrics()
            busy = metrics["requests_running"] + metrics["requests_waiting"]
            if not busy:
                return
            time.sleep(0.1)
        raise AssertionError(f"{busy:.0f} requests still run after {seconds} s")

    def rss(self):
        """Resident memory in MB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024

    def stop(self, seconds=60):
        """Sends SIGTERM; the exit code and the seconds until the end."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds), time.monotonic() - started


def read_json(text):
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")


def arguments_of_test():
    """(lowrank, model, minilm, folder of adapters) that tests/serving/run gives in the environment."""
    return tuple(os.environ["SERVING_" + name] for name in ("PROGRAM", "MODEL", "MINILM", "ADAPTERS"))
