"""Fine-tuning of language models with few trained parameters: the library of the program `lowrank`, without torch or transformers.

    import lowrank
    session = lowrank.open("model.gguf")
    session.train("mine", data="rows.jsonl", steps=100)
    print(session.generate("Once upon a time", adapter="mine"))

Options have the names of the program's (`lowrank train --help`), with underscores. Failures raise lowrank.Error."""
from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Union

from ._binding import STEP_CALLBACK, TEXT_CALLBACK, Error, call, library, text_of

__all__ = ["Error", "Session", "methods", "open", "version"]
__version__ = library.lowrank_version().decode()

Options = Mapping[str, Any]
Path_ = Union[str, Path]


def version() -> str:
    """The version of the library."""
    return __version__


def methods() -> list[dict]:
    """The methods that train adapters: name, summary, paper, default_learning_rate."""
    return json.loads(text_of(library.lowrank_methods))


def open(model: Path_, **options: Any) -> Session:
    """Opens a Hugging Face folder or a GGUF file. Options: dtype, base_memory, base_format, threads."""
    return Session(model, **options)


def _plain(options: Options) -> bytes:
    return json.dumps({name: str(value) if isinstance(value, Path) else value for name, value in options.items()}).encode()


class Session:
    """A base model and the adapters attached to it. Use it in `with`, or call close()."""

    def __init__(self, model: Path_, **options: Any) -> None:
        self._session: Optional[int] = None
        self._session = call(library.lowrank_open, str(model).encode(), _plain(options))

    def close(self) -> None:
        """Frees the model. The session cannot be used afterwards."""
        if self._session is not None:
            library.lowrank_close(self._session)
            self._session = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @property
    def model(self) -> dict:
        """family, task, parameters, context, labels."""
        described = self._describe()
        del described["adapters"]
        return described

    @property
    def adapters(self) -> list[dict]:
        """name, method and parameters of each attached adapter."""
        return self._describe()["adapters"]

    def attach(self, name: str, path: Path_) -> None:
        """Attaches an adapter: a PEFT, AdapterHub or mlx-lm folder, or a GGUF LoRA."""
        call(library.lowrank_attach, self._session, name.encode(), str(path).encode())

    def detach(self, name: str) -> None:
        call(library.lowrank_detach, self._session, name.encode())

    def save(self, name: str, folder: Path_) -> None:
        """Writes an attached adapter to a folder, in its method's files."""
        call(library.lowrank_save, self._session, name.encode(), str(folder).encode())

    def train(self, name: str, after_step: Optional[Callable[[dict], Optional[bool]]] = None, **options: Any) -> dict:
        """Trains an adapter on `data` and attaches it as `name`. `after_step` gets each step (step, total_steps, loss,
        learning_rate, tokens, seconds) and may return False to stop. Returns the run's summary."""
        step, failure = _callback(STEP_CALLBACK, after_step and (lambda text: after_step(json.loads(text))))
        return self._run(failure, library.lowrank_train, name.encode(), _plain(options), step, None)

    def evaluate(self, **options: Any) -> dict:
        """The mean loss over the target tokens of `data`, with an attached `adapter` or without."""
        return self._run([], library.lowrank_evaluate, _plain(options))

    def generate(self, prompt: str, on_text: Optional[Callable[[str], Optional[bool]]] = None, **options: Any) -> str:
        """Continues a prompt, or with `chat=True` answers it through the model's chat template; with an attached `adapter` or
        without. `on_text` gets each new piece of text and may return False to stop."""
        piece, failure = _callback(TEXT_CALLBACK, on_text)
        return self._run(failure, library.lowrank_generate, prompt.encode(), _plain(options), piece, None)["text"]

    def merge(self, name: str, output: Path_, **options: Any) -> dict:
        """Writes the base with an attached adapter in its weights, to a new folder or FILE.gguf."""
        return self._run([], library.lowrank_merge, name.encode(), str(output).encode(), _plain(options))

    def _describe(self) -> dict:
        return json.loads(text_of(library.lowrank_describe, self._session))

    def _run(self, failure: list[BaseException], function: Any, *arguments: Any) -> dict:
        """Calls a function that returns JSON. An exception that a callback raised comes before the library's own."""
        try:
            return json.loads(text_of(function, self._session, *arguments))
        except Error:
            if failure:
                raise failure[0] from None
            raise


def _callback(kind: Any, function: Optional[Callable[[str], Optional[bool]]]) -> tuple[Any, list[BaseException]]:
    """A C callback that calls `function`, and a list that holds what it raised."""
    failure: list[BaseException] = []
    if function is None:
        return ctypes.cast(None, kind), failure

    def called(_user: Any, text: bytes) -> int:
        try:
            return 1 if function(text.decode()) is False else 0
        except BaseException as error:  # must not pass through C
            failure.append(error)
            return 1

    return kind(called), failure
