"""What a place is that is armed: a key, a prefix, a function, a line of a file."""

from __future__ import annotations

import inspect
import linecache
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

from dask.base import is_dask_collection
from dask.delayed import Delayed

from dbgkit.cluster.clients import is_future
from dbgkit.errors import WrongTarget
from dbgkit.remote.common.codes import fingerprint, nested, spans
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.common.parsing import literal, parsed
from dbgkit.remote.common.texts import safe_repr, with_article
from dbgkit.remote.common.wire_live import AtForm, CodeForm
from dbgkit.remote.secrets.redact import redact_text

_LINE = re.compile(r"^(?P<file>.+\.(?:py|pyw|ipynb)):(?P<line>\d+)$")
_FILE = re.compile(r"\.(?:py|pyw|ipynb)$")
MOST_HITS = 10**9
WHEN = ("start", "error")
_KINDS = 'a key, a prefix, a function, or "file.py:12"'


def at_form(
    place: Any,
    when: Any,
    condition: str | None,
    hits: int,
    once: bool,
    log: str | None,
) -> AtForm:
    """What workers are to know of a place.

    Raises
    ------
    WrongTarget
        It is nothing that a task can stop at.
    ValueError
        An option is not what it has to be, or there is no code at that line.
    """
    form: AtForm = {
        "text": "",
        "keys": [],
        "prefix": "",
        "file": "",
        "line": 0,
        "codes": [],
        "when": "start",
        "condition": _expression("condition", condition),
        "hits": _hits(hits),
        "once": bool(once),
        "log": _expression("log", log),
        "spent": False,
    }
    line = _line_of(when)
    if line:
        form["when"], form["line"] = "line", line
    else:
        form["when"] = str(when)
    _set_place(form, place)
    form["text"] = _text(form, place)
    return form


def _line_of(when: Any) -> int:
    """The line that ``when`` says; 0 if it is a word."""
    if isinstance(when, str) and when.isdecimal():
        when = int(when)
    if isinstance(when, int) and not isinstance(when, bool) and 0 < when < MOST_HITS:
        return when
    if when not in WHEN:
        raise ValueError(f"when={when!r} is not one of 'start', 'error', or a line")
    return 0


def _hits(hits: Any) -> int:
    if not isinstance(hits, int) or isinstance(hits, bool) or not 0 < hits < MOST_HITS:
        raise ValueError(f"hits={hits!r}: a whole number from 1 is needed")
    return hits


def _expression(name: str, text: str | None) -> str:
    if text is None:
        return ""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name}={text!r}: an expression is needed, as a text")
    try:
        parsed(text.strip(), "eval")
        compile(text.strip(), "<dbgkit break_at>", "eval", dont_inherit=True)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{name}={text!r} is no expression: {error}") from None
    return text.strip()


def _set_place(form: AtForm, place: Any) -> None:
    if is_future(place):
        form["keys"] = [as_key(place.key)]
    elif isinstance(place, str):
        _set_text(form, place)
    elif isinstance(place, (bytes, int, float, tuple)) and not isinstance(place, bool):
        form["keys"] = [as_key(place)]
    elif (function := _function_of(place)) is not None:
        form["codes"] = _codes(function, form["line"])
        form["text"] = function.__qualname__.rpartition("<locals>.")[2]
    elif isinstance(place, Delayed):
        form["keys"] = [as_key(place.key)]
    elif is_dask_collection(place):
        raise WrongTarget(
            f"no task can stop at {with_article(type(place).__name__)}: it has many",
            "pass the prefix of those that are meant",
        )
    else:
        what = with_article(type(place).__name__)
        hint = f"pass {_KINDS}"
        if callable(place):
            what = f"{safe_repr(place, 100)}, which has no Python code"
            hint = "pass the key or the prefix of the tasks that call it"
        raise WrongTarget(f"no task can stop at {what}", hint)


