"""Failures of tasks whose workers died, with those that were only there apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.pacing import Pace, slices
from .failures_groups import Row
from .killings import Blame, Killings

if TYPE_CHECKING:
    from ..common.wire_failures import SharedForm

KILLED = "KilledWorker"


class Killed(NamedTuple):
    """A failure of a task that raised nothing: its workers died."""

    root: Any
    row: Row
    when: float | None
    members: int  # failed tasks of it, itself included


class KilledCounts:
    """Tasks whose workers died, kept until all of them are known."""

    def __init__(self) -> None:
        self.found: list[Killed] = []
        self._killings = Killings(None, (), ())

    def shared(self, key: Any) -> SharedForm | None:
        """What a task has to do with the ends of its workers, in wire form."""
        return self._killings.blame(key).shared(key)

    def first_of(self, key: Any) -> Any:
        """A task, or of all that may have killed its workers one that was seen to run.

        That one failed alike.
        """
        role, suspects = self._killings.blame(key)
        return suspects.ran[0] if role == "suspect" and suspects.ran else key

    async def fill(
        self,
        state: Any,
        recorder: str,
        own: set[Any],
        count: Callable[[Any, Row, float | None, int], None],
        pace: Pace,
    ) -> None:
        """Count them, each with those that it shares its part with.

        ``own``: root causes that concern the client that asks; what killed a worker
        under one of them concerns it as well.
        """
        if not self.found:
            return
        keys = {each.root for each in self.found}
        self._killings = await Killings.of(state, keys, recorder, pace)
        blames: list[Blame] = []
        async for part in slices(self.found, pace):
            for each in part:
                blame = self._killings.blame(each.root)
                blames.append(blame)
                if blame.role == "bystander" and each.root in own:
                    own.update(blame.suspects.keys)
        for each, blame in zip(self.found, blames, strict=True):
            # By the functions that may have killed the workers.
            place = ("", blame.suspects.prefixes, 0)
            row = each.row._replace(alike=(KILLED, blame.role, place))
            count(each.root, row, each.when, each.members)
            await pace.checkpoint()
