"""The extension on the scheduler, which answers questions about a cluster.

It is installed with the first question, and again when somebody has removed it.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.asking import ask_with_plugin, check_sendable
from dbgkit.cluster.connection import scheduler_id
from dbgkit.cluster.shipping import ShippedPlugin, digest_of
from dbgkit.errors import SchedulerGone

if TYPE_CHECKING:
    from distributed import Client

    from dbgkit.remote.common.wire import AnyQuestion

MOST_TRIES = 5  # to put back an extension that others take off

# Clients whose scheduler is known to have the extension; each is looked up and set in
# its own event loop alone.
_installed: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def extension_name() -> str:
    """Name of the scheduler extension: one for each version of its source."""
    return f"dbgkit-{digest_of('scheduler.extension')}"


async def ask_extension(client: Client, verb: str, question: AnyQuestion) -> Any:
    """What the extension on the scheduler answers; it is installed if necessary."""
    check_sendable(client, question)
    name = extension_name()
    # A restarted scheduler has another id.
    scheduler = scheduler_id(client)
    answer = None
    if _installed.get(client) == scheduler + name:
        answer = await _handler(client, verb)(**question)
    # An op without a handler is answered with None (Server._handle_comm in
    # distributed/core.py): somebody else may have taken the extension off.
    if answer is None:
        plugin = ShippedPlugin("scheduler.extension", "Extension", name)
        answer = await ask_with_plugin(client, plugin, name, f"{name}-{verb}", question)
        if answer is None:
            answer = await _put_back(client, plugin, name, verb, question)
        _installed[client] = scheduler + name
    return answer


async def _put_back(
    client: Client,
    plugin: ShippedPlugin,
    name: str,
    verb: str,
    question: AnyQuestion,
) -> Any:
    """Ask an extension that is only half there, or cannot be installed.

    Somebody may have unregistered its plugin in between, or its handlers.
    """
    for _ in range(MOST_TRIES):
        # Installing it shows why it cannot be there.
        await client.register_plugin(plugin, name=name)
        answer = await _handler(client, verb)(**question)
        if answer is not None:
            return answer
        with suppress(ValueError):  # it went meanwhile
            await client.unregister_scheduler_plugin(name)
    raise SchedulerGone(
        "dbgkit's extension is removed from the scheduler as soon as it is installed",
        "try again, or find out which client removes it",
    )


def _handler(client: Client, verb: str) -> Any:
    return getattr(client.scheduler, f"{extension_name()}-{verb}")
