"""Which workers a client can reach, as far as that was found out.

A client outside the workers' network (behind a gateway, a NAT, in a namespace of its
own) finds out by waiting. The result is remembered: after one such wait, data comes
through the scheduler. Whether that is still necessary is checked now and then, in the
background.
"""

from __future__ import annotations

import asyncio
import random
import weakref
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.asking import connects

if TYPE_CHECKING:
    from distributed import Client

CONNECT_LIMIT = 3.0  # seconds for a worker to be reached
LOOK_AGAIN_AFTER = 30.0  # seconds until a worker that was out of reach is tried again

_known: weakref.WeakKeyDictionary[Any, Reach] = weakref.WeakKeyDictionary()


class Reach:
    """What is known of how one client reaches the workers.

    All of it is used in the client's event loop only. `reached` are addresses that a
    connection was made to, `missed` those to which none could be made although the
    scheduler reaches them.
    """

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self.missed: set[str] = set()
        self._failed: set[str] = set()  # whatever the reason
        self._tried = 0.0
        self._trying: asyncio.Task[None] | None = None

    async def sort(
        self, client: Client, who_has: Mapping[Any, set[str]], limit: float
    ) -> tuple[dict[Any, set[str]], dict[Any, set[str]]]:
        """Keys that can be fetched from their workers, and those that cannot.

        Each with the addresses concerned. Costs nothing for known workers; for others,
        a connection, which is kept for the transfer, and for which each has ``limit``
        seconds.
        """
        near: dict[Any, set[str]] = {}
        far: dict[Any, set[str]] = {}
        wanted: dict[Any, str] = {}
        for key, addresses in who_has.items():
            if known := addresses & self.reached:
                near[key] = known
            elif self._is_far(addresses):
                far[key] = addresses
            else:
                # One of several is enough, and the same one for all.
                chosen = addresses & set(wanted.values()) or addresses - self.missed
                wanted[key] = random.choice(sorted(chosen))
        reached = await self.try_all(client, wanted.values(), limit)
        for key, address in wanted.items():
            (near if reached[address] else far)[key] = {address}
        if self.missed:
            self._look_again(client, far)
        return near, far

    def _is_far(self, addresses: set[str]) -> bool:
        """Whether trying is pointless: who reached no worker reaches no other."""
        if not self.missed:
            return False
        return not self.reached or addresses <= self.missed

    async def try_all(
        self, client: Client, addresses: Iterable[str], limit: float
    ) -> dict[str, bool]:
        """Whether workers can be reached, by address; all are tried at once."""
        wanted = list(dict.fromkeys(addresses))
        tries = (connects(client, address, limit) for address in wanted)
        found = await asyncio.gather(*tries)
        answers = dict(zip(wanted, found, strict=True))
        good = {address for address, found in answers.items() if found}
        self.reached |= good
        self.missed -= good
        self._failed -= good
        self.lose(answers.keys() - good)
        return answers

    def lose(self, addresses: Iterable[str]) -> None:
        """No connection could be made to some workers (any more)."""
        self._failed |= set(addresses)
        self.reached -= self._failed

    def remember(self, addresses: Iterable[str]) -> None:
        """The scheduler reached workers that could not be reached from here."""
        found = self._failed & set(addresses)
        if not found <= self.missed:
            self.missed |= found
            self._tried = monotonic()

    def _look_again(self, client: Client, far: Mapping[Any, set[str]]) -> None:
        """Try again, in the background, workers that were, or seemed, out of reach."""
        again = {each for addresses in far.values() for each in addresses}
        if monotonic() - self._tried < LOOK_AGAIN_AFTER:
            again -= self._failed
        else:
            self._tried = monotonic()
        if not again or not (self._trying is None or self._trying.done()):
            return

        async def look() -> None:
            await self.try_all(client, again, CONNECT_LIMIT)

        self._trying = asyncio.ensure_future(look())


def reach_of(client: Client) -> Reach:
    """What is known of a client's ways to the workers."""
    return _known.setdefault(client, Reach())
