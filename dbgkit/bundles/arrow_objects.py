"""Columns of objects in Arrow, and back: see `arrow_columns`.

Each object is a text of JSON: as `values_json` has it for builtin types, and as an
object with one name, its kind, for what columns hold beside them.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable
from typing import Any

from dbgkit.bundles.arrow_streams import Read, Streams
from dbgkit.bundles.values_json import read as read_text
from dbgkit.bundles.values_json import text_of
from dbgkit.remote.common.objects import namespace

_BUILTIN = (int, complex, bytes)
_SHORT = 64  # bits of numbers that have no other form
_LONGEST = 1_000  # characters of a decimal number


class Objects:
    """Objects, as far as they are of plain types: each as it is, with its type."""

    name = "objects"

    @staticmethod
    def write(array: Any, streams: Streams, stream: int) -> dict[str, Any] | None:
        import numpy

        if array.dtype != object:
            return None
        values = numpy.asarray(array)
        texts = all(type(each) is str or each is None for each in values)
        piece = _texts if texts else _forms
        at = streams.add(stream, lambda rows: piece(values[rows]))
        return {"texts": texts, "at": at}

    @staticmethod
    def read(note: Any, streams: Read, limit: int) -> Any:
        import numpy

        column = streams.column(note["at"])
        found = numpy.empty(len(column), object)
        values = column.to_pylist()
        for place, each in enumerate(values):
            found[place] = each if note["texts"] else _value(each)
        return found


def _texts(values: Any) -> Any:
    import pyarrow

    return pyarrow.array(values.tolist(), pyarrow.large_string())


def _forms(values: Any) -> Any:
    import pyarrow

    return pyarrow.array(list(map(_form, values)), pyarrow.large_string())


def _form(value: Any) -> str:
    kind = type(value)
    short = kind is int and value.bit_length() < _SHORT
    if short or kind is str or kind is float or kind is bool or value is None:
        return json.dumps(value)  # as `text_of` has it, at a tenth of the time
    if any(kind is each for each in _BUILTIN):
        text = text_of(value)
    else:
        text = _other_form(value, kind)
    if text is None:
        raise ValueError(f"a {kind.__name__} that has no form of its own")
    return text


def _other_form(value: Any, kind: type) -> str | None:
    """What is in columns beside builtin types."""
    pandas = namespace("pandas")
    if value is pandas.get("NA"):
        return '{"NA":0}'
    if value is pandas.get("NaT"):
        return '{"NaT":0}'
    for name, (own, write, _) in _KINDS.items():
        if kind is own:
            return json.dumps({name: write(value)})
    return None


def _value(text: str) -> Any:
    if not text.startswith("{"):
        return read_text(text.encode())
    ((name, form),) = json.loads(text).items()
    if name in ("NA", "NaT"):
        return namespace("pandas")[name]
    return _KINDS[name][2](form)


def _of_decimal(form: str) -> decimal.Decimal:
    if len(form) > _LONGEST:
        raise ValueError(f"a number of {len(form):,} digits")
    try:
        return decimal.Decimal(form)
    except decimal.InvalidOperation:
        raise ValueError(f"no number: {form!r:.80}") from None


def _parts(value: datetime.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_Kind = tuple[type, Callable[[Any], Any], Callable[[Any], Any]]
# Times of a named zone do not survive, so that they are not written.
_KINDS: dict[str, _Kind] = {
    "date": (
        datetime.date,
        datetime.date.isoformat,
        datetime.date.fromisoformat,
    ),
    "datetime": (
        datetime.datetime,
        datetime.datetime.isoformat,
        datetime.datetime.fromisoformat,
    ),
    "timedelta": (
        datetime.timedelta,
        _parts,
        lambda form: datetime.timedelta(*form),
    ),
    "decimal": (decimal.Decimal, str, _of_decimal),
}
