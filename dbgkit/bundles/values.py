"""Values in formats that are read without running code.

A value is written that way only where what is read back is the same: its type, its
dtypes, each bit of its numbers, its order. Everything else is pickled.
"""

from __future__ import annotations

import zipfile
from typing import Any, NamedTuple

from dbgkit.bundles import values_arrow, values_json, values_npy
from dbgkit.bundles.entries import (
    OpenEntry,
    Writer,
    read_whole,
    unreadable,
    writing,
)
from dbgkit.bundles.manifest import EntryForm
from dbgkit.errors import BundleUnreadable
from dbgkit.model.recordings import MALFORMED

__all__ = ["Plan", "Stored", "ValueWriter", "is_data", "read_value"]


class Stored(NamedTuple):
    """Where a value is: ``format`` is ``"npy"``, ``"arrow"`` or ``"json"``."""

    entry: str
    format: str
    nbytes: int


class Plan(NamedTuple):
    """A value that has a safe format, and how it will be written."""

    entry: str
    format: str
    writer: Writer


def is_data(value: Any) -> bool:
    """Whether a value is an array or a table, which is stored apart if it can be."""
    return values_npy.is_array(value) or values_arrow.is_table(value)


class ValueWriter:
    """Writes values into an archive, each as an entry of its own."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.entries: dict[str, EntryForm] = {}
        self._archive = archive
        self._count = 0

    def store(self, value: Any) -> Stored | None:
        """Write a value; None if no safe format gives it back: nothing is written."""
        plan = self.plan(value)
        return None if plan is None else self.write(plan)

    def plan(self, value: Any) -> Plan | None:
        """How a value can be written, after comparing what would be read back."""
        if values_npy.is_array(value):
            kind, writer = "npy", values_npy.plan(value)
        elif values_arrow.is_table(value):
            kind, writer = "arrow", values_arrow.plan(value)
        else:
            kind, writer = "json", values_json.plan(value)
        if writer is None:
            return None
        plan = Plan(f"inputs/{self._count}.{kind}", kind, writer)
        self._count += 1
        return plan

    def write(self, plan: Plan) -> Stored:
        """Write what was planned, which has not changed since."""
        entry, kind, writer = plan
        with writing(
            self._archive, entry, self.entries, compressed=writer.compressed
        ) as file:
            writer.write(file)
        return Stored(entry, kind, self.entries[entry]["nbytes"])


def read_value(name: str, open_entry: OpenEntry, limit: int) -> Any:
    """The value of an entry of at most ``limit`` bytes; no code is run for it.

    Raises
    ------
    BundleUnreadable
        It is too large, damaged, or of a newer format; or numpy, pandas or pyarrow,
        which it is for, is not installed.
    """
    kind = name.rpartition(".")[2]
    try:
        if kind == "npy":
            with open_entry(name) as file:
                return values_npy.read(file, limit)
        if kind == "arrow":
            return values_arrow.read(read_whole(name, open_entry, limit), limit)
        if kind == "json":
            return values_json.read(read_whole(name, open_entry, limit))
    except BundleUnreadable:
        raise
    except ImportError as error:
        raise BundleUnreadable(
            f"{name!r} needs what cannot be imported here: {error}", "install it"
        ) from error
    except MALFORMED as error:
        raise unreadable(name, error) from error
    raise BundleUnreadable(f"{name!r} is of no format that is known")
