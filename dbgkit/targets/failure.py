"""From the scheduler's facts, or a local traceback, to a `Failure`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dbgkit.model import Evidence, Failure
from dbgkit.remote.common.calls import plain_name
from dbgkit.remote.common.codes import DYNAMIC, file_of_frame
from dbgkit.remote.common.frame_codes import codes_for, with_homes
from dbgkit.remote.common.frames import (
    format_exception,
    is_machinery,
    is_own,
    own_line,
    walk,
)
from dbgkit.remote.common.texts import safe_repr, safe_str, type_and_message
from dbgkit.source import Index, Reader, named_sources
from dbgkit.source.shown import codes_from_wire
from dbgkit.targets.graphs import materialise
from dbgkit.targets.led import fixable, notes_of_shuffle, notes_of_way
from dbgkit.targets.naming import counted, lines_of_frames, name_of, step_of
from dbgkit.targets.origins import origins_from_wire, origins_in_graph
from dbgkit.targets.tracebacks import Trace

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Fact

_READ_LIMIT = 5.0  # seconds for an exception to be unpickled
_NO_EVIDENCE = Evidence()


def failure_from_fact(
    fact: Fact,
    *,
    evidence: Evidence,
    exception: BaseException | None = None,
    others: tuple[Any, ...] = (),
    notes: tuple[str, ...] = (),
    found_in: str = "scheduler",
) -> Failure:
    """A `Failure` out of one row of the scheduler's answer.

    If the exception lost its class or text on its way here, the scheduler's own text is
    taken.
    """
    way = notes_of_way(fact)
    notes = (*way, *notes) if fact.get("gone") else (*notes, *way)
    fact, exception, phase = fixable(fact, exception)
    notes = (*notes, *notes_of_shuffle(fact, phase))
    text = fact["exception_text"]
    if exception is None and (data := fact.get("exception")):
        exception = unpickled(data)
    if text and (exception is None or safe_repr(exception) != text):
        kind, message = type_and_message(text)
        if not kind and exception is not None and type(exception) is not Exception:
            kind = type(exception).__name__  # its own repr does not name it
        if exception is not None and kind and kind != type(exception).__name__:
            notes = (
                *notes,
                f"the exception arrived as {type(exception).__name__}: "
                "its class and message are the scheduler's text",
            )
    elif exception is not None:
        kind, message = type(exception).__name__, safe_str(exception)
    else:
        kind, message = "", ""
    submitted, when = fact.get("submitted"), fact["when"]
    key = fact["key"]
    if "came_from" in fact:
        came_from = origins_from_wire(fact["came_from"])
    else:
        came_from = origins_in_graph(key, evidence.graph, fact["traceback_text"])
    codes = codes_from_wire(fact.get("codes", ()))
    if not codes and DYNAMIC in fact["traceback_text"]:
        codes = codes_for((evidence.graph or {}).get(key), fact["traceback_text"])
    step = step_of(with_homes(fact["traceback_text"], codes))
    return Failure(
        key=key,
        name=name_of(key, counted(fact["group_size"], came_from), step),
        exception_type=kind,
        message=message,
        traceback_text=fact["traceback_text"],
        worker=next(iter(fact["erred_on"]), None),
        when=None if when is None else datetime.fromtimestamp(when, tz=timezone.utc),
        attempts=fact["tried"],
        found_in=found_in,
        exception=exception,
        asked=fact["asked"] if fact["asked"] != key else None,
        # Also if only the history and the exception remain.
        came_from=came_from,
        killed=fact["killed"] or (not text and kind == "KilledWorker"),
        role=shared["role"] if (shared := fact.get("shared")) else "",
        others=others,
        through=tuple(fact.get("through") or ()),
        forgotten=submitted["key"] if submitted else None,
        shuffle=phase,
        notes=notes,
        evidence=replace(
            evidence,
            needs=fact.get("needs"),
            pickled=fact.get("pickled") or b"",
            codes=codes,
            # What was named as source is known as long as the call lasts.
            index=evidence.index or (Index() if named_sources() else None),
        ),
    )


def failure_from_exception(
    exception: BaseException,
    *,
    key: Any = None,
    found_in: str,
    evidence: Evidence = _NO_EVIDENCE,
    notes: tuple[str, ...] = (),
    others: tuple[Any, ...] = (),
    graph: Mapping[Any, Any] | None = None,
) -> Failure:
    """A `Failure` of which the client has the exception itself, with its frames.

    ``graph`` is where its values came from, if the evidence lacks that.
    """
    frames = lines_of_frames(format_exception(exception))
    line = own_line(exception)
    of_meta = found_in == "meta"
    step = outermost_own(exception) if key is not None or of_meta else ""
    return Failure(
        key=key,
        name=name_of(key, step=step or (line[2] if line and of_meta else "")),
        exception_type=type(exception).__name__,
        message=safe_str(exception),
        traceback_text=frames,
        found_in=found_in,
        exception=exception,
        came_from=origins_in_graph(key, graph or evidence.graph, frames),
        others=others,
        notes=notes,
        evidence=evidence,
    )


def failure_of_meta(found: Trace) -> Failure:
    """What a user's function raised on made-up data of Dask's."""
    assert found.meta is not None
    failure = failure_from_exception(
        found.meta,
        found_in="meta",
        notes=(
            "Dask called the function on made-up data to learn what it returns; meta= "
            "avoids that",
        ),
    )
    return replace(failure, kind="meta")


def failure_of_local_task(found: Trace) -> Failure:
    """A task that failed under a scheduler of this process."""
    assert found.local_task is not None
    key, node, data = found.local_task
    graph = {key: node}
    around: Mapping[Any, Any] = {}
    if node.dependencies and found.expression is not None:
        around = materialise(found.expression)
    return failure_from_exception(
        found.exception,
        key=key,
        found_in="local",
        evidence=Evidence(graph=graph, cache=dict(data), scheduler="local"),
        graph={**around, **graph},
    )


def outermost_own(exception: BaseException) -> str:
    """Name of the first own function below Dask's frames."""
    name, inside = "", False
    for frame, _ in walk(exception.__traceback__):
        filename = file_of_frame(frame)
        if is_machinery(filename):
            inside, name = True, ""
        elif inside and not name and is_own(filename):
            name = frame.f_code.co_name
    return plain_name(name)


def unpickled(data: bytes) -> BaseException | None:
    """An exception as the scheduler has it; None if it cannot be read here."""
    try:
        error = Reader(limit=_READ_LIMIT).loads(data)
    except Exception:  # of another version, or it waits: its text has to do
        return None
    return error if isinstance(error, BaseException) else None
