"""Hooks of schemathesis: requests that are good otherwise name a model that is there, so that they reach it."""
import itertools
import os

import schemathesis

NAMES = itertools.cycle(os.environ["SERVING_NAMES"].split())


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        body = {**body, "model": next(NAMES)}
        if body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
            body["max_tokens"] = 2  # more answers, and longer ones, take time and show nothing else
        if isinstance(body.get("n"), int) and 2 < body["n"] <= 16:
            body["n"] = 2
    return body
