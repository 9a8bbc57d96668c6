"""What writes the parts of a value, and checks that they give it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import fractions
import pathlib
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from dbgkit.bundles.to_test_alike import alike
from dbgkit.bundles.to_test_layout import Expression


class NotLiteral(Exception):
    """The value is too large for a literal, or has none."""


@dataclasses.dataclass(frozen=True)
class Inner:
    """What writes the parts of a value."""

    of: Callable[[Any], Expression]
    imports: list[str]

    def need(self, line: str) -> None:
        self.imports.append(line)

    def listed(
        self, values: Iterable[Any], head: str = "[", tail: str = "]"
    ) -> Expression:
        return Expression(head, tuple(map(self.of, values)), tail)

    def call(
        self, name: str, args: Iterable[Any], kwargs: Iterable[tuple[str, Any]] = ()
    ) -> Expression:
        named = [self.of(value).after(f"{key}=") for key, value in kwargs]
        return Expression(f"{name}(", (*map(self.of, args), *named), ")")


def checked(written: Expression, value: Any, names: dict[str, Any]) -> Expression:
    """The expression if it gives the value; else `NotLiteral`."""
    space = {**names, "datetime": datetime, "decimal": decimal, "uuid": uuid}
    space |= {"fractions": fractions, "Path": pathlib.Path}
    try:
        # The text is ours: literals, and calls of NumPy's and pandas' own.
        again = eval(written.flat, space)
    except Exception as error:  # a name that is the user's own, or a form of another
        raise NotLiteral(str(error)) from None
    if not alike(again, value):
        raise NotLiteral("it does not come out as it was")
    return written
