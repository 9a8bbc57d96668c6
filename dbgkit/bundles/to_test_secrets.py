"""A test is made to be read and shared: what looks like a secret is not written."""

from __future__ import annotations

import pickletools
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from dbgkit import advice
from dbgkit.errors import NotHere
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.secrets.redact import redact_lines, redact_text, redact_value

_MOST = 20_000  # texts of a value that are looked at
_LONG = 2_000  # characters of one


def refuse_secret(name: str, text: str) -> None:
    """Raise if a value, by its name or its text, looks like a secret."""
    if redact_value(name, text) != text or _hidden(text):
        raise _refusal(f"the value of {name!r}")


def refuse_secrets_in_source(lines: list[str], filename: str) -> None:
    """Raise if there is something like a secret in lines of source."""
    hidden = redact_lines(lines, extra=secret_names())
    for before, after in zip(lines, hidden, strict=False):
        if before != after:
            raise _refusal(f"the line {after.strip()!r} of {filename!r}")


def refuse_secrets_in_file(name: str, value: Any, data: bytes) -> None:
    """Raise if one of the texts of a value looks like a secret."""
    for label, text in islice(_texts(name, value, data), _MOST):
        cut = text[:_LONG]
        if redact_value(label, cut) != cut or _hidden(cut):
            raise _refusal(f"the value of {name!r}")


def _hidden(text: str) -> bool:
    return redact_text(text, extra=secret_names()) != text


def _refusal(what: str) -> NotHere:
    return NotHere(
        f"{what} looks like a secret, and a test is made to be shared",
        f"{advice.option('confidential', True)} writes it all the same",
    )


def _texts(name: str, value: Any, data: bytes) -> Iterator[tuple[str, str]]:
    """Texts within a value, each with the name that it stands under."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(str(key), item, b"")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(name, item, b"")
    elif _is_frame(value):
        for place, column in enumerate(value.columns):
            cells = value.iloc[:, place]
            if cells.dtype.kind not in "biufcmM":
                yield from ((str(column), str(cell)) for cell in cells)
    elif _is_pickle(data):
        yield from ((name, text) for text in _texts_of_pickle(data))


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _is_pickle(data: bytes) -> bool:
    return data[:1] == b"\x80"


def _texts_of_pickle(data: bytes) -> Iterator[str]:
    """The texts of a pickle, of which nothing is loaded."""
    try:
        for _, argument, _ in pickletools.genops(data):
            if isinstance(argument, str):
                yield argument
    except ValueError:  # of protocol 5, with parts elsewhere
        return
