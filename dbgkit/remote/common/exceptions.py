"""What is attached to an exception: its cause, its context, the members of a group.

Read without what their classes define, so that no code of the user's is called.
"""

from __future__ import annotations

import builtins
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from .objects import is_a

MOST_LINKED = 1_000

args_of = BaseException.__dict__["args"].__get__
traceback_of = BaseException.__dict__["__traceback__"].__get__
cause_of = BaseException.__dict__["__cause__"].__get__
context_of = BaseException.__dict__["__context__"].__get__
suppresses_context = BaseException.__dict__["__suppress_context__"].__get__

Members = Callable[[BaseException], Iterable[BaseException]]
Link = tuple[str, BaseException]  # "member", "cause" or "context"; and what it is


def group_class() -> Any:
    """The class of exception groups; before Python 3.11 of their backport, if used."""
    backport = sys.modules.get("exceptiongroup")
    return getattr(
        builtins, "BaseExceptionGroup", getattr(backport, "BaseExceptionGroup", None)
    )


def members_of(exception: BaseException) -> tuple[BaseException, ...]:
    """The exceptions in a group; none if it is not a group."""
    kind = group_class()
    if not is_a(type(exception), kind):
        return ()
    found: tuple[BaseException, ...] = kind.__dict__["exceptions"].__get__(exception)
    return found


def raised_from(exception: BaseException) -> Link | None:
    """How Python says that an exception follows from another one, and that one."""
    cause, context = cause_of(exception), context_of(exception)
    if cause is not None:
        return "cause", cause
    if context is not None and not suppresses_context(exception):
        return "context", context
    return None


def shown_links(exception: BaseException) -> Iterator[Link]:
    """What Python shows below an exception: a group's members come first."""
    for member in members_of(exception):
        yield "member", member
    link = raised_from(exception)
    if link is not None:
        yield link


def linked(
    exception: BaseException, *, hidden: bool = True, members: Members = members_of
) -> Iterator[BaseException]:
    """An exception and those attached to it, the nearest first, each once.

    With ``hidden`` also what was being handled where one was raised ``from None``.
    """

    def below(one: BaseException) -> Iterator[BaseException | None]:
        yield from members(one)
        yield cause_of(one)
        if hidden or not suppresses_context(one):
            yield context_of(one)

    seen: set[int] = set()
    waiting: deque[BaseException | None] = deque([exception])
    while waiting and len(seen) < MOST_LINKED:
        one = waiting.popleft()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting.extend(below(one))


def descent(
    exception: BaseException,
    links: Callable[[BaseException], Iterable[Link]] = shown_links,
) -> Iterator[tuple[str, int, BaseException]]:
    """What is attached to an exception, each once: how, its parent's index, itself.

    What is attached to one comes before its parent's next. The first exception does not
    come itself: as a parent its index is -1.
    """
    seen = {id(exception)}
    waiting = [(-1, iter(links(exception)))]
    count = 0
    while waiting:
        parent, left = waiting[-1]
        link = next(left, None)
        if link is None:
            waiting.pop()
            continue
        how, one = link
        if id(one) not in seen:
            seen.add(id(one))
            yield how, parent, one
            waiting.append((count, iter(links(one))))
            count += 1


def ancestry(exception: BaseException, most: int) -> list[Link]:
    """What an exception was raised from, and that, and so on; no members."""
    return [
        (how, one)
        for how, _, one in islice(descent(exception, _raised_from_alone), most)
    ]


def _raised_from_alone(exception: BaseException) -> list[Link]:
    return [link] if (link := raised_from(exception)) else []
