"""What all causes have: the tasks that they explain, and words for these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dbgkit.diagnose.sentences import counted, several, show

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import End

Part = TypeVar("Part")


class Cause(Generic[Part]):
    """One cause of why tasks make no progress.

    It explains an end, or a task (``key``) that is none, or is about the cluster.
    ``part`` is what is known of the task. Causes of one code that are ``like`` are one.
    ``behind`` is how many unfinished tasks need what it explains, ``cut`` if there may
    be more; ``besides``, how many others wait for it, and what for. ``urgent``
    is what blocks others though it goes on by itself, ``indirect`` what waits for other
    causes.
    """

    def __init__(
        self,
        part: Part,
        end: End | None = None,
        *,
        key: Any = None,
        count: int = 1,
        like: Any = None,
        besides: Mapping[Any, int] | None = None,
    ) -> None:
        self.code = ""
        self.behind, self.cut = 0, False
        self.besides = dict(besides or {})
        self.urgent = self.indirect = False
        self.like = like
        self.parts = [part]  # of each task that was looked at
        self.key, self.keys = key, [] if key is None else [key]
        # What waits for it, and itself at the end; the middle may be left out.
        self.chain, self.length = tuple(self.keys), 1
        self.count = count
        if end is not None:
            self.key, self.keys = end["key"], [end["key"]]
            if end["code"] == "failed" or end["code"] == "cascaded":
                self.key = end["blame"]
            self.chain, self.length = tuple(end["chain"]), end["length"]
            self.count = 1 if end["state"] == "processing" else end["count"]
            self.behind = end.get("waiting", 0)
            self.cut = end.get("waiting_cut", False)

    def merge(self, other: Cause[Part]) -> None:
        """Add what another cause explains, which reads alike."""
        self.parts += other.parts
        self.keys += other.keys
        self.count += other.count
        self.behind += other.behind
        self.besides.update(other.besides)  # several may hold up the same
        self.cut |= other.cut
        self.urgent |= other.urgent

    @property
    def blocked(self) -> int:
        """How many tasks it holds up, those that it explains included."""
        own = self.count if self.keys else 0
        return own + self.behind + sum(self.besides.values())

    @property
    def holds_up(self) -> str:
        """The end of a sentence, if it blocks others."""
        others = self.blocked - self.count
        if not others:
            return ""
        least = "at least " if self.cut else ""
        return f"; {least}{counted(others, 'task')} cannot go on"

    @property
    def waiting(self) -> list[str]:
        """Evidence of what needs the tasks that it explains; none if nothing does."""
        if not self.behind:
            return []
        least = "at least " if self.cut else ""
        waits = "waits" if self.behind == 1 else "wait"
        them = "it" if self.count == 1 else "them"
        return [f"{least}{counted(self.behind, 'task')} {waits} for {them}"]

    @property
    def first(self) -> Part:
        """What is known of the first task."""
        return self.parts[0]

    @property
    def tasks(self) -> str:
        """The task by its key, or how many there are."""
        if self.count == 1:
            return show(self.key)
        return f"{self.count:,} tasks ({several(map(show, self.keys), self.count)})"

    def they(self, one: str, many: str) -> str:
        """`tasks`, and a verb that agrees."""
        return f"{self.tasks} {one if self.count == 1 else many}"