def _set_text(form: AtForm, text: str) -> None:
    """A key, a prefix, or a line of a file."""
    if found := _LINE.match(text):
        if form["when"] == "line":
            raise ValueError(f"{text!r} says the line: when={form['line']} is too much")
        form["file"], form["line"] = found["file"], int(found["line"])
        if not 0 < form["line"] < MOST_HITS:
            raise ValueError(f"{text!r}: there is no such line")
        if form["when"] == "start":
            form["when"] = "line"
        _check_line(form["file"], form["line"])
        return
    if _FILE.search(text):
        raise WrongTarget(f"{text!r} is a file without a line", f"write {text}:12")
    if not text:
        raise WrongTarget("an empty text is no place", f"pass {_KINDS}")
    form["keys"], form["prefix"] = [text], text
    with suppress(ValueError, TypeError):  # it is no literal, or none that is a key
        key = as_key(literal(text))
        hash(key)
        form["keys"].append(key)


def _check_line(file: str, line: int) -> None:
    """Refuse a line without code, where this process has the file."""
    is_here = file.endswith((".py", ".pyw")) and os.path.isfile(file)
    text = "".join(linecache.getlines(file)) if is_here else ""
    try:
        code = compile(text, file, "exec", dont_inherit=True) if text else None
    except (SyntaxError, ValueError):  # of another Python, or not yet written
        return
    if code is not None:
        _check_lines(f"{file}:{line}", line, nested(code))


def _check_lines(named: str, line: int, codes: Iterable[CodeType]) -> None:
    lines = {n for code in codes for *_, n in code.co_lines() if n}
    if line in lines:
        return
    near = sorted(lines, key=lambda each: (abs(each - line), each))
    also = f"; the nearest line that has is {near[0]}" if near else ""
    raise ValueError(f"there is no code at {named}{also}")


def _function_of(place: Any) -> FunctionType | None:
    """The function that a call of something runs first; None if there is none."""
    for _ in range(20):
        if isinstance(place, partial):
            place = place.func
        elif isinstance(place, (MethodType, staticmethod, classmethod)):
            place = place.__func__
        elif not isinstance(place, type) and _is_wrapper(place):
            place = place.__wrapped__
        else:
            break
    if isinstance(place, FunctionType):
        return place
    call = inspect.getattr_static(type(place), "__call__", None)
    if isinstance(call, FunctionType) and not isinstance(place, (type, Delayed)):
        return call
    return None


def _is_wrapper(place: Any) -> bool:
    """Whether it is decorated; of ``dask.delayed``, whether it is no value yet."""
    own = getattr(place, "__dict__", None)
    known = isinstance(own, dict) and "__wrapped__" in own
    return known or hasattr(type(place), "__wrapped__")


def _codes(function: FunctionType, line: int) -> list[CodeForm]:
    """A function's code; with a line, that of it and its inner functions there."""
    code = function.__code__
    found = [code]
    if line:
        name = f"line {line} of {code.co_name}()"
        _check_lines(name, line, nested(code))
        found = [each for each in nested(code) if spans(each, line)]
    return [
        {
            "name": each.co_name,
            "first": each.co_firstlineno,
            "mark": fingerprint(each),
            "module": str(function.__module__ or ""),
            "path": _path_of(each, function),
        }
        for each in found
    ]


def _path_of(each: CodeType, function: FunctionType) -> str:
    """The qualified name of some code, which Python 3.11 has itself."""
    path = getattr(each, "co_qualname", None)
    if path is None:
        is_all = each is function.__code__
        path = function.__qualname__ if is_all else each.co_name
    return str(path)


def _text(form: AtForm, place: Any) -> str:
    """How it is written, as far as a line has room for it."""
    # Of a function it is its name.
    key = form["keys"][0] if form["keys"] else place
    shown = form["text"] or safe_repr(key, 100)
    options: Mapping[str, Any] = {
        "when": form["when"] if form["when"] == "error" else None,
        "condition": form["condition"] or None,
        "hits": form["hits"] if form["hits"] > 1 else None,
        "once": form["once"] or None,
        "log": form["log"] or None,
    }
    if form["when"] == "line" and not form["file"]:
        options = {"when": form["line"], **{k: options[k] for k in [*options][1:]}}
    given = [f"{name}={value!r}" for name, value in options.items() if value]
    return redact_text(f"break_at({', '.join([shown, *given])})")
