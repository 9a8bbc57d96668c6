"""Whether what does not answer can be reached: its port, its nanny, its host."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from distributed.comm.addressing import get_address_host_port

from .asking import ask_all

if TYPE_CHECKING:
    from ..common.wire_why_workers import Port, Reach

LIMIT = 1.5  # seconds for a port to be open, and for nannies and neighbours to answer
MOST_ASKED = 32
_BY_NETWORK = ("tcp://", "tls://", "ws://", "wss://")


async def reach_of(
    state: Any, answering: dict[str, bool], limit: float
) -> dict[str, Reach]:
    """How far the scheduler gets to workers that did not answer.

    A process that is stopped, or whose event loop is blocked, still has its port
    open, as the system accepts connections for it.
    """
    silent = [address for address, answers in answering.items() if not answers]
    there = [state.workers[each] for each in silent if each in state.workers]
    if not there:
        return {}
    limit = min(limit, LIMIT)
    ports = ask_all([ws.address for ws in there], _port, limit, MOST_ASKED)
    nannies = _answer(state, {ws.nanny for ws in there if ws.nanny}, limit)
    mates = {ws.address: _mate_of(state, ws, answering) for ws in there}
    unasked = {each for each in mates.values() if each and each not in answering}
    opened, alive, others = await asyncio.gather(
        ports, nannies, _answer(state, unasked, limit)
    )
    others |= answering
    return {
        ws.address: {
            "host": ws.host,
            "pid": ws.pid or None,
            "port": opened[ws.address] or "silent",
            "nanny": alive[ws.nanny] if ws.nanny else None,
            "mate": others[mate] if (mate := mates[ws.address]) else None,
        }
        for ws in there
    }


async def _port(address: str) -> Port:
    """Whether a worker's port takes connections; the connection is closed at once."""
    if not address.startswith(_BY_NETWORK):
        return "unknown"
    host, port = get_address_host_port(address)
    try:
        _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return "closed"
    except asyncio.TimeoutError:
        raise
    except OSError:
        return "unreachable"
    writer.close()
    return "open"


async def _answer(
    state: Any, addresses: Iterable[str], limit: float
) -> dict[str, bool]:
    """Whether workers or nannies answer, all asked at once."""
    answers = await ask_all(
        addresses, lambda each: state.rpc(each).identity(), limit, MOST_ASKED
    )
    return {address: answer is not None for address, answer in answers.items()}


def _mate_of(state: Any, ws: Any, answering: dict[str, bool]) -> str | None:
    """Another worker of its host, at best one that is known to answer."""
    addresses = list((state.host_info.get(ws.host) or {}).get("addresses") or ())
    mates = [each for each in addresses if each in state.workers and each != ws.address]
    return max(mates, key=lambda each: answering.get(each, False), default=None)
