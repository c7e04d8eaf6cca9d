"""schemathesis: requests made from openapi.json, good and bad, are answered as it says. `python described.py FOLDER` (for its report)."""
import os
import subprocess
import sys
from pathlib import Path

from serving import Server, arguments_of_test, train_adapters

# Not `positive_data_acceptance`: what a schema allows can still be too long for the model, or lack a template.
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,"
          "negative_data_rejection,unsupported_method")

HOOKS = Path(__file__).resolve().parent / "described_hooks.py"
FOLDER = Path(sys.argv[1]).resolve()


def examine(server, names, *more):
    command = [Path(sys.executable).parent / "schemathesis", "run", server.url + "/openapi.json", "--checks", CHECKS, "--max-examples", "20",
               "--request-timeout", "120", "--seed", "1", "--suppress-health-check", "all", "--generation-database", "none", *more]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=FOLDER,  # where it keeps notes of its own
                            env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "SERVING_NAMES": " ".join(names)})
    print(result.stdout[-6000:] if result.returncode else "\n".join(result.stdout.splitlines()[-12:]))
    assert result.returncode == 0, result.stderr[-2000:]
    assert server.process.poll() is None, server.log[-2000:]


def main():
    lowrank, model, minilm, folder = arguments_of_test()
    FOLDER.mkdir(parents=True, exist_ok=True)
    report = ("--report", "junit", "--report-dir", FOLDER)
    with Server(lowrank, model, train_adapters(lowrank, model, folder, 2), "--allow-adapter-changes", "--max-new-tokens", 16) as server:
        examine(server, ["amber", "basalt"], *report)
    with Server(lowrank, minilm) as server:
        examine(server, [Path(minilm).name], "--include-path", "/v1/embeddings", "--include-path", "/classify", *report)


if __name__ == "__main__":
    main()
