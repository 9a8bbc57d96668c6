"""What is typed as KEY: a key, how one begins, or a number in the list of failures."""

from __future__ import annotations

import glob
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from dbgkit import advice
from dbgkit.errors import NoFailure, UnknownKey, WrongTarget
from dbgkit.frontends.cli import listed
from dbgkit.frontends.wording import quoted, shell_text
from dbgkit.remote.common.parsing import literal

if TYPE_CHECKING:
    from dbgkit.cluster.view import View
    from dbgkit.model import FailureReport

T = TypeVar("T")

NAMED = 5  # keys that begin with a text


def note_listed(view: View, report: FailureReport) -> None:
    """Have the numbers of a list stand for what was shown beside them."""
    keys = [group.example.key for group in report.groups]
    listed.remember(*_where(view), keys)


def numbered(view: View, text: str | None, limit: str) -> Any:
    """The key that a number in the list of failures stands for; else the text."""
    if text is None or not is_number(text):
        return text
    number = int(text)
    last = listed.last_listed(_where(view)[0])
    if last is None:
        return _numbered_now(view, number, limit)
    if not 1 <= number <= len(last.keys):
        raise _no_such(number, len(last.keys), f"in the list of {last.time}")
    try:
        key = last.key(number)
    except (LookupError, ValueError):
        raise WrongTarget(
            f"the key of failure {number} was not kept: it is very long, or holds what "
            "looks like a secret",
            "name the key itself",
        ) from None
    _tell(f"{number} in the list of {last.time} is {named(key)}")
    return key


def _numbered_now(view: View, number: int, limit: str) -> Any:
    """The same, where no list is known: of the list as it is now."""
    from dbgkit.api.failures import failures

    report = failures(view=view, timeout=limit, limit=max(number, 1))
    if not 1 <= number <= len(report.groups):
        raise _no_such(number, len(report.groups) + report.omitted, "now")
    key = report.groups[number - 1].example.key
    _tell(f"{number} in the list of failures as it is now is {named(key)}")
    return key


def _no_such(number: int, count: int, when: str) -> NoFailure:
    there = "is 1" if count == 1 else f"are {count}"
    return NoFailure(
        f"there is no failure {number}: there {there} {when}",
        f"{advice.call('failures')} lists them; a key that is a number is written "
        f"{quoted(repr(str(number)))}, or {quoted(f'({number})')}",
    )


def opened(view: View, text: str | None, limit: str, run: Callable[[Any], T]) -> T:
    """What a verb makes of the failed task that a text names.

    The key itself may also be written without the quotes in it, or not to its end.
    """
    target = numbered(view, text, limit)
    from dbgkit.targets.refusals import PASS_EXCEPTION

    try:
        return run(target)
    except UnknownKey as error:
        if error.hint == PASS_EXCEPTION:  # in a terminal there is none
            error.hint = f"{advice.call('failures')} lists what has failed"
        if text is None or target is not text or error.key != text:
            raise
        found = beginning(view, text, limit)
        if not found:
            raise
    if len(found) > 1:
        few = [*map(named, found[:NAMED]), *(["…"] if len(found) > NAMED else [])]
        raise WrongTarget(
            f"more than one failed task begins with {text!r}: {', '.join(few)}",
            "write more of the key",
        )
    _tell(f"{quoted(text)} is {named(found[0])}")
    return run(found[0])


def beginning(
    view: View, text: str, limit: str, state: str | None = "erred", most: int = 20
) -> list[Any]:
    """Keys of tasks that begin with a text, or are it but for quotes; not too many.

    Of a tuple, its name may begin with it.
    """
    from dbgkit.api.tasks import tasks

    start = glob.escape(text)
    exact = _unquoted(text)
    asked: list[Any] = [f"{start}*", f"[(]['\"]{start}*"]
    for keys in [*([[exact]] if exact else []), *asked]:
        table = tasks(keys=keys, state=state, view=view, timeout=limit, limit=most)
        if table.rows:
            return [row.key for row in table.rows]
    return []


def is_number(text: str) -> bool:
    """Whether a text stands for a place in the list of failures."""
    return text.isascii() and text.isdecimal()


def named(key: Any) -> str:
    """A key as it is typed."""
    return quoted(shell_text(key))


def _unquoted(text: str) -> tuple[Any, ...] | None:
    """A tuple that is written without quotes, as a shell leaves it: ``(x, 0)``."""
    inside = text.strip().removeprefix("(").removesuffix(")")
    parts = [part.strip() for part in inside.split(",")]
    return tuple(map(_part, parts)) if len(parts) > 1 and parts[0] else None


def _part(text: str) -> Any:
    try:
        return literal(text)
    except ValueError:
        return text


def _where(view: View) -> tuple[str, str]:
    """What a list is of, in words that no other has; and a scheduler's address."""
    from dbgkit.cluster.connection import address_of, scheduler_id
    from dbgkit.cluster.view import LiveView

    if isinstance(view, LiveView):
        return scheduler_id(view.client), address_of(view.client)
    state = view.state
    return f"{state.path} {state.id} {state.transition_counter}", ""


def _tell(text: str) -> None:
    from dbgkit.render.saying import say

    say(text)
