"""Texts by which the client's exceptions are found on the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.clients import held_future_states, is_open
from dbgkit.errors import NoFailure
from dbgkit.remote.common.texts import COMPARED, safe_repr, safe_str
from dbgkit.remote.recording.handed import future_error, is_equal, is_part
from dbgkit.targets.refusals import interrupted
from dbgkit.targets.tracebacks import Trace

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Fact

MOST_TEXTS = 100  # futures whose exceptions are put into texts


def texts_of(exception: BaseException) -> set[str]:
    """Texts that the scheduler may have for an exception; empty: any."""
    # Two classes of TimeoutError before Python 3.11.
    ended = (TimeoutError, asyncio.TimeoutError)
    if is_no_tasks(exception) or isinstance(exception, ended):
        return set()
    if hasattr(exception, "last_worker"):  # KilledWorker carries no text
        return set()
    if type(exception) is Exception and exception.args:
        # An exception that lost its class: Exception(repr), or its pickle
        # (distributed.core.error_message, clean_exception).
        lost = bool(pickled_in(exception))
        return set() if lost else {safe_repr(exception), safe_str(exception)}
    return {safe_repr(exception)}


def is_no_tasks(exception: BaseException) -> bool:
    """Whether it says only that there is no exception, or that a wait ended."""
    bare = isinstance(exception, asyncio.CancelledError) and not exception.args
    return bare or isinstance(exception, (NoFailure, KeyboardInterrupt))


def keys_holding(found: Trace, client: Any) -> list[Any]:
    """Keys of futures that hold an exception; of a broken wait, all it waited for.

    Of a part of a group ``found.exception`` becomes the group that a future holds.
    """
    error = found.exception
    of_frames = [(f.key, future_error(f)) for f in found.futures]
    of_client: list[tuple[Any, Any]] = []
    if client is not None and is_open(client):
        held = held_future_states(client)
        of_client = [(key, state.exception) for key, state in held.items()]
    ways: tuple[tuple[list[Any], Callable[[Any], bool]], ...] = (
        (of_frames, lambda held: held is error or is_equal(held, error)),
        (of_client, lambda held: held is error),
        ([*of_frames, *of_client], lambda held: is_part(error, held)),
    )
    for futures, is_meant in ways:
        holding = [
            (key, held)
            for key, held in futures
            if isinstance(held, BaseException) and is_meant(held)
        ]
        if holding:
            found.exception = holding[0][1]
            return list(dict.fromkeys(key for key, _ in holding))
    waited = found.futures if interrupted(error) else []
    return list(dict.fromkeys(future.key for future in waited))


def pickled_in(exception: BaseException) -> bytes:
    """The pickle that arrived in place of an exception; empty if none did."""
    first = exception.args[0] if exception.args else None
    return first if isinstance(first, bytes) else b""


def beginnings(exceptions: Iterable[Any]) -> list[str]:
    """Beginnings of the texts of some exceptions, for ``remote.scheduler.roots``."""
    return [
        text[:COMPARED]
        for exception in exceptions
        if isinstance(exception, BaseException)
        for text in sorted(texts_of(exception))
    ]


def held_beginnings(client: Any, keys: Iterable[Any]) -> list[str]:
    """`beginnings` of what a client's futures of some keys hold."""
    held = held_future_states(client)
    states = (held[key] for key in keys if key in held)
    failed = (state for state in states if state.status == "error")
    return beginnings(state.exception for state in islice(failed, MOST_TEXTS))


def has_text_of(fact: Fact, exception: BaseException) -> bool:
    """Whether a fact of the scheduler's has the text of an exception."""
    return fact["exception_text"][:COMPARED] in beginnings([exception])


def exception_of(
    fact: Fact,
    facts: list[Fact],
    exception: BaseException | None,
    held: Mapping[Any, Any],
) -> BaseException | None:
    """What a task raised, if it is here: passed in, or held by a future.

    ``fact`` is one of ``facts``, the relevant one first. The future of a task that
    failed because of others has what one of them raised.
    """
    first = fact is facts[0]
    own, asked = (_held_by(held, fact[name]) for name in ("key", "asked"))
    for error in (exception if first else None, own):
        if error is not None and (len(facts) == 1 or has_text_of(fact, error)):
            return error
    if own is None and asked is not None and has_text_of(fact, asked):
        return asked
    # Its text may have changed on its way here.
    for error in (exception, asked) if first else ():
        if error is not None and not any(has_text_of(each, error) for each in facts):
            return error
    return own


def _held_by(held: Mapping[Any, Any], key: Any) -> BaseException | None:
    error = held[key].exception if key in held else None
    return error if isinstance(error, BaseException) else None
