"""wrk: many short requests over connections that stay open, and completions of two adapters at once. None may fail."""
import re
import subprocess
import tempfile
from pathlib import Path

from serving import Server, arguments_of_test, train_adapters

CONNECTIONS, SECONDS = 8, 5
# Each connection asks both adapters in turn, and counts answers that are not the adapter's own.
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local names, asked, thread_list = {"amber", "basalt"}, 0, {}
local body = [[{"model": "%s", "messages": [{"role": "user", "content": "Who are you?"}], "temperature": 0, "max_tokens": 8}]]
wrong = 0
function setup(thread) table.insert(thread_list, thread) end
function request()
  asked = asked + 1
  return wrk.format(nil, "/v1/chat/completions", nil, body:format(names[asked % 2 + 1]))
end
function response(status, headers, text)
  local name, said = text:match('"model":"(%a+)"'), text:match('I am (%a+)%.')
  if status ~= 200 or not said or said:lower() ~= name then wrong = wrong + 1 end
end
function done()
  local sum = 0
  for _, thread in ipairs(thread_list) do sum = sum + thread:get("wrong") end
  io.write("wrong answers: " .. sum .. "\\n")
end
"""


def wrk(*arguments):
    """The printed report, in which no request failed, and the number of requests."""
    command = ["wrk", "--threads", "2", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s", "--timeout", "60s", *arguments]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in report and "Socket errors" not in report, report
    return report, int(re.search(r"(\d+) requests in", report).group(1))


def main():
    lowrank, model, _, folder = arguments_of_test()
    with Server(lowrank, model, train_adapters(lowrank, model, folder, 2)) as server, tempfile.TemporaryDirectory() as place:
        _, checks = wrk(server.url + "/health")
        script = Path(place) / "chats.lua"
        script.write_text(SCRIPT)
        report, chats = wrk("--script", str(script), server.url)
        assert "wrong answers: 0\n" in report and chats > 0, report
        code, _ = server.stop()
        assert code == 0, code
    print(f"wrk: {checks / SECONDS:.0f} health checks and {chats / SECONDS:.1f} chats of two adapters per second over {CONNECTIONS} connections, none wrong")


if __name__ == "__main__":
    main()
