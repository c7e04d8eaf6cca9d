"""Mixed load for some time: `python soak.py SECONDS`. Clients ask all adapters, with and without streams, in long and short; some vanish. Each adapter
must answer with its own name, memory must stay flat, and at the end the server drains: running answers are completed, then it exits with 0."""
import collections
import json
import random
import socket
import sys
import threading
import time
import urllib.request

from serving import QUESTIONS, Server, arguments_of_test, train_adapters

CLIENTS, NAMES, RESIDENT = 8, 48, 6


class Load:
    def __init__(self, server, stones):
        self.server, self.stones = server, stones  # {name of an adapter: what it answers}
        self.counts = collections.Counter()
        self.failures, self.seconds, self.tokens = [], [], 0
        self.stopping, self.lock = threading.Event(), threading.Lock()

    def body(self, name, question, **more):
        return json.dumps({"model": name, "messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 10, **more}).encode()

    def count(self, tokens):
        with self.lock:
            self.tokens += tokens

    def open(self, body):
        request = urllib.request.Request(self.server.url + "/v1/chat/completions", body, {"Content-Type": "application/json"})
        return urllib.request.urlopen(request, timeout=300)

    def whole(self, name, question):
        with self.open(self.body(name, question)) as answer:
            answer = json.load(answer)
        self.count(answer["usage"]["completion_tokens"])
        return answer["choices"][0]["message"]["content"]

    def streamed(self, name, question):
        text, done = "", False
        with self.open(self.body(name, question, stream=True, stream_options={"include_usage": True})) as answer:
            for line in answer:
                if not line.startswith(b"data: "):
                    continue
                done = line.strip() == b"data: [DONE]"
                event = {} if done else json.loads(line[6:])
                text += "".join(choice["delta"].get("content") or "" for choice in event.get("choices", []))
                self.count((event.get("usage") or {}).get("completion_tokens", 0))
        assert done, "the stream ended without [DONE]"
        return text

    def vanish(self, name, random_number):
        """Leaves in mid-stream, or before it begins."""
        body = self.body(name, "Tell me a long story.", stream=True, max_tokens=400, ignore_eos=True)
        with socket.create_connection(("127.0.0.1", self.server.port)) as client:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            time.sleep(random_number)

    def client(self, number):
        chooser = random.Random(number)
        while not self.stopping.is_set():
            name, question = chooser.choice(list(self.stones)), chooser.choice(QUESTIONS)
            kind = chooser.choices(("whole", "streamed", "vanish"), (5, 5, 1))[0]
            started = time.monotonic()
            try:
                if kind == "vanish":
                    self.vanish(name, chooser.random())
                else:
                    text = getattr(self, kind)(name, question)
                    assert text == self.stones[name], f"{name} said {text!r}"
                    self.seconds.append(time.monotonic() - started)
            except Exception as error:  # each is a failure of the soak
                if not self.stopping.is_set() or isinstance(error, AssertionError):
                    self.failures.append(f"{kind} of {name}: {error}")
            with self.lock:
                self.counts[kind] += 1


def main():
    seconds = float(sys.argv[1])
    lowrank, model, _, folder = arguments_of_test()
    folders = train_adapters(lowrank, model, folder, 8)
    # Many names for each folder: more adapters than stay in memory, so that they leave and come back all the time.
    adapters = {f"{stone}-{place}": path for place in range(NAMES // len(folders)) for stone, path in folders.items()}
    says = {name: f"I am {name.split('-')[0].capitalize()}." for name in adapters}
    with Server(lowrank, model, adapters, "--resident-adapters", RESIDENT, "--cache-mb", 64) as server:
        load = Load(server, says)
        threads = [threading.Thread(target=load.client, args=(number,), daemon=True) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        started, memory = time.monotonic(), []
        while time.monotonic() - started < seconds and not load.failures:
            time.sleep(min(5, seconds / 12))
            memory.append(server.rss())
        took = time.monotonic() - started
        metrics = server.metrics()
        # The clients go on asking while the server drains: whoever was taken gets a complete answer.
        load.stopping.set()
        code, drained = server.stop()
        for thread in threads:
            thread.join(60)
        answers = load.counts["whole"] + load.counts["streamed"]
        waits = sorted(load.seconds) or [0]
        print(f"soak: {answers} answers ({load.counts['streamed']} streamed) and {load.counts['vanish']} clients that vanished in {took:.0f} s, "
              f"{len(adapters)} adapters, {RESIDENT} of them resident")
        print(f"soak: {load.tokens / took:.1f} tokens/s, answer after {waits[len(waits) // 2]:.2f} s (median), {waits[int(len(waits) * 0.99)]:.2f} s (99 %)")
        print(f"soak: memory {memory[0]:.0f} MB at first, {memory[len(memory) // 2]:.0f} MB half way, {memory[-1]:.0f} MB at the end; drained in "
              f"{drained:.1f} s, exit code {code}")
        print(f"soak: {metrics['adapter_loads_total']:.0f} adapters loaded, {metrics['adapter_evictions_total']:.0f} left for others, "
              f"{metrics['preemptions_total']:.0f} requests gave up their pages, {metrics['cached_tokens_total']:.0f} of "
              f"{metrics['prompt_tokens_total']:.0f} prompt tokens were in the cache")
        assert not load.failures, load.failures[:5]
        assert answers > 0 and code == 0, (answers, code)
        # The first third fills caches; after it nothing may pile up.
        settled = memory[len(memory) // 3]
        assert max(memory[len(memory) // 3:]) < settled * 1.1 + 20, f"memory grows: {memory}"


if __name__ == "__main__":
    main()
