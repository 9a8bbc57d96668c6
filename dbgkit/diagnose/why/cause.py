"""What all causes have: the tasks that they explain, and words for these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dbgkit.diagnose.sentences import several, show

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import End

Part = TypeVar("Part")


class Cause(Generic[Part]):
    """One cause of why tasks make no progress.

    It explains an end, or a task (``key``) that is none, or is about the cluster.
    ``part`` is what is known of the task. Causes of one code that are ``like`` are one.
    """

    def __init__(
        self,
        part: Part,
        end: End | None = None,
        *,
        key: Any = None,
        count: int = 1,
        like: Any = None,
    ) -> None:
        self.code = ""
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

    @property
    def first(self) -> Part:
        """What is known of the first task."""
        return self.parts[0]

    @property
    def tasks(self) -> str:
        """The task by its key, or how many there are."""
        if self.count == 1:
            return show(self.key)
        return f"{self.count} tasks ({several(map(show, self.keys), self.count)})"

    def they(self, one: str, many: str) -> str:
        """`tasks`, and a verb that agrees."""
        return f"{self.tasks} {one if self.count == 1 else many}"
