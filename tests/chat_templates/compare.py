"""Compares a program that renders chat templates (tests/template_program.cpp) with what transformers made.

    compare.py PROGRAM PART TEMPLATES...    PART: a folder like tests/fixtures/chat_goldens; TEMPLATES: folders of .jinja files

The files of PART are described in tests/fixtures/make_chat_goldens.py. Prints the first differences and fails if there is one."""
import hashlib
import json
import lzma
import os
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

OWN = Path(__file__).resolve().parent.parent / "fixtures" / "chat_goldens"
OF_MODEL = "smollm2.gguf.jinja"  # the template that no wheel has
SHOWN = 10
SECONDS, BYTES = 5, 1 << 30  # of processor time for a template that attacks; of memory for each process
WAIT = 300  # seconds for all that is asked of a process, on a busy machine


def rows_of(folder, name):
    """The objects of NAME.jsonl or NAME.jsonl.xz."""
    plain, packed = folder / f"{name}.jsonl", folder / f"{name}.jsonl.xz"
    data = plain.read_bytes() if plain.exists() else lzma.decompress(packed.read_bytes())
    return [json.loads(line) for line in data.decode().split("\n") if line]


def ask(program, requests, seconds=None):
    """The program's answers; {"ended": why} for those that it did not give. SECONDS: of processor time."""
    def bound():
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if seconds:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))

    lines = "".join(json.dumps(request) + "\n" for request in requests).encode()
    try:
        done = subprocess.run([program], input=lines, stdout=subprocess.PIPE, preexec_fn=bound, timeout=WAIT)
        output, why = done.stdout, f"the program ended with status {done.returncode}"
    except subprocess.TimeoutExpired as late:
        output, why = late.stdout or b"", f"no answer in {WAIT} s"
    answers = [json.loads(line) for line in output.split(b"\n")[:-1]]
    return answers + [{"ended": why}] * (len(requests) - len(answers))


def in_characters(text, offsets):
    """Offsets in bytes of UTF-8 as offsets in characters; what lies inside a character is none."""
    places, at = {}, 0
    for index, character in enumerate(text):
        places[at] = index
        at += len(character.encode())
    places[at] = len(text)
    return [places.get(offset) for offset in offsets]


def near(text, at):
    return ascii(text[max(0, at - 20):at + 40])


def text_differs(expected, text):
    if expected == text:
        return None
    at = len(os.path.commonprefix([expected, text]))
    return f"at character {at}, {near(expected, at)} is expected, not {near(text, at)}"


def differs(expected, key, answer):
    """How an answer differs from the text KEY of a row, which may have only its sha256."""
    if "text" not in answer:
        return f"a text is expected, not {ascii(answer)[:150]}"
    if key in expected:
        return text_differs(expected[key], answer["text"])
    data = answer["text"].encode()
    if hashlib.sha256(data).hexdigest() != expected[f"{key}_sha256"]:
        return f"a text of {expected[f'{key}_bytes']} bytes is expected, not this one of {len(data)}"
    return None


def error_differs(error, answer):
    if "error" not in answer:
        return f"an error is expected ({error['message'][:80]}), not {ascii(answer)[:100]}"
    if error["raised"] and error["message"] not in answer["error"]:
        return f"an error with {error['message']!r} is expected, not {answer['error']!r}"
    return None


def spans_differ(expected, answer):
    found = [in_characters(answer["text"], span) for span in answer["byte_spans"]]
    return None if found == expected else f"the spans {expected} are expected, not {found}"


def render_differs(row, answer):
    if "error" in row:
        return error_differs(row["error"], answer)
    return differs(row, "text", answer) or ("spans" in row and spans_differ(row["spans"], answer)) or None


def prompt_differs(row, plain, answer):
    """With a generation prompt."""
    if "gen_error" in row or "error" in row:
        return error_differs(row.get("gen_error") or row["error"], answer)
    if "gen_suffix" in row:
        return differs({"gen_text": plain.get("text", "") + row["gen_suffix"]}, "gen_text", answer)
    return differs(row, "gen_text", answer)


def continued_differs(row, plain, answer):
    """With continue_final_message."""
    if "continue_error" in row:
        return None if "error" in answer else f"an error is expected, not {ascii(answer)[-100:]}"
    if "continue_cut" in row:
        data = plain.get("text", "").encode()
        return differs({"continue_text": data[:len(data) - row["continue_cut"]].decode()}, "continue_text", answer)
    return differs(row, "continue_text", answer)


def snippet_differs(snippet, answer):
    must, expected = snippet["must"], snippet.get("ours", snippet["jinja2"])
    if "ended" in answer:
        return answer["ended"]
    if must == "error":
        return None if "error" in answer else f"it must be refused, not give {ascii(answer)[:100]}"
    if "error" in answer and must != "equal":
        return None if "ours" not in snippet else f"a text is expected, not {answer}"
    if "error" in expected:
        return error_differs({**expected["error"], "raised": must == "equal" and expected["error"]["raised"]}, answer)
    if "died" in expected:
        return None  # jinja2 has no answer
    return differs(expected, "text", answer) or ("spans" in expected and spans_differ(expected["spans"], answer)) or None


