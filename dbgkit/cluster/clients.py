"""Which client is meant, and what it holds: its futures, its exceptions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dbgkit.errors import SchedulerGone, WrongTarget

if TYPE_CHECKING:
    from distributed import Client, Future


def current_client() -> Client | None:
    """The current client, or None; never makes one, never imports distributed."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        client: Client = distributed.Client.current()
    except ValueError:
        return None
    return client


@contextmanager
def client_of(client: Any, timeout: float) -> Iterator[Client | None]:
    """The client that is meant by ``client=``; one opened for an address is closed.

    Parameters
    ----------
    client : Client, str or None
        None: the current one, if there is one.
    timeout : float
        Seconds to wait for a scheduler at an address.

    Raises
    ------
    SchedulerGone
        Nothing answers at the address.
    """
    if client is None:
        yield current_client()
        return
    from distributed import Client

    if isinstance(client, Client):
        yield client
        return
    if not isinstance(client, str):
        raise WrongTarget(
            f"client= takes a Client or an address, not a {type(client).__name__}",
            "leave it out for the current client",
        )
    # A client that could not connect has to be closed as well: Client.__del__ would
    # do so whenever it is collected, and waits for ever if that is while another
    # client starts (distributed/utils.py, LoopRunner: both take one lock).
    opened = Client.__new__(Client)
    try:
        try:
            opened.__init__(client, timeout=timeout, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SchedulerGone(
                f"no scheduler answers at {client!r}: {error}",
                "check the address, and whether the scheduler still runs",
            ) from error
        yield opened
    finally:
        _close(opened)


def _close(client: Client) -> None:
    """Close a client, also one that was never made whole."""
    # Client.__del__ does nothing either before there is a loop.
    if getattr(client, "_Client__loop", None) is not None:
        client.close()


def is_future(value: Any) -> bool:
    """Whether a value is a Future; imports nothing."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(value, distributed.Future)


def held_future_states(client: Client) -> dict[Any, Any]:
    """``{key: FutureState}`` of what a client holds, oldest first.

    ``Client.futures`` (distributed/client.py) maps keys to ``FutureState``, with
    ``status``, ``exception`` and ``traceback``.
    """
    return dict(client.futures)


def future_error(future: Future) -> BaseException | None:
    """The exception that a future holds, without waiting or raising.

    ``Future.exception()`` waits, so this reads ``FutureState.exception``.
    """
    state = getattr(future, "_state", None)
    error = getattr(state, "exception", None)
    return error if isinstance(error, BaseException) else None


def future_client(future: Future) -> Client | None:
    """The client that a future belongs to; None once it was released."""
    client: Client | None = getattr(future, "_client", None)
    return client


def keys_of_exception(client: Client, exception: BaseException) -> list[Any]:
    """Keys of the futures of a client that hold this very exception."""
    return [
        key
        for key, state in held_future_states(client).items()
        if state.exception is exception
    ]


def loop_thread_is_here(client: Client) -> bool:
    """Whether we are in the thread that the client's event loop runs in."""
    import asyncio

    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return False
    return running is event_loop(client)


def event_loop(client: Client) -> Any:
    """The asyncio loop of a client (tornado's ``IOLoop.asyncio_loop``)."""
    return client.loop.asyncio_loop


def is_open(client: Client) -> bool:
    """Whether a client can be asked."""
    return client.status not in ("closed", "closing", "newly-created")


def is_inproc(client: Client) -> bool:
    """Whether the cluster lives in this process, so that values are shared with it."""
    address = getattr(client.scheduler, "address", "") or ""
    return bool(address.startswith("inproc://"))
