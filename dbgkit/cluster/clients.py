"""Which client is meant, and what it holds: its futures, its exceptions."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future as Outcome
from concurrent.futures import TimeoutError as OutcomeTimeout
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from dbgkit import advice
from dbgkit.cluster.connection import scheduler_id
from dbgkit.errors import SchedulerGone, WrongTarget
from dbgkit.remote.common.texts import with_article
from dbgkit.remote.recording.handed import is_future as is_future

if TYPE_CHECKING:
    from distributed import Client, Future
    from distributed.security import Security

# In the ids of clients that are opened here, see remote/scheduler/leftovers.py.
OWN_NAME = "dbgkit"
LAST_PORT = 65_535
HANDSHAKE = 1.0  # seconds more than the limit, for what Dask does at its end


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


def dashboard_of(client: Client, port: int | None) -> str:
    """Address of Dask's own dashboard, as the cluster has it, if it has a port."""
    from distributed.utils import format_dashboard_link

    if port is None:
        return ""
    known = getattr(client.cluster, "dashboard_link", None)
    if known:
        return str(known)
    assert client.scheduler is not None
    host = client.scheduler.address.partition("://")[2].rpartition(":")[0]
    inproc = client.scheduler.address.startswith("inproc")
    try:
        return str(format_dashboard_link("localhost" if inproc else host, port))
    except KeyError:  # the link that is configured needs a variable of another machine
        return ""


@contextmanager
def client_of(client: Any, timeout: float) -> Iterator[Client | None]:
    """The client given as ``client=``; one opened for an address is closed afterwards.

    None is the current client, if there is one. See `opened_client`.
    """
    if client is None:
        yield current_client()
        return
    from distributed import Client

    if isinstance(client, Client):
        yield client
        return
    if not isinstance(client, str):
        raise _no_client(client)
    with opened_client(client, timeout) as opened:
        yield opened


_opened: WeakSet[Client] = WeakSet()


def was_opened_here(client: Client) -> bool:
    """Whether a client is one of `opened_client`: no work of the user's is its own."""
    return client in _opened


