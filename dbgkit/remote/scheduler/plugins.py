"""Puts a plugin on workers or nannies, and removes it again, each independently.

Two messages to one of them may arrive in either order, and one that hangs would block
all the others. So each has a task of its own here, which sends one message at a time
and waits for the answer, until the state there is the wanted one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_recordings import RecorderSettings

NONE = 0  # revision of a plugin that is not there
UNSURE = -1  # it may be there: to be asked
AGAIN = 0.5  # seconds until one that could not be reached is tried again
GONE_LIMIT = 5.0  # seconds for one that the scheduler no longer lists
PARTING_LIMIT = 3.0  # seconds for a plugin that was removed to send its last message


class Spread:
    """One plugin on all workers, or all nannies, of a scheduler.

    Parameters
    ----------
    scheduler : Scheduler
    name : str
        Of the plugin, which answers to ``NAME-settings`` where it is.
    there : callable
        Gives the addresses that the scheduler knows.
    verbs : (str, str)
        Operations that add and remove a plugin.
    parting : bool
        Whether a removed plugin calls `parted`, after its last message.
    on_idle : callable
        Called each time that nothing is left to do.
    """

    def __init__(
        self,
        scheduler: Any,
        name: str,
        there: Callable[[], Collection[str]],
        verbs: tuple[str, str],
        *,
        parting: bool = False,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self.scheduler = scheduler
        self.name = name
        self.there = there
        self.verbs = verbs
        self.parting = parting
        self.on_idle = on_idle
        self.wanted = NONE
        self.plugin = b""
        self.settings: RecorderSettings = {}
        self.failed: dict[str, str] = {}
        self._has: dict[str, int] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._partings: dict[str, asyncio.Future[None]] = {}

    def want(self, revision: int, plugin: bytes, settings: RecorderSettings) -> None:
        """Install a plugin everywhere; where it is already, that is checked again."""
        self.wanted, self.plugin, self.settings = revision, plugin, settings
        self._has = dict.fromkeys(self._has, UNSURE)
        for address in self.there():
            self.look_after(address)

    def want_none(self) -> None:
        """Remove it everywhere."""
        self.wanted = NONE
        for address in list(self._has):
            self.look_after(address)

    def suppose(self) -> None:
        """Assume that it is everywhere, as an unknown client may have left it there."""
        for address in self.there():
            self._has.setdefault(address, UNSURE)

    def look_after(self, address: str) -> None:
        """Make sure that one worker or nanny has what is wanted."""
        known = self._has.get(address, NONE) == self.wanted
        if address not in self._tasks and not known:
            task = asyncio.ensure_future(self._settle(address))
            self._tasks[address] = task
            task.add_done_callback(lambda _: self._end(address, task))

    def joined(self, address: str) -> None:
        """A worker has joined, and got the plugin if it was wanted then."""
        self._has[address] = UNSURE

    def heard(self, address: str) -> RecorderSettings | None:
        """A plugin reports that it was set up; returns the settings that it is to have.

        None: it is no longer wanted, and removes itself.
        """
        if self.wanted == NONE and address not in self._tasks:
            self._has.pop(address, None)
            return None
        self._has[address] = self.wanted or UNSURE
        return self.settings

    def parted(self, address: str) -> None:
        """A removed plugin has sent everything."""
        if parting := self._partings.pop(address, None):
            parting.set_result(None)

    def left(self, address: str) -> None:
        """One has left permanently."""
        self._has.pop(address, None)
        self.failed.pop(address, None)
        if task := self._tasks.get(address):
            task.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do."""
        return not self._tasks

    async def settled(self, limit: float) -> dict[str, str]:
        """Wait until all is as wanted, for at most so many seconds.

        By address, why it is not; of those that the scheduler knows.
        """
        tasks = dict(self._tasks)
        if tasks:
            await asyncio.wait(tasks.values(), timeout=limit)
        there = set(self.there())
        # Others may have begun anew, as somebody else wants it otherwise by now.
        silent = [address for address, task in tasks.items() if not task.done()]
        found = dict.fromkeys(silent, f"no answer within {limit:.3g} s")
        found.update(self.failed)
        return {address: why for address, why in found.items() if address in there}

    def close(self) -> None:
        """Stop all: the scheduler closes."""
        for task in self._tasks.values():
            task.cancel()

    async def _settle(self, address: str) -> None:
        while self._has.get(address, NONE) != self.wanted:
            known = address in self.there()
            try:
                step = self._step(address)
                await (step if known else asyncio.wait_for(step, GONE_LIMIT))
            except (OSError, asyncio.TimeoutError):
                if not (known and address in self.there()):
                    self._has.pop(address, None)
                    return
                await asyncio.sleep(AGAIN)

    def _end(self, address: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(address) is task:
            del self._tasks[address]
        self._partings.pop(address, None)
        if not task.cancelled():
            task.result()  # nothing is expected to be raised: Dask's log has it
            self.look_after(address)  # if it was wanted otherwise just now
        if self.is_idle:
            self.on_idle()

    async def _step(self, address: str) -> None:
        """Send one message, and note what is there after it."""
        if self._has.get(address, NONE) == NONE:
            wanted, (add, _) = self.wanted, self.verbs
            error = await self._ask(address, add, plugin=self.plugin, name=self.name)
            self.failed.pop(address, None)
            if error:
                self.failed[address] = error
            self._has[address] = wanted
        elif self.wanted == NONE:
            await self._remove(address)
        else:
            wanted = self.wanted
            operation = f"{self.name}-settings"
            server = self.scheduler.rpc(address)
            known = await getattr(server, operation)(settings=self.settings)
            # An operation that is not there is answered with None.
            self._has[address] = wanted if known else NONE

    async def _remove(self, address: str) -> None:
        parting = None
        if self.parting:
            parting = asyncio.get_running_loop().create_future()
            self._partings[address] = parting
        failed = await self._ask(address, self.verbs[1], name=self.name)
        self._has.pop(address, None)
        self.failed.pop(address, None)
        if parting is not None and not failed:
            # One that could not be set up may have nothing to say.
            await asyncio.wait({parting}, timeout=PARTING_LIMIT)

    async def _ask(self, address: str, operation: str, **message: Any) -> str:
        """What went wrong there; empty if nothing did."""
        server = self.scheduler.rpc(address)
        try:
            answer = await getattr(server, operation)(**message)
        except OSError:
            raise
        except Exception as error:  # what its own code raised, sent here
            return repr(error)[:300]
        if answer["status"] == "OK":
            return ""
        return str(answer.get("exception_text", answer["status"]))[:300]