def turns_differ(expected, answer):
    if "turns" not in answer:
        return f"turns are expected, not {ascii(answer)[:100]}"
    places = [in_characters(answer["text"], (turn["start"], turn["end"])) for turn in answer["turns"]]
    found = {turn["message"]: place for turn, place in zip(answer["turns"], places)}
    if sorted(found) != sorted(turn["message"] for turn in expected):
        return f"turns of the messages {[turn['message'] for turn in expected]} are expected, not of {sorted(found)}"
    for turn in expected:
        start, end = found[turn["message"]]
        if start != turn["start"] or end is None or not turn["turn_end"] <= end <= turn["ws_end"]:
            return f"message {turn['message']}: {turn['start']} to {turn['turn_end']} (or {turn['ws_end']}) is expected, not {start} to {end}"
    return None


class Comparison:
    def __init__(self, program, part, folders):
        self.program, self.part, self.folders = program, part, folders
        self.meta = json.loads((part / "templates.json").read_text(encoding="utf-8"))
        self.cases = {}
        for folder in {OWN, part}:
            if list(folder.glob("cases.jsonl*")):
                self.cases |= {case["id"]: case for case in rows_of(folder, "cases")}
        self.right, self.wrong, self.left_out = Counter(), Counter(), Counter()
        self.paths = {}

    def note(self, kind, name, difference):
        if not difference:
            self.right[kind] += 1
            return
        self.wrong[kind] += 1
        if self.wrong.total() <= SHOWN:
            print(f"chat_templates: {kind} {name}: {difference}")

    def path(self, template):
        """Where a template is; None where the model that has it is not there."""
        if template not in self.paths:
            found = [folder / template for folder in [OWN, *self.folders] if (folder / template).exists()]
            if not found and template != OF_MODEL:
                sys.exit(f"chat_templates: no {template} in {', '.join(map(str, self.folders))}")
            self.paths[template] = str(found[0]) if found else None
            about = self.meta["templates"].get(template)
            if found and about and hashlib.sha256(found[0].read_bytes()).hexdigest() != about["sha256"]:
                sys.exit(f"chat_templates: {found[0]} is another version of it: its sha256 is not that of {self.part / 'templates.json'}")
        return self.paths[template]

    def request(self, row, about, **asked):
        case = self.cases[row["case"]]
        return {"template": self.path(row["template"]), "bos_token": about["bos_token"], "eos_token": about["eos_token"], "now": self.meta["now"],
                **{key: case[key] for key in ("messages", "tools", "documents", "kwargs", "raw")}, **asked}

    def present(self, rows):
        for row in rows:
            if self.path(row["template"]):
                yield row
            else:
                self.left_out[row["template"]] += 1

    def renders(self):
        whole, rows = {}, []
        for row in rows_of(self.part, "renders"):
            if "same_as" in row:
                row = {**whole[row["same_as"], row["case"]], "template": row["template"]}
            whole[row["template"], row["case"]] = row
            rows.append(row)
        asked, checks = [], []
        for row in self.present(rows):
            about, plain = self.meta["templates"][row["template"]], len(asked)
            asked += [self.request(row, about, spans="spans" in row), self.request(row, about, add_generation_prompt=True)]
            checks += [("render", row, plain), ("generation prompt", row, plain)]
            if any(key.startswith("continue_") for key in row):
                asked.append(self.request(row, about, continue_final_message=True))
                checks.append(("continued", row, plain))
        answers = ask(self.program, asked)
        compare = {"generation prompt": prompt_differs, "continued": continued_differs, "render": lambda row, _, answer: render_differs(row, answer)}
        for (kind, row, plain), answer in zip(checks, answers, strict=True):
            self.note(kind, f"{row['template']}, {row['case']}", compare[kind](row, answers[plain], answer))

    def snippets(self):
        snippets = rows_of(self.part, "snippets")
        asked = [{"source": snippet["source"], "context": snippet["context"], "spans": snippet.get("spans_wanted", False), "now": self.meta["now"]}
                 for snippet in snippets]
        attacks = [snippet["must"] == "bounded" for snippet in snippets]
        others = iter(ask(self.program, [request for request, attack in zip(asked, attacks) if not attack]))
        for snippet, request, attack in zip(snippets, asked, attacks):
            answer = ask(self.program, [request], SECONDS)[0] if attack else next(others)
            name = f"{snippet['id']}, {snippet['feature']} ({ascii(snippet['source'][:90])})"
            self.note(f"snippet ({snippet['must']})", name, snippet_differs(snippet, answer))

    def masks(self):
        rows = list(self.present(rows_of(self.part, "masks")))
        for row, answer in zip(rows, ask(self.program, [self.request(row, row, mask=True) for row in rows])):
            self.note("mask", f"{row['template']}, {row['case']}", turns_differ(row["turns"], answer))


def main():
    program, part, *folders = sys.argv[1:]
    comparison = Comparison(program, Path(part), [Path(folder) for folder in folders])
    comparison.renders()
    comparison.snippets()
    comparison.masks()
    for template, count in comparison.left_out.items():
        print(f"chat_templates: left out {count} rows of {template}: LOWRANK_MODEL names no model")
    for kind in {**comparison.right, **comparison.wrong}:
        print(f"chat_templates: {kind}: {comparison.right[kind]} right, {comparison.wrong[kind]} wrong")
    sys.exit(comparison.wrong.total() > 0)


main()
