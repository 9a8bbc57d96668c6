"""The client's messages to the scheduler and the pool of connections that they take.

Each round trip that can be saved is: what a first question needs over there goes ahead
of it on the same connection, and connections are left in the client's own pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distributed.core import clean_exception, send_recv
from distributed.protocol import Serialize
from distributed.protocol.pickle import dumps
from distributed.protocol.serialize import ToPickle

from dbgkit.cluster.connection import address_of
from dbgkit.cluster.shipping import ShippedPlugin
from dbgkit.errors import UnknownName
from dbgkit.remote.common.texts import sendable

if TYPE_CHECKING:
    from distributed import Client

    from dbgkit.remote.common.wire_replays import Called


async def ask_with_plugin(
    client: Client,
    plugin: ShippedPlugin,
    name: str,
    operation: str,
    question: Mapping[str, Any],
) -> Any:
    """Put a plugin on the scheduler and ask it, in one round trip.

    ``Server._handle_comm`` (distributed/core.py) takes the messages of a connection one
    after the other, and a message with ``reply=False`` is not answered. So the plugin
    is there when the question is looked at. The answer is None if it could not be put
    there: registering it again shows why.
    """
    pool, address = client.rpc, address_of(client)
    comm = await pool.connect(address)
    try:
        await comm.write(
            {
                "op": "register_scheduler_plugin",
                "plugin": dumps(plugin),
                "name": name,
                "idempotent": True,
                "reply": False,
            },
            serializers=pool.serializers,
        )
        return await send_recv(
            comm,
            op=operation,
            serializers=pool.serializers,
            deserializers=pool.deserializers,
            **question,
        )
    finally:
        pool.reuse(address, comm)


async def connects(client: Client, address: str, limit: float) -> bool:
    """Whether a worker can be reached from here; the connection is kept for use.

    ``ConnectionPool.connect`` and ``.reuse`` (distributed/core.py) are what each call
    of its own makes of them: with a connection there already, this costs nothing.
    """
    pool = client.rpc
    try:
        comm = await asyncio.wait_for(pool.connect(address, timeout=limit), limit)
    # A ValueError: an address of a transport that is not here.
    except (OSError, asyncio.TimeoutError, ValueError):
        return False
    pool.reuse(address, comm)
    return True


def result_of(answer: Called) -> Any:
    """What a function returned on a worker, or the exception that it raised."""
    # Within one process, values marked to be serialised arrive as they were marked.
    parts = {
        name: part.data if isinstance(part, (Serialize, ToPickle)) else part
        for name, part in answer.items()
    }
    if parts["status"] == "OK":
        return parts["result"]
    # Its traceback is not used, and need not be readable.
    _, exception, _ = clean_exception(parts["exception"])
    return exception


def check_sendable(client: Client, question: Any) -> None:
    """Raise `UnknownName` for a text that no message can hold.

    Nothing on a cluster is called so. Python decodes names of files and arguments that
    are not UTF-8 to lone surrogates, which msgpack does not accept.
    """
    if address_of(client).startswith("inproc"):
        return  # no message is made of it
    ahead = [question]
    while ahead:
        part = ahead.pop()
        if isinstance(part, Mapping):
            ahead += [*part.keys(), *part.values()]
        elif isinstance(part, (list, tuple, set, frozenset)):
            ahead += part
        elif isinstance(part, str) and not part.isascii() and sendable(part) != part:
            raise UnknownName(
                f"nothing on the cluster can be called {part!r}: it is not valid UTF-8",
                "check the spelling",
                key=part,
            )
