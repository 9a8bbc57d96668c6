"""A network between this process and a cluster: it takes time, and may have gaps.

A cluster in processes of its own, of which this process reaches scheduler and worker
through ports that hold back what passes, or swallow it. Scheduler and worker reach
each other without it, although workers are known by such a port: whose connection it
is tells the process that has the other end.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import Any

import psutil

HOST = "127.0.0.1"
STARTS_WITHIN = 60.0  # seconds


class SlowLink:
    """Ports that pass on to others, at the far end of a line.

    Attributes
    ----------
    delay : float
        Seconds of one round trip.
    trips : int
        Sequential waits so far: a request that was sent when the answer to another
        one was there comes after that one, and its own answer makes one more.
    connections, swallowed : int
        Connections that this process has made, and those that nothing came through.
        A connection costs a round trip before anything is said on it, as TCP's does.
    closed : set of int
        Ports of this machine that nothing comes through to.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.trips = 0
        self.connections = 0
        self.swallowed = 0
        self.closed: set[int] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def port_to(self, target: int) -> int:
        """A port that passes on to a port of this machine."""

        async def serve() -> int:
            server = await asyncio.start_server(
                lambda reader, writer: self._serve(target, reader, writer), HOST, 0
            )
            self._servers.append(server)
            return int(server.sockets[0].getsockname()[1])

        return asyncio.run_coroutine_threadsafe(serve(), self._loop).result(10)

    def close(self) -> None:
        async def stop() -> None:
            for server in self._servers:
                server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, target: int, reader: Any, writer: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass_on(target, reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pass_on(self, target: int, reader: Any, writer: Any) -> None:
        accepted = time.monotonic()
        # The cluster's own processes are at the far end of the line as well.
        ours = _is_ours(writer.get_extra_info("peername")[1])
        if ours and target in self.closed:
            self.swallowed += 1
            await reader.read(1)  # it was accepted by something on the way
            await asyncio.Event().wait()
        line = _Line(self, ours)
        if ours:
            self.connections += 1
            # The last word of TCP's handshake comes after one and a half.
            there = accepted + 1.5 * self.delay
            await asyncio.sleep(max(0.0, there - time.monotonic()))
        far_reader, far_writer = await asyncio.open_connection(HOST, target)
        try:
            ways = {
                asyncio.ensure_future(line.there(reader, far_writer)),
                asyncio.ensure_future(line.back(far_reader, writer)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            far_writer.close()


class _Line:
    """One connection: what passes is delayed by half a round trip each way."""

    def __init__(self, link: SlowLink, ours: bool) -> None:
        self.link = link
        self.ours = ours
        self.opened = link.trips + 1  # the handshake of TCP
        self.asked = self.opened

    async def there(self, reader: Any, writer: Any) -> None:
        async for data in self._delayed(reader, first=True):
            writer.write(data)
            await writer.drain()

    async def back(self, reader: Any, writer: Any) -> None:
        async for data in self._delayed(reader, first=False):
            if self.ours:
                # What it answers, or says of its own accord as the line is open.
                self.link.trips = max(self.link.trips, self.asked + 1)
            writer.write(data)
            await writer.drain()

    async def _delayed(self, reader: Any, first: bool) -> Any:
        """What was read, each time half a trip later, in order, none held up."""
        passing: asyncio.Queue[Any] = asyncio.Queue()

        async def fill() -> None:
            while data := await reader.read(2**18):
                if first:
                    self.asked = max(self.opened, self.link.trips)
                wait = self.link.delay / 2 if self.ours else 0.0
                passing.put_nowait((time.monotonic() + wait, data))
            passing.put_nowait((time.monotonic(), b""))

        filling = asyncio.ensure_future(fill())
        try:
            while True:
                due, data = await passing.get()
                if not data:
                    return
                if (left := due - time.monotonic()) > 0:
                    await asyncio.sleep(left)
                yield data
        finally:
            filling.cancel()


def _is_ours(port: int) -> bool:
    """Whether a port is the near end of a connection of this process."""
    own = psutil.Process()
    find = getattr(own, "net_connections", None) or own.connections
    return any(each.laddr and each.laddr.port == port for each in find("tcp"))


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


class Far:
    """A cluster that is reached by a `SlowLink` only."""

    def __init__(self, link: SlowLink, scheme: str, folder: Any, options: Any) -> None:
        self.link = link
        self.scheme = scheme
        self.options = [*options, *([] if scheme == "tcp" else ["--protocol", scheme])]
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler_port = free_port()
        self.address = f"{scheme}://{HOST}:{link.port_to(self.scheduler_port)}"
        self.worker_ports: list[int] = []
        self._start("dask_scheduler", ["--port", self.scheduler_port, "--no-dashboard"])

    def add_worker(self, name: str) -> str:
        """Start a worker; gives the address that it is known by."""
        port = free_port()
        self.worker_ports.append(port)
        contact = f"{self.scheme}://{HOST}:{self.link.port_to(port)}"
        self._start(
            "dask_worker",
            [
                f"{self.scheme}://{HOST}:{self.scheduler_port}",
                *("--contact-address", contact),
                *("--listen-address", f"{self.scheme}://{HOST}:{port}"),
                *("--no-nanny", "--nthreads", 2, "--name", name),
                *("--no-dashboard", "--local-directory", self.folder),
            ],
        )
        return contact

    def until_it_listens(self) -> None:
        """Wait until the scheduler takes connections."""
        end = time.monotonic() + STARTS_WITHIN
        while True:
            with suppress(OSError):
                socket.create_connection((HOST, self.scheduler_port)).close()
                return
            assert time.monotonic() < end, "the scheduler has not started"
            assert self.processes[0].poll() is None, "the scheduler has ended"
            time.sleep(0.05)

    def cut(self) -> None:
        """Let nothing through to the workers any more."""
        self.link.closed.update(self.worker_ports)

    def mend(self) -> None:
        self.link.closed.clear()

    def _start(self, module: str, arguments: list[Any]) -> None:
        here = os.path.dirname(os.path.abspath(__file__))
        paths = [here, os.path.dirname(here), os.environ.get("PYTHONPATH", "")]
        command = [sys.executable, "-m", f"distributed.cli.{module}"]
        with open(os.path.join(self.folder, f"{module}.log"), "ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [*command, *map(str, arguments), *self.options],
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(paths),
                        # It drops copies of its own accord.
                        "DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": (
                            "False"
                        ),
                    },
                    stdout=log,
                    stderr=log,
                )
            )

    def close(self) -> None:
        for process in self.processes:
            process.kill()  # a task may still run, which a worker would wait for
        for process in self.processes:
            process.wait(30)


@contextmanager
def far_cluster(
    folder: Any, *, workers: int = 1, scheme: str = "tcp", options: Any = ()
) -> Any:
    """A cluster at the far end of a `SlowLink`, without delay at first."""
    link = SlowLink()
    far = Far(link, scheme, str(folder), options)
    try:
        for number in range(workers):
            far.add_worker(f"far-{number}")
        far.until_it_listens()
        yield far
    finally:
        far.close()
        link.close()
