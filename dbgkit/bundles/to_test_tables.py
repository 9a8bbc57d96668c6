"""Small values of pandas as expressions that give them back, dtypes and index too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from dbgkit.bundles.to_test_layout import Expression, quoted, text
from dbgkit.bundles.to_test_parts import Inner, NotLiteral, checked

_CELLS = 240  # of a table that is written out


def of_pandas(value: Any, inner: Inner) -> Expression:
    """The first of several forms that gives the value; `NotLiteral` if none does."""
    pd = sys.modules["pandas"]
    inner.need("import pandas as pd")
    names = {"pd": pd}
    if "numpy" in sys.modules:
        names["np"] = sys.modules["numpy"]
    for form in _forms(pd, value, inner):
        try:
            return checked(form, value, names)
        except NotLiteral:
            continue
    raise NotLiteral(f"a {type(value).__name__} that has no literal")


def _forms(pd: Any, value: Any, inner: Inner) -> Iterator[Expression]:
    if value is pd.NaT or value is pd.NA:
        yield text(f"pd.{value!r}".replace("<NA>", "NA"))
    elif isinstance(value, (pd.Timestamp, pd.Timedelta)):
        name = type(value).__name__
        zone = getattr(value, "tz", None)
        named = f", tz={quoted(str(zone))}" if zone is not None else ""
        plain = value.tz_localize(None) if named else value
        yield text(f"pd.{name}({quoted(str(plain))}{named})")
        yield text(f"pd.{name}({quoted(str(plain))}{named}).as_unit({value.unit!r})")
    elif isinstance(value, pd.DataFrame):
        yield from _of_frame(pd, value, inner)
    elif isinstance(value, pd.Series):
        yield from _of_series(pd, value, inner)
    elif isinstance(value, pd.Index) and not isinstance(value, pd.MultiIndex):
        yield from _of_index(pd, value, inner)


def _of_frame(pd: Any, value: Any, inner: Inner) -> Iterator[Expression]:
    if value.size > _CELLS:
        return
    columns = {name: value.iloc[:, n].tolist() for n, name in enumerate(value.columns)}
    if len(columns) != value.shape[1]:
        return
    index = [*_index(pd, value.index, inner)]
    written = {name: inner.of(cells) for name, cells in columns.items()}
    labels = {name: f"{inner.of(name).flat}: " for name in columns}
    items = tuple(each.after(labels[name]) for name, each in written.items())
    plain = Expression("{", items, "}")
    yield Expression("pd.DataFrame(", (plain, *index), ")")
    usual = pd.DataFrame(columns).dtypes
    for names in zip(*map(_dtype_names, value.dtypes), strict=True):
        types = dict(zip(columns, names, strict=True))
        differ = {
            name: kind for name, kind in types.items() if str(usual[name]) != kind
        }
        given = inner.of(differ).flat
        yield Expression("pd.DataFrame(", (plain, *index), f").astype({given})")
        # Columns of texts and objects keep what they are only if they are told.
        series = tuple(
            Expression(
                "pd.Series(",
                (written[name], *index, text(f"dtype={quoted(kind)}")),
                ")",
            ).after(labels[name])
            for name, kind in types.items()
        )
        yield Expression("pd.DataFrame(", (Expression("{", series, "}"),), ")")


def _dtype_names(dtype: Any) -> tuple[str, str]:
    """What a dtype is called: with what texts are stored in, too."""
    storage = getattr(dtype, "storage", "")
    name = str(dtype)
    return name, f"string[{storage}]" if storage and name == "string" else name


def _of_series(pd: Any, value: Any, inner: Inner) -> Iterator[Expression]:
    if value.size > _CELLS:
        return
    names = dict.fromkeys(_dtype_names(value.dtype))
    kinds = [text(f"dtype={quoted(name)}") for name in names]
    named = [] if value.name is None else [inner.of(value.name).after("name=")]
    index = value.index
    labels = index.dtype == object or str(index.dtype) in ("str", "string")
    if labels and index.is_unique and index.name is None and len(index):
        pairs = dict(zip(index.tolist(), value.tolist(), strict=True))
        yield Expression("pd.Series(", (inner.of(pairs), *named), ")")
        for kind in kinds:
            yield Expression("pd.Series(", (inner.of(pairs), *named, kind), ")")
    parts = (inner.of(value.tolist()), *_index(pd, index, inner), *named)
    yield Expression("pd.Series(", parts, ")")
    for kind in kinds:
        yield Expression("pd.Series(", (*parts, kind), ")")


def _index(pd: Any, index: Any, inner: Inner) -> Iterator[Expression]:
    """The argument ``index=``; nothing where it counts from 0."""
    if type(index) is pd.RangeIndex and index.name is None:
        if (index.start, index.step) == (0, 1):
            return
        yield text(f"index=range({index.start}, {index.stop}, {index.step})")
        return
    written = inner.of(index)
    if written.head == "pd.Index(" and len(written.items) == 1:
        written = written.items[0]  # a list means the same there
    yield written.after("index=")


def _of_index(pd: Any, index: Any, inner: Inner) -> Iterator[Expression]:
    named = [] if index.name is None else [inner.of(index.name).after("name=")]
    if type(index) is pd.RangeIndex:
        span = f"{index.start}, {index.stop}, {index.step}"
        yield Expression(f"pd.RangeIndex({span}", (), ")")
        yield Expression(f"pd.RangeIndex({span}, ", tuple(named), ")")
        return
    if index.size > _CELLS:
        return
    parts = (inner.of(index.tolist()), *named)
    kind = text(f"dtype={quoted(str(index.dtype))}")
    yield Expression("pd.Index(", parts, ")")
    yield Expression("pd.Index(", (*parts, kind), ")")
    freq = getattr(index, "freqstr", None)
    if freq is not None:
        parts = (*parts, text(f"freq={quoted(freq)}"))
        yield Expression(f"pd.{type(index).__name__}(", parts, ")")
