"""Uses the installed package:  check_package.py FIXTURES FOLDER (with rows.jsonl)"""
import shutil
import sys
from pathlib import Path

import lowrank

fixtures, folder = Path(sys.argv[1]), Path(sys.argv[2])
model, rows = fixtures / "tiny_llama" / "linear", folder / "rows.jsonl"
assert Path(lowrank.__file__).is_relative_to(folder), lowrank.__file__
assert {method["name"] for method in lowrank.methods()} >= {"lora", "dora", "ia3"}


def raises(kind, words, work):
    try:
        work()
    except lowrank.Error as error:
        assert error.kind == kind and words in str(error), (error.kind, str(error))
    else:
        raise AssertionError(f"no error: {words}")


with lowrank.open(model, dtype="f32") as session:
    assert session.model["family"] == "llama", session.model
    base = session.evaluate(data=rows)["loss"]
    steps = []
    summary = session.train("mine", data=rows, steps=20, lr=0.01, target_modules="all-linear", after_step=steps.append)
    assert summary["steps"] == 20 == len(steps) and steps[-1]["step"] == 20, summary
    trained = session.evaluate(data=rows, adapter="mine")["loss"]
    assert trained < base - 0.1, (trained, base)
    session.save("mine", folder / "adapter")
    session.attach("again", folder / "adapter")
    assert [adapter["name"] for adapter in session.adapters] == ["again", "mine"], session.adapters
    merged = session.merge("mine", folder / "merged")
    assert merged["largest_logit_difference"] < 1e-4, merged

    raises("interrupted", "stopped", lambda: session.train("other", data=rows, steps=9, after_step=lambda step: False))
    raises("invalid", "rank", lambda: session.train("other", data=rows, rnak=3))
    raises("not_found", "absent", lambda: session.detach("absent"))
    raises("not_found", "no/model", lambda: lowrank.open("no/model"))
    try:
        session.train("other", data=rows, steps=9, after_step=lambda step: step["nothing"])
    except KeyError:
        pass
    else:
        raise AssertionError("an exception of the callback is lost")

# With a tokenizer beside it, the same model generates text.
shutil.copytree(model, folder / "speaking")
shutil.copy(fixtures / "letters" / "tokenizer.json", folder / "speaking")
with lowrank.open(folder / "speaking", dtype="f32") as session:
    pieces = []
    text = session.generate("The cat", on_text=pieces.append, max_new_tokens=8)
    assert text and "".join(pieces) == text, (pieces, text)
    assert session.generate("The cat", max_new_tokens=8) == text
    session.attach("mine", folder / "adapter")
    session.generate("The cat", adapter="mine", max_new_tokens=8)
print(f"lowrank {lowrank.version()}: loss {base:.3f} -> {trained:.3f}")
