"""Parts of the real worker, by name: attributes, plugins, state and data."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from dbgkit.cluster.clients import event_loop
from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.errors import StandInLacks
from dbgkit.remote.common.loops import begin_in
from dbgkit.remote.worker.parts import unpickled
from dbgkit.replays.standin_client import Base

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import PartForm

Path = tuple[tuple[str, Any], ...]

# What each task of a P2P shuffle asks for (distributed/shuffle/_core.py).
_SHUFFLE = (("a", "plugins"), ("i", "shuffle"))


class Parts:
    """Reads parts of one worker, of at most so many bytes; each wait has its limit.

    ``named`` is what stands for the worker, its loop and its scheduler in what it
    sends.
    """

    def __init__(
        self,
        address: str,
        base: Base,
        limit: float,
        most: int,
        named: Mapping[str, Any],
    ) -> None:
        self.address = address
        self.lacked: list[str] = []
        self._base = base
        self._limit = limit
        self._most = most
        self._named = named

    def read(self, path: Path) -> Any:
        """A part's value.

        Raises as the worker would if it does not have it either; `StandInLacks` if it
        cannot be sent, or the worker cannot be asked.
        """
        if path[:2] == _SHUFFLE:
            raise self.lack(path, "a shuffle belongs to its workers")
        answer = self._ask(path)
        if answer["status"] == "missing":
            kind, name = path[-1]
            if kind == "i":
                raise KeyError(name)
            owner = answer["owner"]
            raise AttributeError(f"{owner!r} object has no attribute {name!r}")
        if answer["status"] != "ok":
            why = f"a {answer['type']} that is not available: {answer['text']}"
            raise self.lack(path, why)
        try:
            return unpickled(answer["data"], self._named)
        except Exception as error:  # unpickling runs anybody's code
            why = f"a {answer['type']} is unreadable here: {error}"
            raise self.lack(path, why) from error

    def lack(self, path: Path, why: str) -> StandInLacks:
        """The error for what the stand-in lacks, which is noted."""
        name = spelled(path)
        self.lacked.append(name)
        return StandInLacks(
            f"the replayed task asks its worker for {name!r}, which dbgkit's stand-in "
            f"for a worker does not have: {why}",
            "",  # where it can be run is said by `dbgkit.replays.lacking`
        )

    def _ask(self, path: Path) -> PartForm:
        if self._base.runs_here():
            raise self.lack(path, "it was requested in the client's own loop")
        client = self._base.client()
        if client is None:
            raise self.lack(path, "the worker cannot be asked from here")
        asking = begin_in(
            event_loop(client),
            read_from(client, self.address, path, self._most, self._limit),
        )
        try:
            answer = asking.result(self._limit + 5)
        except (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError):
            asking.cancel()
            why = f"worker {self.address} does not answer in {self._limit:g} s"
            raise self.lack(path, why) from None
        if answer is None:
            raise self.lack(path, f"worker {self.address} is gone or cannot be asked")
        return cast("PartForm", answer)


async def read_from(
    client: Any, address: str, path: Path, most: int, limit: float
) -> Any:
    """What ``remote.worker.parts.read_part`` answers, or None without an answer.

    Through the scheduler, as ``Client.run`` does (distributed/client.py): a worker
    need not be in reach of this process.
    """
    from distributed.protocol.pickle import dumps

    message = {
        "op": "run",
        "function": dumps(ShippedFunction("worker.parts", "read_part")),
        "args": dumps((path, most)),
        "kwargs": dumps({}),
        "wait": True,
    }
    asking = client.scheduler.broadcast(
        msg=message, workers=[address], on_error="ignore"
    )
    answers = await asyncio.wait_for(asking, limit)
    answer = answers.get(address)
    if answer is None or answer["status"] != "OK":
        return None
    return answer["result"]


def spelled(path: Path) -> str:
    """A path as it is written: ``plugins['model'].weights``."""
    text = ""
    for kind, name in path:
        if kind == "i":
            text += f"[{name!r}]" if name is not None else ""
        else:
            text += f".{name}" if text else str(name)
    return text


class _StandIn:
    def __init__(self, parts: Parts, path: Path) -> None:
        self._parts = parts
        self._path = path

    def __repr__(self) -> str:
        return f"<{spelled(self._path)} of worker {self._parts.address}>"


class MappingStandIn(_StandIn, Mapping[Any, Any]):
    """A mapping of the worker's, whose items are fetched one by one, when read."""

    def __init__(self, parts: Parts, path: Path) -> None:
        super().__init__(parts, path)
        self._found: dict[Any, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        if key not in self._found:
            self._found[key] = self._parts.read((*self._path, ("i", key)))
        return self._found[key]

    def _keys(self) -> list[Any]:
        keys: list[Any] = self._parts.read((*self._path, ("i", None)))
        return keys

    def __contains__(self, key: object) -> bool:
        return key in self._found or key in self._keys()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())


class PartStandIn(_StandIn):
    """An object of the worker's that is too entwined with it to be sent whole."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._parts.read((*self._path, ("a", name)))
