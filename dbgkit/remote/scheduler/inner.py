"""Tasks submitted by a task: the failure of such an inner task is the root cause.

A task that waits for work that it has submitted (``get_client``, ``worker_client``,
``dask.compute``) raises what that work raised, or another exception from it. Dask
keeps no link from the one to the other. But the traceback of the outer one has, behind
a frame of the client, the frames of the inner one, and the exception's text is the
inner one's: that is how they are found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.pacing import Pace
from .failures_index import ErredIndex
from .inner_identities import Identity, identities, texts_of
from .inner_table import MOST_WAYS, Led, Lookup

if TYPE_CHECKING:
    from ..common.wire_failures import HistoryEntry


class Found(NamedTuple):
    """The task that a failure is reported for.

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
        The history's entry of a task that `ts` itself had submitted, if that is all
        that is left of it.
    """

    ts: Any
    root: Any
    through: tuple[Any, ...]
    alike: int
    forgotten: HistoryEntry | None


async def follow(
    state: Any,
    index: ErredIndex,
    history: list[HistoryEntry],
    roots: Iterable[tuple[Any, float | None]],
    pace: Pace,
) -> list[Found]:
    """Failures, and when they were, each followed into what it had waited for.

    Where none of them waited for a task that it had submitted, only their texts are
    read; else it takes a pass over all that has failed, in slices.
    """
    found = [Found(ts, ts, (), 1, None) for ts, _ in roots]
    whens = {ts.key: when for ts, when in roots}
    read: set[Any] = set()
    for _ in range(MOST_WAYS):
        handed: dict[Any, tuple[Identity, ...]] = {}
        for ts in [each.ts for each in found]:
            if ts.key not in read:
                read.add(ts.key)
                handed[ts.key] = identities(
                    ts.exception_text, ts.traceback_text, ts.exception
                )
                await pace.checkpoint()
        texts = texts_of(handed.values())
        if not texts:
            break
        await index.fill(state, pace)
        table = await Lookup.of_failed(state, index, texts, history, pace)
        for place, each in enumerate(found):
            key = each.ts.key
            if own := handed.get(key):
                when = whens.get(key, index.when.get(key))
                led = table.of(key, when, own, count=True)
                if led is not None and led.key not in each.through:
                    found[place] = _led_to(each, led, state.tasks.get(led.key))
        await table.empty(pace)
    once: dict[Any, Found] = {}
    for each in found:
        # With the longest way there, where several lead to it.
        if len(each.through) > len(once.setdefault(each.ts.key, each).through):
            once[each.ts.key] = each
    return list(once.values())


def _led_to(found: Found, led: Led, ts: Any) -> Found:
    """A failure with the task that it had submitted in its place, if that is left."""
    if led.entry is not None or ts is None:
        return found._replace(forgotten=led.entry)
    through = (*found.through, found.ts.key)
    return found._replace(ts=ts, through=through, alike=max(found.alike, led.alike))


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
