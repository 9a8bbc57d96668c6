"""Where a failed task's values came from, as the scheduler knows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..common.origins import origins_of
from ..common.origins_steps import frames_in
from ..common.pacing import Pace, emptied

if TYPE_CHECKING:
    from ..common.wire_failures import OriginForm

MOST_FAILURES = 20  # failures of one answer of which it is reported
_SUBMISSIONS = 5_000  # of one span that are looked through: less than a millisecond
_SCANNED = 20_000  # tasks that are looked through for those of one `Client.map`
_MAPPED = re.compile(r"-(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4,12}){4}-(\d+))$")

# Of a task group: how often each last part of a priority is there, by what comes before
# it. That is one for all that is submitted within a tenth of a second.
_Places = dict[Any, Counter[Any]]


class CameFrom:
    """Where values of failed tasks came from, for one answer."""

    def __init__(self, state: Any, pace: Pace) -> None:
        self._state = state
        self._pace = pace
        self._groups: dict[Any, _Places] | None = None

    async def of(self, ts: Any) -> list[OriginForm]:
        """The literals that lead to a task; nothing where no run spec is left."""
        spec = getattr(ts, "run_spec", None)  # a dump has none
        if spec is None:
            return []
        frames = frames_in(ts.traceback_text or "")
        found = origins_of(ts.key, spec, self._spec_of, frames=frames)
        await self._pace.checkpoint()
        place = await self._map_index(ts)
        if place:
            mapped: OriginForm = {
                "what": "client.map",
                "path": "",
                "place": place,
                "args": [],
                "key": ts.key,
            }
            found.insert(0, mapped)
        return found

    def _spec_of(self, key: Any) -> Any:
        task = self._state.tasks.get(key)
        return None if task is None else getattr(task, "run_spec", None)

    async def _map_index(self, ts: Any) -> str:
        """Which item of a `Client.map` a task is for; empty where nothing is certain.

        Its key says it under ``pure=False``. Else the last part of its priority does
        (``dask.order`` of tasks that need none of each other). With ``batch_size``,
        each batch is a submission of its own, and counts anew, as do calls of
        `Client.map` one after the other. So the index within all items is reported
        only where one submission has had all tasks of the group, including those
        forgotten. A pure ``delayed`` has keys of the same form, whose places are no
        index: where any was submitted with it, nothing is reported.
        """
        mapped = _MAPPED.search(ts.key) if type(ts.key) is str else None
        priority = ts.priority
        if mapped is None or not _is_whole(priority):
            return ""
        if len(self._state.tasks) > _SCANNED:
            return ""
        if self._groups is None:
            self._groups = await self._by_group()
        index = priority[2]
        if mapped[1] is not None and int(mapped[1]) != index:
            return ""
        if mapped[1] is None and not _of_futures_alone(self._state, ts.group):
            return ""
        places = self._groups.get(ts.group, {})
        own = places.get(priority[:2], Counter())
        ever = sum(ts.group.states.values())
        every = ever == sum(counts.total() for counts in places.values())
        if not index and not (every and own[1] >= own[0]):
            return ""  # perhaps of a single task: `Client.submit`
        if index and not own[index]:
            return ""
        # Of several submissions there would be several first ones, or more tasks.
        alone = len(places) == 1 and ever == max(own) + 1
        return f"index {index:,}{'' if alone else ' of its batch'}"

    async def _by_group(self) -> dict[Any, _Places]:
        """One pass over all tasks, for all failures of the answer."""
        groups: dict[Any, _Places] = {}
        async for part in emptied(list(self._state.tasks.values()), self._pace):
            for ts in part:
                if not _is_whole(ts.priority):
                    continue
                *first, last = ts.priority
                places = groups.setdefault(ts.group, {})
                places.setdefault(tuple(first), Counter())[last] += 1
        return groups


def _of_futures_alone(state: Any, group: Any) -> bool:
    """Whether everything submitted with a group came from `map` and `submit`.

    ``Span.metadata`` (distributed/spans.py) has the kinds of what was submitted; in
    2025.4 some of it gets lost, and nothing is reported then either. Pinned by
    tests/test_contracts_provenance.py.
    """
    spans = state.extensions.get("spans")
    span = None if spans is None else spans.spans.get(group.span_id)
    kinds = (getattr(span, "metadata", None) or {}).get("collections", ())
    few = 0 < len(kinds) <= _SUBMISSIONS
    return few and all(
        isinstance(kind, Mapping) and kind.get("type") == "Future" for kind in kinds
    )


def _is_whole(priority: Any) -> bool:
    return type(priority) is tuple and len(priority) == 3
