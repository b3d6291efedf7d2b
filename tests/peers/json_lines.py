"""How the tests speak with a Python peer: one JSON request a line on stdin, one JSON answer a line on stdout.

A request is `{"do": <command>, ...arguments}`; its answer `{"ok": <result>}` or `{"error": <text>, "kind": <class>}`.
JSON has fewer types than msgpack, so what it lacks is written as an object with one key:

    bytes {"bytes": hex}   tuple {"tuple": [...]}   dict {"dict": [[key, value], ...]}   inf, nan {"float": text}
"""

import asyncio
import json
import math
import os
import sys

try:
    from hivemind.utils.timed_storage import ValueWithExpiration, get_dht_time
except ImportError:  # a program that is no peer has no stored values either
    ValueWithExpiration = ()


def to_json(value):
    """A value as JSON that keeps its type; a stored value as {"value": ..., "ttl": seconds to live}."""
    if isinstance(value, ValueWithExpiration):
        return {"value": to_json(value.value), "ttl": to_json(value.expiration_time - get_dht_time())}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, tuple):
        return {"tuple": [to_json(item) for item in value]}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[to_json(key), to_json(item)] for key, item in value.items()]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"no JSON form for {type(value)}")


def from_json(value):
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict):
        ((form, content),) = value.items()
        if form == "bytes":
            return bytes.fromhex(content)
        if form == "tuple":
            return tuple(from_json(item) for item in content)
        if form == "dict":
            return {from_json(key): from_json(item) for key, item in content}
        if form == "float":
            return float(content)
        raise ValueError(f"unknown form {form}")
    return value


def claim_stdout():
    """A file for the answers. Whatever else prints goes to stderr from now on, so that it cannot garble them."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


async def serve(peer, answers):
    """Answers requests with the methods `do_<command>` of `peer` until stdin ends: then its parent is gone."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        try:
            answer = json.dumps({"ok": await getattr(peer, "do_" + request.pop("do"))(**request)})
        except Exception as error:
            answer = json.dumps({"error": str(error) or repr(error), "kind": type(error).__name__})
        answers.write(answer + "\n")
        answers.flush()