@contextmanager
def opened_client(
    address: str,
    timeout: float,
    *,
    security: Security | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[Client]:
    """A client of the scheduler at an address, closed at the end.

    ``security`` is that of Dask's configuration, if not given. If no scheduler answers
    there within ``timeout`` seconds, `SchedulerGone` says so. ``meanwhile`` is called
    while it connects, in a thread of its own: Ctrl-C ends the wait at once.
    """
    from distributed import Client

    _check_address(address)
    # A client that could not connect has to be closed as well: Client.__del__ would
    # do so whenever it is collected, and waits for ever if that is while another
    # client starts (distributed/utils.py, LoopRunner: both take one lock).
    opened = Client.__new__(Client)
    starting = _Starting(opened, address, timeout, security)
    _opened.add(opened)
    try:
        if meanwhile is not None:
            threading.Thread(target=meanwhile, name="dbgkit-load", daemon=True).start()
        starting.wait(timeout + HANDSHAKE)
        yield opened
    finally:
        starting.close()


def _check_address(address: str) -> None:
    """Raise `WrongTarget` for what is no address of a scheduler, if that is clear."""
    scheme, separated, place = address.partition("://")
    if separated and scheme in ("http", "https"):
        raise WrongTarget(
            f"{address!r} is the address of a web page, such as the dashboard, and not "
            "of a scheduler",
            "a scheduler's is like tcp://HOST:8786: client.scheduler.address shows it",
        )
    if scheme == "gateway" and separated:
        raise WrongTarget(
            f"{address!r} can only be reached through dask_gateway",
            "connect with dask_gateway in Python, and pass the client that it gives",
        )
    host, _, port = (place if separated else address).rstrip("/").rpartition(":")
    if separated and scheme not in ("tcp", "tls"):
        return
    like = f"a scheduler's address is like {scheme if separated else 'tcp'}://"
    if _looks_like_file(address):
        hint = f"pass a dump's path as {advice.option('view')}"
        raise WrongTarget(f"{address!r} is a file, not an address", hint)
    if address.isdigit():
        raise WrongTarget(f"{address!r} is a port alone", f"{like}HOST:{address}")
    if not port.isdigit():
        named = (place if separated else address).rstrip(":/")
        host = named if re.fullmatch(r"[\w.-]+", named) else "HOST"
        raise WrongTarget(f"{address!r} has no port", f"{like}{host}:8786")
    if not host:
        raise WrongTarget(f"{address!r} has no host", f"{like}HOST:{port}")
    if int(port) > LAST_PORT:
        raise WrongTarget(
            f"{address!r} has no valid port", f"ports go up to {LAST_PORT}"
        )
    if not re.fullmatch(r"\[[\w:.%]+\]|[\w.-]+", host):
        raise WrongTarget(f"{address!r} is not an address", f"{like}HOST:{port}")


def _looks_like_file(text: str) -> bool:
    """Whether a text names a file, or would on Windows."""
    dumps = (".msgpack", ".msgpack.gz", ".yaml", ".yml")
    drive = re.match(r"[A-Za-z]:[\\/]", text) is not None
    return drive or text.endswith(dumps) or os.path.isfile(text)


def _no_client(value: Any) -> WrongTarget:
    """The error for what is neither a client nor an address."""
    kind = type(value)
    hint = "leave it out for the current client"
    if isinstance(value, int) and not isinstance(value, bool):
        hint = f"a scheduler's address is like tcp://HOST:{value}"
    elif isinstance(value, type):
        hint = f"pass an object, not the class {value.__name__}"
    elif kind.__module__.startswith("distributed.deploy."):
        hint = "connect one with Client(cluster), and pass that"
    elif isinstance(value, os.PathLike):
        hint = f"pass a dump's path as {advice.option('view')}"
    name = advice.option("client")
    what = with_article(kind.__name__)
    return WrongTarget(f"{name} takes a Client or an address, not {what}", hint)


class _Starting:
    """Starts a client in a thread, as Dask's own limit leaves out the handshake.

    Dask would wait forever for something that accepts connections and then says nothing
    (distributed/comm/core.py, connect).
    """

    def __init__(
        self, client: Client, address: str, timeout: float, security: Security | None
    ) -> None:
        self.client = client
        self.address = address
        self.timeout = timeout
        self.security = security
        self._started: Outcome[None] = Outcome()
        self._lock = threading.Lock()
        self._abandoned = False
        threading.Thread(target=self._run, name="dbgkit-connect", daemon=True).start()

    def wait(self, limit: float) -> None:
        """Wait until the client has started."""
        try:
            self._started.result(limit)
        except OutcomeTimeout:
            raise SchedulerGone(
                f"no scheduler answers at {self.address!r}: something listens there, "
                f"but did not speak Dask's protocol within {self.timeout:g} s",
                "check the address and its port (the dashboard has another one); a "
                "busy scheduler needs a longer timeout",
            ) from None

    def close(self) -> None:
        """Close the client, now or as soon as its start has ended."""
        with self._lock:
            self._abandoned = True
            if not self._started.done():
                _stop_starting(self.client)
                return
        _close(self.client)

    def _run(self) -> None:
        error = None
        try:
            self.client.__init__(
                self.address,
                name=OWN_NAME,
                timeout=self.timeout,
                security=self.security,
                set_as_default=False,
            )
        # Anything may listen at an address, so reading its answers as Dask's may raise
        # anything: a MemoryError for a web server, for example.
        except (Exception, asyncio.CancelledError) as raised:
            error = _no_scheduler(self.address, raised)
        with self._lock:
            given_up = self._abandoned
            if error is None:
                self._started.set_result(None)
            else:
                self._started.set_exception(error)
        if given_up:
            _close(self.client)


def _stop_starting(client: Client) -> None:
    """Cancel ``Client._start`` (distributed/client.py) in the client's own loop.

    Its connection is released, and `Client` raises in the thread that starts it.
    """
    if not _has_loop(client):
        return
    loop = event_loop(client)

    def cancel() -> None:
        for task in asyncio.all_tasks(loop):
            if getattr(task.get_coro(), "__qualname__", "") == "Client._start":
                task.cancel()

    loop.call_soon_threadsafe(cancel)


def _no_scheduler(address: str, error: BaseException) -> SchedulerGone:
    hint = "check the address, and whether the scheduler still runs"
    if not isinstance(error, (OSError, ValueError)):
        # Client.__init__ raises a TypeError without a certificate for tls://
        if address.startswith("tls:") and "ssl_context" in str(error):
            error = ValueError("it requires a certificate, and none was given")
            hint = (
                "name the files as --tls-ca-file, --tls-cert and --tls-key, or in "
                "Dask's configuration as distributed.comm.tls"
            )
        else:
            error = ValueError("what answers there is not a Dask scheduler")
            hint = "check the address and its port: workers and dashboards have others"
    gone = SchedulerGone(f"no scheduler answers at {address!r}: {error}", hint)
    gone.__cause__ = error
    return gone


def security_of(
    ca_file: str | None, cert: str | None, key: str | None
) -> Security | None:
    """TLS by files in PEM format; what is not given is as configured. None: no file.

    If a file is not a valid one of its kind, `WrongTarget` says so.
    """
    files = {"tls_ca_file": ca_file, "tls_client_cert": cert, "tls_client_key": key}
    given = {name: path for name, path in files.items() if path}
    if not given:
        return None
    import ssl

    from distributed.security import Security

    security = Security(**given)
    try:
        security.get_connection_args("client")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise WrongTarget(
            f"the TLS files cannot be used: {error}",
            "pass the CA's certificate, a certificate and its private key, each "
            "in PEM format",
        ) from error
    return security


def _close(client: Client) -> None:
    """Close a client, even one that never finished starting."""
    if _has_loop(client):
        client.close()


def _has_loop(client: Client) -> bool:
    """Before it has one, ``Client.__del__`` (distributed/client.py) does nothing."""
    return getattr(client, "_Client__loop", None) is not None


def held_future_states(client: Client) -> dict[Any, Any]:
    """``{key: FutureState}`` of what a client holds, oldest first.

    ``Client.futures`` (distributed/client.py) maps keys to ``FutureState``, with
    ``status``, ``exception`` and ``traceback``.
    """
    return dict(client.futures)


def state_of_future(future: Future) -> Any:
    """Its ``FutureState``: it stays when the client has dropped it from its list.

    A client does so as it loses its scheduler: ``Client._reconnect``.
    """
    return getattr(future, "_state", None)


def cancel_reason(state: Any) -> str:
    """Why a ``FutureState`` is cancelled: ``FutureCancelledError.reason``."""
    return str(getattr(getattr(state, "exception", None), "reason", None) or "unknown")


def future_client(future: Future) -> Client | None:
    """The client that a future belongs to; None once it was released."""
    client: Client | None = getattr(future, "_client", None)
    return client


def loop_thread_is_here(client: Client) -> bool:
    """Whether we are in the thread that the client's event loop runs in."""
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


def scheduler_is_here(client: Client) -> bool:
    """Whether the scheduler lives in this process, as that of a LocalCluster does.

    ``Scheduler._instances`` (distributed/scheduler.py) are those of this process.
    """
    from distributed import Scheduler

    known = scheduler_id(client)
    return any(scheduler.id == known for scheduler in set(Scheduler._instances))
