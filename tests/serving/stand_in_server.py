"""Stands in for `lowrank serve` where a test of the page needs what a real server rarely does: errors in mid-stream, lost connections, markup as
answers. `python stand_in_server.py PORT [KEY]` serves src/serve/page with the headers that its README.md asks for."""
import http.server
import json
import sys
import time
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "src" / "serve" / "page"
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
FILES = {"/": ("page.html", "text/html; charset=utf-8"), "/page.css": ("page.css", "text/css; charset=utf-8"),
         "/page.js": ("page.js", "text/javascript; charset=utf-8"), "/openapi.json": ("openapi.json", "application/json")}
BASE = "SmolLM2-135M-Instruct"
ANSWERS = {
    BASE: "The capital of France is Paris. It lies on the Seine and has been the capital for most of a thousand years.",
    "pirate": "Arr, 'tis Paris, ye landlubber! She lies upon the Seine, where no ship of mine has ever anchored.",
    "law": "The capital (hereinafter \"the City\") is Paris.",
    "code": "A loop in C++:\n```cpp\nfor (int row = 0; row < rows; ++row)\n  total += values[row];  // " + "a long comment " * 12 +
            "\n```\nIt adds the values.\n\n```\nunfinished",
    "markup": "<img src=x onerror=\"window.injected = true\"><script>window.injected = true</script> **" + "verylongword" * 40 + "**",
    "slow": "word " * 400,
    "fails": "This answer begins well and then",
    "breaks": "This answer begins well and then",
}


class StandIn(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    key = ""
    asked = []  # the bodies of the requests so far
    vanished = 0  # clients that left before their answer's end

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json"):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, message, code):
        self.reply(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})

    def allowed(self):
        if not self.key or self.headers.get("Authorization") == "Bearer " + self.key:
            return True
        self.refuse(401, "This server wants an API key.", "invalid_api_key")
        return False

    def do_GET(self):
        if self.path in FILES:
            name, kind = FILES[self.path]
            self.reply(200, (PAGE / name).read_bytes(), kind)
        elif self.path == "/asked":
            self.reply(200, {"asked": StandIn.asked, "vanished": StandIn.vanished})
        elif self.path == "/v1/models":
            if self.allowed():
                self.reply(200, {"object": "list", "data": [
                    {"id": name, "object": "model", "created": 0, "owned_by": "lowrank", "parent": None if name == BASE else BASE, "root": name}
                    for name in [*ANSWERS, "gone"]]})
        else:
            self.refuse(404, f"There is nothing at {self.path}.", "not_found")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        StandIn.asked.append(body)
        model = body["model"]
        if model not in ANSWERS:
            self.refuse(404, f"There is no model `{model}`. Nearest names: pirate, law.", "model_not_found")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            self.stream(model, body)
        except (BrokenPipeError, ConnectionResetError):
            StandIn.vanished += 1

    def send_event(self, event):
        self.wfile.write(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def stream(self, model, body):
        words = ANSWERS[model].split(" ")
        words = words[:body["max_tokens"]]
        for place, word in enumerate(words):
            delta = {"content": (" " if place else "") + word}
            self.send_event({"object": "chat.completion.chunk", "model": model, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            time.sleep(0.05 if model == "slow" else 0.015)
        if model == "breaks":
            return
        if model == "fails":
            self.send_event({"error": {"message": "The adapter `fails` has a tensor that is not finite.", "type": "server_error", "code": None}})
            return
        cut = len(words) == body["max_tokens"]
        self.send_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length" if cut else "stop"}]})
        if body.get("stream_options", {}).get("include_usage"):
            self.send_event({"choices": [], "usage": {"prompt_tokens": 31, "completion_tokens": len(words), "total_tokens": 31 + len(words)}})
        self.send_event("[DONE]")


if __name__ == "__main__":
    StandIn.key = sys.argv[2] if len(sys.argv) > 2 else ""
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), StandIn).serve_forever()
