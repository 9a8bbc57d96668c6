"""What several kinds of data share: keys and times, and how they are written."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar


@dataclass(frozen=True)
class Span:
    """The span of time in which an answer was taken (timezone-aware, UTC)."""

    start: datetime
    end: datetime


class FoundIn:
    """Mixin for ``found_in``, formerly ``source``, as it still is in JSON."""

    found_in: str

    @property
    def source(self) -> str:
        """The former name of `found_in`."""
        warnings.warn(
            f"{type(self).__name__}.source is now called found_in: source means the "
            "text of code",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.found_in

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Accept pickles with the former name, too."""
        vars(self).update(state)
        if "source" in vars(self):
            vars(self)["found_in"] = vars(self).pop("source")


class Jsonable:
    """Mixin for dataclasses: their form in JSON.

    ``_json`` has the names in JSON, in order; all fields where it is empty. With
    ``name=attribute``, the value is that of another attribute.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _json: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, for ``--json``."""
        kinds = {each.name: str(each.type) for each in fields(self)}
        found = {}
        for name in self._json.split() or kinds:
            name, _, attribute = name.partition("=")
            value = attrgetter(attribute or name)(self)
            kind = "" if attribute else kinds.get(name, "")
            keys = "Key" in kind  # a tuple may be a key, or have some
            found[name] = _keys(value, kind.count("tuple[")) if keys else _plain(value)
        return found


def _keys(value: Any, levels: int) -> Any:
    """A key, or the keys in tuples, as JSON has them."""
    if not levels:
        return plain_key(value)
    return [_keys(each, levels - 1) for each in value]


def _plain(value: Any) -> Any:
    if isinstance(value, Jsonable):
        return value.to_json()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Span):
        return [value.start.isoformat(), value.end.isoformat()]
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return value


def plain_key(key: Any) -> Any:
    """A key as JSON has it: tuples become their text."""
    return key if isinstance(key, (str, int, float, type(None))) else str(key)
