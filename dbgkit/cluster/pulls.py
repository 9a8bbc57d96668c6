"""Values from their workers, or through the scheduler where none can be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from distributed.core import PooledRPCCall
from distributed.utils_comm import gather_from_workers

from dbgkit import advice
from dbgkit.cluster.clients import is_inproc
from dbgkit.cluster.connection import address_of
from dbgkit.cluster.link import Link
from dbgkit.cluster.packed import PICKLED, NeverRead, PackedPool, unpacked
from dbgkit.cluster.reach import CONNECT_LIMIT, reach_of
from dbgkit.cluster.workers import PROBE_LIMIT
from dbgkit.errors import InputMoved, InputUnreadable, WaitTimedOut
from dbgkit.remote.common.sentences import several
from dbgkit.remote.common.texts import safe_str
from dbgkit.remote.common.unpickling import Reading

PROBE_AFTER = 2.0  # seconds that a pull may take before its workers are probed
SLOWEST_PULL = 1_000_000  # bytes a second: Dask sends a long list no faster

_PASSED_ON = "workers cannot be reached from here: the scheduler passes their data on"
PASSED_ON = "data came through the scheduler: the workers cannot be reached from here"


def pull_values(
    link: Link,
    who_has: Mapping[Any, Iterable[str]],
    nbytes: int,
    report: Callable[[str], None] = lambda text: None,
    *,
    reader: Reading,
    called: Mapping[Any, Any] = MappingProxyType({}),
) -> dict[Any, Any]:
    """Values of keys that are in memory, straight from their workers.

    Nothing is registered with the scheduler, so that no future and no state changes.
    Where workers cannot be reached from here, the scheduler passes the data on:
    ``report`` and `Link.notes` say so.

    Parameters
    ----------
    link : Link
    who_has : mapping of Key to iterable of str
        Addresses of the workers that hold each key.
    nbytes : int
        Their size, as far as it is known; the limit of the wait grows with it.
    report : callable
    reader : Reading
        Unpickles, and says how long that may take.
    called : mapping, optional
        Names to show for keys that the user does not know.

    Raises
    ------
    InputUnreadable
        A value cannot be unpickled here.
    """
    if not who_has:
        return {}
    came = link.call(
        _Pull(link, report).values,
        {key: set(addresses) for key, addresses in who_has.items()},
        what=_inputs_shown(
            {called.get(key, key): where for key, where in who_has.items()}
        ),
        limit=link.timeout + nbytes / SLOWEST_PULL,
        look=f"whether the worker still answers: {advice.call('doctor')}",
    )
    values = {}
    for key in list(came):
        name = called.get(key, key)
        try:
            read = partial(unpacked, came.pop(key), reader.loads)
            values[key] = reader.at_once(read, nbytes / SLOWEST_PULL)
        except NeverRead as error:
            raise WaitTimedOut(
                f"input {name!r} was not unpickled here within {error.limit:g} s: "
                "reading it waits for something",
                f"{advice.option('where', 'worker')} reads it where it was made",
            ) from None
        except Exception as error:  # unpickling runs anybody's code
            raise _unreadable(name, error) from error
    return values


class _Pull:
    """One pull, in the client's event loop; ``report`` hears of detours."""

    def __init__(self, link: Link, report: Callable[[str], None]) -> None:
        self.link = link
        self.client = link.client
        self.report = report

    async def values(self, who_has: dict[Any, set[str]]) -> dict[Any, Any]:
        """Values of keys, still packed, by the way that there is."""
        limit = min(CONNECT_LIMIT, self.link.timeout / 2)
        who_has, far = await reach_of(self.client).sort(self.client, who_has, limit)
        if far:
            passed_on = await self._pass_on(far, list(far))
            return {**passed_on, **await self.values(who_has)}
        pull = asyncio.ensure_future(gather_from_workers(who_has, rpc=self._packed()))
        try:
            await asyncio.wait({pull}, timeout=PROBE_AFTER)
            if not pull.done() and not await self._reaches(who_has, who_has):
                return await self._pass_on(who_has, list(who_has))
            data, missing, unreadable, _ = await pull
        finally:
            pull.cancel()
        values: dict[Any, Any] = dict(data)
        # Either they have moved on, or the workers are out of reach.
        left = [*missing, *unreadable]
        if left and not await self._reaches(who_has, left):
            values.update(await self._pass_on(who_has, left))
            missing = unreadable = []
        if unreadable:
            raise InputUnreadable(
                f"input {unreadable[0]!r} cannot be deserialised here",
                _where_it_is_known(),
                key=unreadable[0],
            )
        if missing:
            values.update(await self._through_scheduler(list(missing)))
        return values

    async def _pass_on(
        self, who_has: Mapping[Any, set[str]], keys: list[Any]
    ) -> dict[Any, Any]:
        """Values whose workers cannot be reached; that is remembered.

        Unless the scheduler cannot get their data either.
        """
        self.report(_PASSED_ON)
        values = await self._through_scheduler(keys)
        reach_of(self.client).remember({each for key in keys for each in who_has[key]})
        if PASSED_ON not in self.link.notes:
            self.link.notes.append(PASSED_ON)
        return values

    async def _through_scheduler(self, keys: list[Any]) -> dict[Any, Any]:
        packed = self._packed()
        scheduler = PooledRPCCall(address_of(self.client), packed, PICKLED)
        response = await scheduler.gather(keys=keys, serializers=PICKLED)
        if response["status"] != "OK":
            raise InputMoved(
                f"input {response['keys'][0]!r} is gone from the workers",
                "try again: the scheduler may compute it again",
                key=response["keys"][0],
            )
        values: dict[Any, Any] = response["data"]
        return values

    def _packed(self) -> Any:
        pool = self.client.rpc
        return pool if is_inproc(self.client) else PackedPool(pool)

    async def _reaches(
        self, who_has: Mapping[Any, set[str]], keys: Iterable[Any]
    ) -> bool:
        """Whether all workers that hold some keys answer."""
        addresses = {address for key in keys for address in who_has[key]}
        answers = await asyncio.gather(*map(self._answers, addresses))
        lost = {each for each, good in zip(addresses, answers, strict=True) if not good}
        reach_of(self.client).lose(lost)
        return not lost

    async def _answers(self, address: str) -> bool:
        try:
            await asyncio.wait_for(self.client.rpc(address).identity(), PROBE_LIMIT)
        # A ValueError: an address of a transport that is not here.
        except (OSError, asyncio.TimeoutError, ValueError):
            return False
        return True


