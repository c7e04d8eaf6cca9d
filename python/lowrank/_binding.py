"""The C interface (lowrank.h) through ctypes."""
from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any


class Error(Exception):
    """A failure of the library. `kind`: not_found, invalid, corrupt, unsupported, io or interrupted."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


STEP_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
TEXT_CALLBACK = STEP_CALLBACK

_TEXT, _SESSION = ctypes.c_char_p, ctypes.c_void_p
_OWNED = ctypes.c_void_p  # a text that lowrank_free takes
_FUNCTIONS = {  # name: result, arguments
    "lowrank_error": (_TEXT, []),
    "lowrank_error_kind": (_TEXT, []),
    "lowrank_version": (_TEXT, []),
    "lowrank_free": (None, [_OWNED]),
    "lowrank_methods": (_OWNED, []),
    "lowrank_open": (_SESSION, [_TEXT, _TEXT]),
    "lowrank_close": (None, [_SESSION]),
    "lowrank_describe": (_OWNED, [_SESSION]),
    "lowrank_attach": (ctypes.c_int, [_SESSION, _TEXT, _TEXT]),
    "lowrank_detach": (ctypes.c_int, [_SESSION, _TEXT]),
    "lowrank_save": (ctypes.c_int, [_SESSION, _TEXT, _TEXT]),
    "lowrank_train": (_OWNED, [_SESSION, _TEXT, _TEXT, STEP_CALLBACK, ctypes.c_void_p]),
    "lowrank_evaluate": (_OWNED, [_SESSION, _TEXT]),
    "lowrank_generate": (_OWNED, [_SESSION, _TEXT, _TEXT, TEXT_CALLBACK, ctypes.c_void_p]),
    "lowrank_merge": (_OWNED, [_SESSION, _TEXT, _TEXT, _TEXT]),
}


def _load() -> ctypes.CDLL:
    """The library beside this file, or the one that LOWRANK_LIBRARY names."""
    if "torch" in sys.modules:
        raise ImportError("lowrank brings a libtorch of its own, which does not go with an imported torch: use another process")
    place = Path(os.environ.get("LOWRANK_LIBRARY") or Path(__file__).parent / "lib" / "liblowrank.so")
    if not place.exists():
        raise ImportError(f"{place}: no library; install the wheel, or name one in LOWRANK_LIBRARY")
    loaded = ctypes.CDLL(str(place))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


library = _load()


def call(function: Any, *arguments: Any) -> Any:
    """The result of a function that returns NULL or -1 on failure. Raises Error."""
    result = function(*arguments)
    if result is None or result == -1:
        raise Error(library.lowrank_error().decode(), library.lowrank_error_kind().decode())
    return result


def text_of(function: Any, *arguments: Any) -> str:
    """The text that a function returns, copied and freed. Raises Error."""
    owned = call(function, *arguments)
    try:
        return ctypes.string_at(owned).decode()
    finally:
        library.lowrank_free(owned)
