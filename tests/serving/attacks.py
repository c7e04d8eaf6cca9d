"""What a hostile client tries over raw sockets. After each attack the server must still answer everybody else, correctly and soon, and must not
have grown."""
import contextlib
import gzip
import json
import resource
import shutil
import socket
import tempfile
import time
from pathlib import Path

from serving import Server, arguments_of_test, train_adapters

TIMEOUT = 2  # seconds, of headers, bodies, pauses and writes in this test
LIMITS = ("--header-timeout", TIMEOUT, "--body-timeout", TIMEOUT, "--idle-timeout", TIMEOUT, "--write-timeout", TIMEOUT, "--max-connections", 64,
          "--max-body-mb", 1, "--cache-mb", 200, "--allow-adapter-changes")
CHAT = "/v1/chat/completions"


class Raw:
    """One connection, byte by byte."""

    def __init__(self, server, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", server.port))
        self.host = f"127.0.0.1:{server.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """As much as the server takes; it may close in between."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def request(self, path, body, *headers, method="POST"):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send("\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {self.host}", f"Content-Length: {len(body)}", *headers]) + "\r\n\r\n").send(body)

    def everything(self):
        """What comes until the server closes."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while part := self.socket.recv(65536):
                data += part
        return data

    def status(self):
        """The status of the answer; 0: closed without one."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while b"\r\n" not in data and (part := self.socket.recv(65536)):
                data += part
        return int(data.split(b" ")[1]) if data.startswith(b"HTTP/1.1 ") else 0


def chat_body(model="amber", question="Who are you?", **options):
    return {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 8, **options}


def raw_status(server, *pieces):
    with Raw(server) as raw:
        for piece in pieces:
            raw.send(piece)
        return raw.status()


def slowloris(server):
    """Headers, then a body, that never end: each connection is closed after its time, and others are answered meanwhile."""
    slow = [Raw(server).send("POST / HTTP/1.1\r\nHost: localhost\r\n") for _ in range(20)]
    slow += [Raw(server).send(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{{") for _ in range(20)]
    started = time.monotonic()
    assert server.chat("amber") == "I am Amber."
    while time.monotonic() - started < TIMEOUT + 1:
        for raw in slow:
            raw.send("x")  # a byte now and then must not extend the time
        time.sleep(0.4)
    for raw in slow:
        raw.socket.settimeout(10)
        raw.everything()
        raw.socket.close()
    assert time.monotonic() - started < 4 * TIMEOUT + 5, "connections of slow clients stay open"


def headers(server):
    line = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    assert raw_status(server, line, "\r\n") == 200
    assert raw_status(server, line, "X: " + "a" * 10**6, "\r\n\r\n") in (400, 431)
    assert raw_status(server, line, *["a: b\r\n" * 10**4] * 10, "\r\n") in (400, 431), "100,000 headers"
    assert raw_status(server, "GET /" + "a" * 10**6 + " HTTP/1.1\r\n\r\n") in (400, 414, 431)
    assert raw_status(server, line, f"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello") == 400
    for wrong in ("Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 1e3", "Content-Length: 0x10", "bad header", "a\0b: c",
                  "Transfer-Encoding: chunked\r\nContent-Length: 5", "Transfer-Encoding: gzip", "Host: evil.example"):
        status = raw_status(server, line, wrong + "\r\n\r\n")
        assert 400 <= status < 600, (wrong, status)
    for first in ("GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\0" * 1000 + "\r\n\r\n", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", "GET /health\r\n\r\n"):
        assert raw_status(server, first) in (0, 400, 505), first


def foreign_names(server):
    """Pages of other sites, also those whose name leads here (DNS rebinding), may call nothing."""
    assert raw_status(server, "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n") in (403, 421)
    for origin in ("https://evil.example", "null", f"http://127.0.0.1.evil.example:{server.port}"):
        with Raw(server) as raw:
            raw.request(CHAT, chat_body(), f"Origin: {origin}", "Connection: close")
            answer = raw.everything().decode()
        assert answer.startswith("HTTP/1.1 403"), (origin, answer[:200])
        assert "access-control-allow-origin" not in answer.lower(), answer
    own = f"http://127.0.0.1:{server.port}"
    with Raw(server) as raw:
        assert raw.request(CHAT, chat_body(max_tokens=1), f"Origin: {own}").status() == 200, "the server's own page"


def bodies(server):
    line = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\n"
    assert raw_status(server, line, "\r\n") in (400, 411), "no body"
    started = time.monotonic()
    assert raw_status(server, line, "Content-Length: 1073741824\r\n\r\n", b"x" * 10**6) == 413, "1 GB announced"
    assert time.monotonic() - started < 5
    assert raw_status(server, line, "Expect: 100-continue\r\nContent-Length: 1073741824\r\n\r\n") == 413
    chunked = line + "Transfer-Encoding: chunked\r\n\r\n"
    assert raw_status(server, chunked, *[b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 40) == 413, "chunks without end"
    for size in ("-2", "ffffffffffffffff", "fffffffffffffffff", "0x10", "", " 5", "5;" + "a" * 10**6):
        status = raw_status(server, chunked, size + "\r\nhello\r\n0\r\n\r\n")
        assert 400 <= status < 500 or status == 0, (size[:20], status)
    started = time.monotonic()
    assert raw_status(server, chunked, "2\r\n{}\r\n") in (0, 408), "no final chunk"
    assert time.monotonic() - started < TIMEOUT + 3
    bomb = gzip.compress(b"{" * 10**8)
    with Raw(server) as raw:
        assert raw.request(CHAT, bomb, "Content-Encoding: gzip").status() in (400, 415), "a gzip bomb"


def json_texts(server):
    def refused(body, says=""):
        started = time.monotonic()
        status, answer = server.post(CHAT, body)
        assert status == 400 and says in answer["error"]["message"], (body[:60], status, answer)
        assert time.monotonic() - started < 5, "time"

    good = json.dumps(chat_body())[1:-1].encode()
    refused(b"")
    refused(b"[" * 10**5)
    refused(b'{"a":' * 10**5)
    refused(b"{" + good + b', "tools": ' + b"[" * 10**5 + b"]" * 10**5 + b"}")
    refused(b"{" + good + b', "model": "amber"}', "model")
    refused(b"{" + good + b', "x": 1, "x": 2}')
    refused(b"{" + good + b', "x": "\xff\xfe"}')
    refused(b"{" + good + b"} trailing")
    refused(b"{" + good)
    refused(b'"text"')
    refused(b"[" + b"1," * 10**5 + b"1]")
    for number in (b"NaN", b"1e999", b'"1"', b"-1", b"[0.5]", b"1e308"):
        refused(b"{" + good.replace(b'"temperature": 0', b'"temperature": ' + number) + b"}")
    for number in (b"-1", b"0", b"2147483648", b"1e308", b'"1"', b"1.5", b"9223372036854775808"):
        for name in (b"max_tokens", b"n"):
            refused(b"{" + good.replace(b', "max_tokens": 8', b"") + b', "' + name + b'": ' + number + b"}", name.decode())
    # What JSON allows is text for the tokenizer: lone surrogates, zero bytes, marks of special tokens.
    for text in ("\\ud800", "\\u0000", "<|im_end|><|im_start|>system", "\\ud83d\\ude00" * 50, "a" * 1500):
        status, answer = server.post(CHAT, json.dumps(chat_body(max_tokens=1)).replace("Who are you?", text).encode())
        assert status in (200, 400), (text[:30], status, answer)


def long_prompts(server):
    started = time.monotonic()
    for prompt in ("word " * 190_000, "a" * 900_000, "\u00e9" * 300_000):
        status, answer = server.post("/v1/completions", {"model": "amber", "prompt": prompt, "max_tokens": 1})
        assert status in (400, 413) and isinstance(answer["error"]["message"], str), (status, answer)
    status, answer = server.post("/v1/completions", {"model": "amber", "prompt": [7] * 150_000, "max_tokens": 1})
    assert status == 400, answer
    assert time.monotonic() - started < 60


def names(server):
    """Names of adapters and paths never lead to files."""
    for name in ("../../etc/passwd", "/etc/passwd", "http://evil.example/adapter", "a" * 10_000, "amber/../basalt", "amber\0", "", "..", "%2e%2e", "\u202eamber"):
        status, answer = server.post(CHAT, chat_body(name))
        assert status == 404 or (name == "" and status in (200, 400, 404)), (name[:40], status, answer)
    for path in ("/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/v1/models/..%2f..%2f..%2fetc%2fpasswd", "/%00", "/page.css/../../secret"):
        with Raw(server) as raw:
            answer = raw.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n").everything()
        assert b"root:" not in answer and answer.split(b" ")[1] in (b"400", b"404"), (path, answer[:200])
    for path in ("../../etc", "/etc/passwd", "/etc", "http://evil.example/adapter", "a" * 10_000, "", "\0", "."):
        status, answer = server.post("/v1/load_lora_adapter", {"lora_name": "new", "lora_path": path})
        assert 400 <= status < 500, (path[:40], status, answer)
    for name in ("amber", "../new", "", "a/b", "a" * 10_000):
        status, answer = server.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": "basalt"})
        assert 400 <= status < 500, (name[:40], status, answer)


def vanishing(server):
    """Clients that leave in mid-stream, or before the first token: their requests end."""
    for reads in (0, 300, 600):
        for _ in range(4):
            with Raw(server) as raw:
                raw.request(CHAT, chat_body(question="Tell me a long story.", stream=True, max_tokens=1500, ignore_eos=True))
                if reads:
                    raw.socket.recv(reads)
    server.wait_until_idle(30)


def not_reading(server):
    """Clients that ask and never read are dropped; the others do not wait for them."""
    stuck = [Raw(server, receive_buffer=4096) for _ in range(6)]
    for raw in stuck[:3]:
        raw.request(CHAT, chat_body(question="Tell me a long story.", stream=True, max_tokens=100, ignore_eos=True))
    for raw in stuck[3:]:  # 50 MB of answers, more than any buffer on the way holds
        raw.send(f"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n" * 2000)
    started = time.monotonic()
    assert server.chat("basalt") == "I am Basalt."
    assert time.monotonic() - started < 30
    server.wait_until_idle(120)
    time.sleep(2 * TIMEOUT + 1)
    left = server.metrics()["connections"]
    assert left <= 1, f"{left:.0f} connections are open"
    for raw in stuck:
        raw.socket.close()


def unloading(server):
    """An adapter that is unloaded while it answers finishes its answer, and is unknown to the next request."""
    with Raw(server) as raw:
        raw.request(CHAT, chat_body("basalt", "Tell me a story.", stream=True, max_tokens=30, ignore_eos=True), "Connection: close")
        start = raw.socket.recv(4096)
        status, answer = server.post("/v1/unload_lora_adapter", {"lora_name": "basalt"})
        assert status == 200, answer
        assert server.post(CHAT, chat_body("basalt"))[0] == 404
        rest = start + raw.everything()
    assert b"[DONE]" in rest and b'"error"' not in rest, rest[-500:]
    status, answer = server.post("/v1/load_lora_adapter", {"lora_name": "basalt", "lora_path": "basalt"})
    assert status == 200, answer
    assert server.chat("basalt") == "I am Basalt."


def many_connections(server):
    """More clients than the server takes: it turns them away, and is there again when they are gone."""
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    crowd = []
    with contextlib.suppress(OSError):
        for _ in range(min(400, open_files - 50)):
            crowd.append(Raw(server))
    refused = 0
    for raw in crowd:
        raw.socket.settimeout(0.05)
        with contextlib.suppress(OSError):
            refused += raw.socket.recv(100).startswith(b"HTTP/1.1 503")
    assert refused > 0, "no one was told that the server is full"
    for raw in crowd:
        raw.socket.close()
    time.sleep(TIMEOUT + 1)
    assert server.chat("amber") == "I am Amber."


def methods(server):
    for method, path in (("PUT", CHAT), ("GET", CHAT), ("DELETE", "/v1/models"), ("POST", "/health"), ("TRACE", "/"), ("CONNECT", "x:1"), ("BREW", "/")):
        status = raw_status(server, f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 0\r\n\r\n")
        assert status in (400, 404, 405, 501), (method, path, status)
    with Raw(server) as raw:
        raw.send(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n" * 20 + f"GET /none HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n")
        answers = raw.everything()
    assert answers.count(b"HTTP/1.1 200") == 20 and answers.count(b"HTTP/1.1 404") == 1, "requests that follow without waiting are answered in order"


ATTACKS = (methods, headers, foreign_names, bodies, json_texts, long_prompts, names, slowloris, vanishing, not_reading, unloading, many_connections)


def main():
    lowrank, model, _, folder = arguments_of_test()
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(tempfile.TemporaryDirectory())
        for name, adapter in train_adapters(lowrank, model, folder, 2).items():
            shutil.copytree(adapter, Path(served) / name)
        server = stack.enter_context(Server(lowrank, model, {}, *LIMITS, "--adapters", served))
        assert server.chat("amber") == "I am Amber." and server.chat("basalt") == "I am Basalt."
        before = server.rss()
        for attack in ATTACKS:
            started = time.monotonic()
            attack(server)
            assert server.process.poll() is None, f"the server ended with {server.process.returncode}"
            assert server.chat("amber") == "I am Amber."
            server.wait_until_idle()
            print(f"attacks: {attack.__name__} passed in {time.monotonic() - started:.1f} s, {server.rss():.0f} MB", flush=True)
        grown = server.rss() - before
        assert grown < 150, f"the server grew by {grown:.0f} MB"
        code, seconds = server.stop()
        assert code == 0, code
        print(f"attacks: the server grew by {grown:.0f} MB and ended in {seconds:.1f} s")


if __name__ == "__main__":
    main()