def _inputs_shown(who_has: Mapping[Any, Iterable[str]]) -> str:
    """The inputs being waited for and the workers to send them, in words."""
    keys = list(map(repr, who_has))
    holders = sorted({address for each in who_has.values() for address in each})
    inputs, places = several(keys, most=2), several(holders, most=2)
    return f"input{'s' if len(keys) > 1 else ''} {inputs} from {places}"


def _where_it_is_known() -> str:
    """What to do if a class is not known here."""
    return (
        "install what defines its type, in the workers' version, or have a worker run "
        f"it: {advice.option('where', 'worker')}"
    )


def _unreadable(key: Any, error: Exception) -> InputUnreadable:
    """Why what arrived is not a value, in one line.

    What a worker cannot pickle arrives as a text that ends with Python's traceback:
    ``serialization_error_loads`` in distributed/protocol.
    """
    text = safe_str(error)
    if isinstance(error, TypeError) and "Traceback (most recent call last)" in text:
        why = text.rstrip().rpartition("\n")[2].strip()
        return InputUnreadable(
            f"input {key!r} cannot leave its worker: {why}",
            "if the recorder was on, look at the task's recording",
            key=key,
        )
    return InputUnreadable(
        f"input {key!r} cannot be deserialised here: {text}",
        _where_it_is_known(),
        key=key,
    )
