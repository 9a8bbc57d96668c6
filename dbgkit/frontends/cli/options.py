"""Options of the table as those of click."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from dbgkit.frontends.kinds import Option
from dbgkit.frontends.verbs import MAGICS

F = TypeVar("F", bound=Callable[..., Any])


class _Read(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A value that is read as its option says."""

    def __init__(self, option: Option) -> None:
        self.option = option
        self.name = option.kind

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        try:
            return self.option.read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        if self.option.kind in ("dump", "file", "output", "path"):
            return [CompletionItem(incomplete, type="file")]
        if self.option.keyword == "scheduler":
            from dbgkit.frontends.cli.completing import complete_addresses

            return complete_addresses(incomplete)
        before, comma, part = incomplete.rpartition(",")
        return [
            CompletionItem(f"{before}{comma}{choice}")
            for choice in self.option.choices or self.option.some()
            if choice.startswith(part)
        ]


def declared(options: Iterable[Option]) -> Callable[[F], F]:
    """A decorator that gives a command these options, but those of magics alone."""

    def decorate(command: F) -> F:
        for option in reversed([each for each in options if each.only != MAGICS]):
            command = _declared(option)(command)
        return command

    return decorate


def _declared(option: Option) -> Callable[[F], F]:
    text = f"{option.help[0].upper()}{option.help[1:]}."
    if option.notes:
        text += f"  [{option.notes}]"
    names = (option.keyword, option.flag, *option.also)
    if option.opposite:
        both = f"{option.flag}/--{option.opposite}"
        return click.option(option.keyword, both, default=None, help=text)
    if option.kind == "flag":
        return click.option(
            *names,
            is_flag=True,
            callback=lambda ctx, param, on: option.value if on else option.default,
            help=text,
        )
    return click.option(
        *names,
        type=_Read(option),
        multiple=option.many,
        default=option.default,
        callback=_joined if option.many else None,
        metavar=option.metavar,
        help=text,
    )


def _joined(ctx: click.Context, param: click.Parameter, values: Any) -> Any:
    """The values of all occurrences, each of which is a list; None: there is none."""
    return [each for one in values for each in one] or None
