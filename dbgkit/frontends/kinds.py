"""An option as data, and how each kind of option is read."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbgkit.remote.common.parsing import in_daskish

_COLUMN = 25  # where the help of an option begins


@dataclass(frozen=True)
class Option:
    """One option of a verb, for every front end."""

    keyword: str  # the verb's parameter
    help: str  # what it is, in one phrase
    # How it is read: one of `KINDS`; "flag", which has no value; or all values that
    # there are: "task|ancestors".
    kind: str = "text"
    default: Any = None  # as the verb's signature has it
    shown: str = ""  # the default in words, where it is not to be shown as it is
    # What is typed after --, by default the keyword; a flag with no- stands for False.
    name: str = ""
    also: tuple[str, ...] = ()  # other spellings on the command line
    form: str = ""  # what stands for the value in the help, by default as its kind has
    # Values that completion offers, of a kind that takes others too.
    some: Callable[[], tuple[str, ...]] = tuple
    opposite: str = ""  # the name of the flag that stands for the opposite
    many: bool = False  # whether it may be repeated: its value is a list then
    only: str = ""  # the one front end that it holds in; by default all

    @property
    def flag(self) -> str:
        return f"--{self.name or self.keyword.replace('_', '-')}"

    @property
    def value(self) -> bool:
        """What a flag stands for."""
        return not self.name.startswith("no-")

    @property
    def choices(self) -> tuple[str, ...]:
        """All values that there are; empty where there are others."""
        return tuple(self.kind.split("|")) if "|" in self.kind else ()

    @property
    def metavar(self) -> str:
        """What stands for the value; empty for a flag, which has none."""
        if self.choices:
            return self.kind
        return "" if self.kind == "flag" else self.form or KINDS[self.kind][0]

    @property
    def notes(self) -> str:
        """Whether it may be repeated, and what holds by default."""
        default = self.shown
        if not default and self.kind != "flag" and self.default is not None:
            default = str(self.default)
        notes = [f"default: {default}"] if default else []
        return "; ".join(["repeatable", *notes] if self.many else notes)

    def read(self, text: str) -> Any:
        """The value of a text, a list where there may be many; or `ValueError`."""
        if not self.choices:
            value = KINDS[self.kind][1](text)
            return [value] if self.many and not isinstance(value, list) else value
        if text not in self.choices:
            raise ValueError(f"{text!r} is not one of {', '.join(self.choices)}")
        return text


def listed(options: Iterable[Option]) -> str:
    """Options with their help, in two columns."""
    lines = []
    for option in options:
        left = f"{option.flag} {option.metavar}".rstrip()
        if option.opposite:
            left += f", --{option.opposite}"
        text = option.help + (f" [{option.notes}]" if option.notes else "")
        first, *rest = textwrap.wrap(text, 84 - _COLUMN)
        if len(left) > _COLUMN - 2:
            lines.append(left)
            left = ""
        lines.append(f"{left:{_COLUMN}}{first}")
        lines += [" " * _COLUMN + each for each in rest]
    return "\n".join(lines)


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"invalid number {text!r}: a whole number from 1 is needed")
    return int(text)


def _duration(text: str) -> str:
    from dask.utils import parse_timedelta

    try:
        value = float(parse_timedelta(in_daskish(text), "s"))
    except (ValueError, KeyError, TypeError):
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"invalid duration {text!r}: write it as 30s or 2m")
    return str(in_daskish(text))


def _moment(text: str) -> datetime | str:
    """A date and time, or how long ago."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return _duration(text)
    except ValueError:
        raise ValueError(
            f"invalid time {text!r}: write it as 2026-01-31T12:00, or 5m: 5 minutes ago"
        ) from None


def _size(text: str) -> str:
    from dask.utils import parse_bytes

    try:
        value = parse_bytes(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**63:
        raise ValueError(f"invalid size {text!r}: write it as 500MB or 2GiB")
    return text


def _list(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _path(text: str) -> str:
    path = os.path.expanduser(text)
    if not os.path.exists(path):
        raise ValueError(f"{text!r} does not exist")
    return os.path.realpath(path)


def _file(text: str) -> str:
    path = _path(text)
    if os.path.isdir(path):
        raise ValueError(f"{text!r} is a folder, not a file")
    return path


# What stands for the value, and how that is read. A "client" is a variable, an address
# or an id, and a "dump" may be a variable too: which one, a front end knows.
KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "client": ("CLIENT", str),
    "dump": ("FILE", os.path.expanduser),
    "duration": ("TIME", _duration),
    "file": ("FILE", _file),
    "list": ("NAME,NAME", _list),
    "moment": ("TIME", _moment),
    "number": ("N", _number),
    "output": ("FILE", os.path.expanduser),
    "path": ("PATH", _path),
    "size": ("SIZE", _size),
    "text": ("TEXT", str),
}
