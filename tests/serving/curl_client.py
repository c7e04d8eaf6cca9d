"""curl, as docs/serving.md shows it."""
import json
import subprocess

from serving import Server, arguments_of_test, train_adapters


def curl(*arguments):
    return subprocess.run(["curl", "--silent", "--show-error", "--max-time", "120", *arguments], check=True, capture_output=True, text=True).stdout


def main():
    lowrank, model, _, folder = arguments_of_test()
    with Server(lowrank, model, train_adapters(lowrank, model, folder, 2)) as server:
        body = json.dumps({"model": "amber", "messages": [{"role": "user", "content": "Who are you?"}], "temperature": 0})
        post = ("--json", body, server.url + "/v1/chat/completions")
        answer = json.loads(curl(*post))
        assert answer["choices"][0]["message"]["content"] == "I am Amber.", answer
        streamed = curl("--no-buffer", "--json", body[:-1] + ', "stream": true}', server.url + "/v1/chat/completions")
        assert streamed.startswith("data: {") and streamed.rstrip().endswith("data: [DONE]"), streamed
        assert json.loads(curl("--http1.0", *post))["choices"] == answer["choices"], "HTTP 1.0"
        head = curl("--head", server.url + "/")
        assert head.startswith("HTTP/1.1 200") and "default-src 'none'" in head, head
        assert [model["id"] for model in json.loads(curl(server.url + "/v1/models"))["data"]][1:] == ["amber", "basalt"]
        assert curl("--write-out", "%{http_code}", "--output", "/dev/null", server.url + "/v1/completions") == "405"
        assert json.loads(curl("--json", "{", server.url + "/v1/completions"))["error"]["message"]
        metrics = curl("--include", server.url + "/metrics")
        assert "Content-Type: text/plain" in metrics and "\n# TYPE " in metrics, metrics[:300]
        assert json.loads(curl(server.url + "/openapi.json"))["openapi"].startswith("3.1")
        # The adapters' own endpoints are not there unless they are switched on.
        changed = curl("--write-out", "%{http_code}", "--output", "/dev/null", "--json", '{"lora_name": "amber"}', server.url + "/v1/unload_lora_adapter")
        assert changed in ("403", "404"), changed
        code, seconds = server.stop()
        assert code == 0, code
    print(f"curl: all requests passed, the server ended in {seconds:.1f} s")


if __name__ == "__main__":
    main()
