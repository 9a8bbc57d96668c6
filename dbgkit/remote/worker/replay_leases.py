"""Locks and semaphores of a replayed task: taken, given back, never bypassed."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..common.leases import held_here, refreshed_by
from ..common.sentences import several

if TYPE_CHECKING:
    from ..common.wire_leases import HeldLeases, LeasesForm

_AGAIN = 2.0  # seconds between two checks of who holds a lock
_ANSWER = 5.0  # seconds for the workers to answer


def within(timeout: float) -> float:
    """How long a call that is stopped after ``timeout`` seconds may wait for others.

    Less, which leaves time to report what it waited for, and what holds that.
    """
    return max(timeout - _ANSWER, timeout / 2)


@dataclass(frozen=True)
class Tools:
    """How a replay asks the cluster, and reports to its user."""

    limit: float  # seconds that each wait may take
    ask: str  # the scheduler's handler of ``leases`` (remote/scheduler/extension.py)
    find: bytes  # `leases.find_leases`, pickled for workers
    tell: Callable[[str], None]  # takes a text to show to the user, once
    lacks: Callable[[str, str], BaseException]  # from a message and a hint


@dataclass
class _Held:
    """Who holds the leases of one name: what may be bypassed, and what is reported."""

    alive: list[str] = field(default_factory=list)
    left_by: list[str] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)


class Leases:
    """The leases of one replay; all its methods run in the loop that ``rpc`` is of."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self._taken: dict[str, Any] = {}
        self._private: dict[str, Any] = {}
        self._most: dict[Any, int] = {}

    async def register(
        self, rpc: Any, name: Any, max_leases: int, lease_timeout: Any
    ) -> None:
        """A name that is unknown to the scheduler stays private to this replay."""
        self._most[name] = max_leases
        if (await self._state(rpc, name))["known"]:
            await rpc.semaphore_register(
                name=name, max_leases=max_leases, lease_timeout=lease_timeout
            )

    async def acquire(
        self, rpc: Any, name: Any, timeout: float | None, lease_id: str
    ) -> bool:
        """Take a lease: the real one, or a private one if its holder is gone.

        Raises `StandInLacks` if there is none within the replay's limit, and the task
        itself would have waited longer.
        """
        limit = self.tools.limit
        own = timeout is not None and timeout <= limit
        end = monotonic() + (timeout if own and timeout is not None else limit)
        while True:
            state = await self._state(rpc, name)
            if len(state["leases"]) < state["most"] and await self._take(
                rpc, name, 0, lease_id
            ):
                return True
            held = await self._look(rpc, name, state["leases"])
            most = state["most"] if state["known"] else self._most.get(name, 1)
            if len(held.alive) + self._count(name) < most:
                self._grant(name, lease_id, most, held)
                return True
            left = end - monotonic()
            if left <= 0:
                if own:
                    return False
                raise self._refusal(name, most, held)
            if not state["known"]:
                await asyncio.sleep(min(left, 0.05))
            elif await self._take(rpc, name, min(left, _AGAIN), lease_id):
                return True

    async def release(self, rpc: Any, name: Any, lease_id: str) -> None:
        if self._private.pop(lease_id, None) is None:
            self._taken.pop(lease_id, None)
            await rpc.semaphore_release(name=name, lease_id=lease_id)

    async def refresh(self, rpc: Any, name: Any, lease_ids: list[str]) -> None:
        if real := [each for each in lease_ids if each in self._taken]:
            await rpc.semaphore_refresh_leases(name=name, lease_ids=real)

    async def value(self, rpc: Any, name: Any) -> int:
        """How many leases there are, as the task sees it."""
        state = await self._state(rpc, name)
        if not self._count(name):
            return len(state["leases"])
        held = await self._look(rpc, name, state["leases"])
        return len(held.alive) + self._count(name)

    async def close(self, rpc: Any, name: Any) -> None:
        if (await self._state(rpc, name))["known"]:
            self.tools.tell(f"the task closes the semaphore {name!r} for everyone")
            await rpc.semaphore_close(name=name)

    async def give_back(self, rpc: Any, loop: Any, scheduler: Any) -> None:
        """Release what the task has not released, and stop refreshing leases.

        Its semaphores are those whose ``_scheduler`` is the stand-in.
        """
        for semaphore in refreshed_by(loop):
            if semaphore._scheduler is scheduler:
                semaphore.refresh_callback.stop()
        self._private.clear()
        taken, self._taken = self._taken, {}
        for lease_id, name in taken.items():
            await rpc.semaphore_release(name=name, lease_id=lease_id)

    def _count(self, name: Any) -> int:
        return list(self._private.values()).count(name)

    async def _take(self, rpc: Any, name: Any, timeout: float, lease_id: str) -> bool:
        got = await rpc.semaphore_acquire(name=name, timeout=timeout, lease_id=lease_id)
        if got:
            self._taken[lease_id] = name
        return bool(got)

    def _grant(self, name: Any, lease_id: str, most: int, held: _Held) -> None:
        self._private[lease_id] = name
        if held.left_by:
            self.tools.tell(
                f"{_called(name, most)} is still held by {', '.join(held.left_by)}, "
                "which no longer runs any task: the replay was given one of its own"
            )

    async def _state(self, rpc: Any, name: Any) -> LeasesForm:
        """What the scheduler knows, which is not checked."""
        answer = await getattr(rpc, self.tools.ask)(
            verb="leases", question={"name": name}
        )
        if answer is None:  # the extension was taken off
            raise self.tools.lacks(
                f"the scheduler did not report what holds {name!r}",
                "try again: dbgkit's extension was removed in the meantime",
            )
        state: LeasesForm = answer
        return state

    async def _look(self, rpc: Any, name: Any, ids: list[str]) -> _Held:
        """Ask all workers which of these leases are theirs."""
        held = _Held()
        left = set(ids)

        def note(ids: Iterable[str], holder: str) -> None:
            if found := left.intersection(ids):
                held.alive.extend(found)
                held.holders.append(holder)
                left.difference_update(found)

        note(self._taken, "this replay itself")
        shared = False
        for address, answer in (await self._ask(rpc, left)).items():
            shared = shared or bool(left.intersection(answer["shared"]))
            note(answer["replayed"], f"another replay, on worker {address}")
            if answer["running"]:
                note(answer["held"], f"worker {address}, which runs {_some(answer)}")
            elif theirs := left.intersection(answer["held"]):
                held.left_by.append(f"worker {address}")
                left -= theirs
        if shared or held_here(asyncio.get_running_loop(), left):
            note(left, "this process, or another thread of it")
        note(left, "a client, or a worker that is gone or does not answer")
        return held

    async def _ask(self, rpc: Any, ids: set[str]) -> dict[str, HeldLeases]:
        if not ids:
            return {}
        message = {
            "op": "run",
            "function": self.tools.find,
            "args": pickle.dumps((sorted(ids),)),
            "kwargs": pickle.dumps({}),
            "wait": True,
        }
        asking = rpc.broadcast(msg=message, on_error="ignore")
        try:
            answers = await asyncio.wait_for(asking, _ANSWER)
        except (TimeoutError, asyncio.TimeoutError):
            return {}
        return {
            address: answer["result"]
            for address, answer in answers.items()
            if answer["status"] == "OK"
        }

    def _refusal(self, name: Any, most: int, held: _Held) -> BaseException:
        return self.tools.lacks(
            f"the replayed task waits for {_called(name, most)}, which is held by "
            f"{'; '.join(held.holders)}: not waited for longer than "
            f"{self.tools.limit:g} s",
            "try again once it is released, or with a longer timeout",
        )


def _called(name: Any, most: int) -> str:
    return f"{'the lock' if most == 1 else 'the semaphore'} {name!r}"


def _some(answer: HeldLeases) -> str:
    return several(map(repr, answer["keys"]), answer["running"], len(answer["keys"]))
