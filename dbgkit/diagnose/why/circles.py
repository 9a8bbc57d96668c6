"""Circles of tasks that wait for each other, among those that are stuck."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dbgkit.diagnose.why.board import LOCKS, Board, Holder, Run, Running

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why_waits import Blocker

MOST_JOINED = 200  # stuck tasks of which all that belong together are shown


@dataclass(frozen=True)
class Step:
    """One step of a circle: a task, what it waits for, and which task is in the way.

    ``holder`` is that of a ``lock``; else ``key`` is a future's. ``thread`` are the
    workers of which that one, or ``behind`` it, needs a thread; ``bound`` if it can
    run on no other.
    """

    task: Running
    next: Running | None
    kind: str = "future"
    lock: str | None = None
    holder: Holder | None = None
    key: Any = None
    behind: Any = None
    thread: tuple[str, ...] = ()
    bound: bool = False


# Each waits for the next, and the last for the first; or for what is never released.
Circle = tuple[Step, ...]


class Circles:
    """Finds what stuck tasks wait for in the end."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def of(self, key: Any, worker: str | None) -> Circle:
        """What a task waits for in the end, if that never comes; else nothing.

        A circle begins with the same task wherever one comes into it.
        """
        start = (worker or "", key)
        if start not in self.board.stuck:
            blockers = self.board.behind(key, self.board.stuck)
            runs = (run for blocker in blockers for run in self._at(blocker))
            start = next(runs, start)
        if start not in self.board.stuck:
            return ()
        circle = self._nearest(start)
        if circle[0].next is not None and len(self.board.stuck) <= MOST_JOINED:
            circle = self._joined(circle)
        first = min(range(len(circle)), key=lambda at: _by_key(circle[at].task.run))
        return circle[first:] + circle[:first]

    def _at(self, blocker: Blocker) -> list[Run]:
        """Runs in the way of a task: its own, or those that hold all threads."""
        run = self.board.run_of(blocker)
        if run is not None:
            return [run]
        return [run for place in blocker["places"] for run in self.board.slots[place]]

    def _after(self, run: Run) -> list[Run]:
        """Stuck tasks that one waits for; none, for what is never released."""
        waits = self.board.running[run].waits
        assert waits is not None  # it is stuck
        if waits["kind"] in LOCKS:
            found = [
                (holder.worker or "", key)
                for holder in self.board.holders(str(waits["name"]))
                for key in holder.tasks
            ]
        else:
            found = [
                other
                for key in waits["keys"]
                for blocker in self.board.behind(key, self.board.stuck)
                for other in self._at(blocker)
            ]
        return list(dict.fromkeys(found))

    def _step(self, run: Run, after: Run | None) -> Step:
        """How a stuck task waits for another one."""
        task = self.board.running[run]
        waits = task.waits
        assert waits is not None  # it is stuck
        following = None if after is None else self.board.running.get(after)
        if waits["kind"] in LOCKS:
            name = str(waits["name"])
            holder = next(
                each
                for each in self.board.holders(name)
                if (
                    not each.tasks
                    if after is None
                    else each.worker == after[0] and after[1] in each.tasks
                )
            )
            return Step(task, following, waits["kind"], name, holder)
        key, blocker = next(
            (key, blocker)
            for key in waits["keys"]
            for blocker in self.board.behind(key, self.board.stuck)
            if after in self._at(blocker)
        )
        return Step(
            task,
            following,
            key=key,
            behind=None if blocker["key"] == key else blocker["key"],
            thread=() if self.board.run_of(blocker) else tuple(blocker["places"]),
            bound=blocker["bound"],
        )

    def _steps(self, path: Sequence[Run]) -> Circle:
        """Steps from each run of a path to the next, and back to the first."""
        following = [*path[1:], path[0]]
        return tuple(map(self._step, path, following))

    def _nearest(self, start: Run) -> Circle:
        """The first circle that one comes to, or what is never released."""
        for run in self._reached(start):
            path = self._round(run)
            if path:
                return self._steps(path)
            if not self._after(run):
                return (self._step(run, None),)
        raise AssertionError("a stuck task leads to a circle, or to a lock")

    def _reached(self, start: Run) -> Iterator[Run]:
        seen, left = {start}, deque([start])
        while left:
            run = left.popleft()
            yield run
            for other in self._after(run):
                if other not in seen:
                    seen.add(other)
                    left.append(other)

    def _round(self, start: Run) -> list[Run]:
        """The shortest way from a task back to itself, if there is one."""
        before: dict[Run, Run] = {}
        left = deque([start])
        while left:
            run = left.popleft()
            for other in self._after(run):
                if other == start:
                    path = [run]
                    while path[-1] != start:
                        path.append(before[path[-1]])
                    return path[::-1]
                if other not in before:
                    before[other] = run
                    left.append(other)
        return []

    def _joined(self, circle: Circle) -> Circle:
        """A circle with all tasks that are in one with its own.

        Who needs any one of several threads waits for all the tasks that hold them.
        """
        start = circle[0].task.run
        ahead = list(self._reached(start))
        after = {run: self._after(run) for run in ahead}
        joined, left = {start}, [start]
        before: dict[Run, list[Run]] = {}
        for run, others in after.items():
            for other in others:
                before.setdefault(other, []).append(run)
        while left:
            for run in before.get(left.pop(), ()):
                if run not in joined:
                    joined.add(run)
                    left.append(run)
        if joined <= {step.task.run for step in circle}:
            return circle
        return tuple(
            self._step(run, next(other for other in after[run] if other in joined))
            for run in sorted(joined, key=_by_key)
        )


def _by_key(run: Run) -> tuple[str, str]:
    worker, key = run
    return str(key), worker
