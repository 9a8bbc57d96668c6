"""Tasks that a task submitted itself: the failure of such a one is the root cause.

A task that waits for work that it has submitted (``get_client``, ``worker_client``,
``dask.compute``) raises what that work raised, or another exception from it. Dask
keeps no link from the one to the other. But in the traceback of the outer one, behind
a frame of the client, are the frames of the inner one, and the exception's text is the
inner one's: so they are told.

This file is sent to the scheduler as source: standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.frames import parse_traceback
from ..common.pacing import Pace
from ..common.pickles import Frame, pickle_of, raised_from
from .failures_index import ErredIndex
from .inner_table import MOST_WAYS, READ, Identity, Lookup, compared, own_frames
from .roots import COMPARED

if TYPE_CHECKING:
    from ..common.wire_failures import HistoryEntry

# Where an exception of a future is raised in whoever waits for it.
_WAITS = re.compile(
    r"distributed[/\\](?:client|utils|cfexecutor|worker_client)\.py$"
    r"|[/\\]concurrent[/\\]futures[/\\]_base\.py$"
)
# `dask.compute` may have run here as well, under a scheduler of the process.
_COMPUTES = re.compile(r"dask[/\\]base\.py$")
_MARKS = (b"distributed.client", b"dask.base", b"concurrent.futures")


@lru_cache(maxsize=256)
def _parsed(frames: str) -> tuple[Frame, ...]:
    return tuple(parse_traceback(frames))  # those of one kind have one text


class Found(NamedTuple):
    """The task that a failure is to be told of.

    Attributes
    ----------
    ts : TaskState
        The innermost that the scheduler still has.
    root : TaskState or None
        What it was found from; None where the scheduler has forgotten that.
    through : tuple of Key
        The tasks that led to it, each of which submitted the next.
    alike : int
        How many tasks there are that it may have been, of which it is the last.
    forgotten : dict or None
        The history's entry of what `ts` itself had submitted, of which no more is
        left.
    """

    ts: Any
    root: Any
    through: tuple[Any, ...]
    alike: int
    forgotten: HistoryEntry | None


def identities(
    text: str | None, frames: str | None, exception: Any = None
) -> tuple[Identity, ...]:
    """What a failure may have been handed by work that it waited for.

    Parameters
    ----------
    text, frames : str or None
        The scheduler's texts of it.
    exception
        ``TaskState.exception``, for what was raised from another one.
    """
    found = list(identities_of_texts(text, frames))
    data = pickle_of(exception)
    if any(mark in data for mark in _MARKS):
        for raised in raised_from(exception):
            found += _behind_waits(raised.text, raised.frames)
    return tuple(dict.fromkeys(found))


def identities_of_texts(text: str | None, frames: str | None) -> tuple[Identity, ...]:
    """`identities` of the texts alone; those of the latest texts are kept."""
    if not text or not frames:
        return ()
    return _of_texts(text[:COMPARED], frames[-READ:])


@lru_cache(maxsize=256)
def _of_texts(text: str, frames: str) -> tuple[Identity, ...]:
    if "distributed" not in frames and "dask" not in frames:
        return ()
    return tuple(dict.fromkeys(_behind_waits(text, _parsed(frames))))


def of_chain(
    raised: Iterable[tuple[str, Sequence[Sequence[Any]], bool]],
) -> tuple[Identity, ...]:
    """`identities` out of the texts and frames of exceptions that a client has.

    Behind a wait of the client itself is the task that failed, and nothing that this
    had submitted: another task may have failed just so before.
    """
    found: list[Identity] = []
    for text, frames, waited_here in raised:
        places = tuple((str(f), int(n), str(name)) for f, n, name in frames)
        each = list(_behind_waits(text, places))
        found += each[1:] if waited_here else each
    return tuple(dict.fromkeys(found))


def _behind_waits(text: str, frames: tuple[Frame, ...]) -> Iterator[Identity]:
    """Identities of the tasks behind each wait, the nearest first."""
    text = compared(text)
    behind: tuple[Frame, ...] | None = None
    for index, (filename, _, _) in enumerate(frames):
        sure = _WAITS.search(filename) is not None
        if (sure or _COMPUTES.search(filename)) and not _waits(frames, index + 1):
            own = own_frames(frames[index + 1 :])
            behind = own if behind is None else behind
            yield Identity(text, own, sure)
    # Of waits further in, Dask cuts the frames out as it raises the exception again.
    for index in range(1, len(behind or ())):
        yield Identity(text, (behind or ())[index:], False)


def _waits(frames: tuple[Frame, ...], index: int) -> bool:
    """Whether the next frame belongs to the same wait."""
    if index >= len(frames):
        return False
    filename = frames[index][0]
    return bool(_WAITS.search(filename) or _COMPUTES.search(filename))


def texts_of(handed: Iterable[Iterable[Identity]]) -> set[str]:
    """The texts that some failures may have been handed."""
    return {each.text for identities in handed for each in identities}


async def follow(
    state: Any,
    index: ErredIndex,
    history: list[HistoryEntry],
    roots: Iterable[tuple[Any, float | None]],
    pace: Pace,
) -> list[Found]:
    """Failures, each followed into the task that it had submitted and waited for.

    Costs nothing but a look at the texts, where none of them waited for another; else
    a pass over all that has failed, in slices.

    Parameters
    ----------
    roots : iterable of (TaskState, float or None)
        Failed tasks, and when they failed.
    """
    found = [Found(ts, ts, (), 1, None) for ts, _ in roots]
    whens = {ts.key: when for ts, when in roots}
    handed: dict[Any, tuple[Identity, ...]] = {}
    for _ in range(MOST_WAYS):
        new: dict[Any, tuple[Identity, ...]] = {}
        for each in found:
            if each.ts.key not in handed:
                new[each.ts.key] = _identities_of(each.ts)
                await pace.breathe()
        handed.update(new)
        texts = texts_of(new.values())
        if not texts:
            break
        await index.fill(state, pace)
        table = await Lookup.of_failed(state, index, texts, history, pace)
        found = [
            _step(state, index, each, new, table, whens)
            if new.get(each.ts.key)
            else each
            for each in found
        ]
        await table.empty(pace)
    once: dict[Any, Found] = {}
    for each in found:
        # With the longest way there, where several lead to it.
        if len(each.through) > len(once.setdefault(each.ts.key, each).through):
            once[each.ts.key] = each
    return list(once.values())


def _identities_of(ts: Any) -> tuple[Identity, ...]:
    return identities(ts.exception_text, ts.traceback_text, ts.exception)


def _step(
    state: Any,
    index: ErredIndex,
    found: Found,
    handed: Mapping[Any, tuple[Identity, ...]],
    table: Lookup,
    whens: Mapping[Any, float | None],
) -> Found:
    key = found.ts.key
    when = whens.get(key, index.when.get(key))
    led = table.of(key, when, handed[key], count=True)
    if led is None or led.key in found.through:
        return found
    ts = state.tasks.get(led.key)
    if led.entry is not None or ts is None:
        return found._replace(forgotten=led.entry)
    alike = max(found.alike, led.alike)
    return found._replace(ts=ts, through=(*found.through, key), alike=alike)


async def found_of_forgotten(
    state: Any,
    index: ErredIndex,
    history: list[HistoryEntry],
    key: Any,
    handed: tuple[Identity, ...],
    pace: Pace,
) -> Found | None:
    """What a task that was forgotten had submitted, where that is still there."""
    entry = next((each for each in history if each["key"] == key), None)
    if entry is not None:
        own = identities(entry["exception_text"], entry["traceback_text"])
        handed = tuple(dict.fromkeys((*own, *handed)))
    if not handed:
        return None
    await index.fill(state, pace)
    table = await Lookup.of_failed(state, index, texts_of([handed]), history, pace)
    led = table.of(key, entry["when"] if entry else None, handed, count=True)
    await table.empty(pace)
    if led is None or led.entry is not None or led.key not in state.tasks:
        return None
    ts = state.tasks[led.key]
    rest = await follow(state, index, history, [(ts, index.when.get(ts.key))], pace)
    first = rest[0]
    alike = max(first.alike, led.alike)
    return first._replace(root=None, through=(key, *first.through), alike=alike)


def entry_of(
    key: Any,
    when: float | None,
    handed: Sequence[Identity],
    entries: Iterable[HistoryEntry],
) -> HistoryEntry | None:
    """The history's entry of what a task had submitted, where that is all there is."""
    led = Lookup(entries, texts_of([handed])).of(key, when, handed)
    return None if led is None else led.entry
