"""What runs inside a nanny: tells how its worker's process ended.

The nanny survives that process, knows its exit code, and reads its black box. It sends
all as one event, which the scheduler's part puts together with what it saw itself.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Iterable
from time import time
from typing import Any

import psutil
from distributed.diagnostics.plugin import NannyPlugin
from tornado.ioloop import PeriodicCallback

from .boxes import boxes_in, folder_in, is_alive, read_box, remove_box

EVERY = 0.5  # seconds between two looks at the process
SENDING_LIMIT = 2.0  # seconds for a report to be sent
LOG_LINES = 50  # newest lines of the nanny's log to look through
MOST_LINES = 5  # of them to send


class DeathWatch(NannyPlugin):  # type: ignore[misc]
    """Reports each end of the worker process of one nanny.

    Parameters
    ----------
    topic : str
        Of the events; the scheduler's part listens to it.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.nanny: Any = None
        self.pid: int | None = None
        self.since = 0.0
        self.memory: int | None = None
        self.memory_at = 0.0
        self.kills: dict[str, int] = {}
        self.box = ""
        self.errors: list[str] = []

    def setup(self, nanny: Any) -> None:
        before: Any = getattr(nanny._on_worker_exit_sync, "__self__", None)
        if getattr(before, "topic", None) == self.topic:
            before.teardown(nanny)  # it was handed to this nanny twice
        self.nanny = nanny
        self.passed_on = hook_exits(nanny, self.ended)
        self.ticking = PeriodicCallback(self.look, EVERY * 1000)
        self.ticking.start()
        self.look()

    def teardown(self, nanny: Any) -> None:
        """Take the hook off; what the process left behind has nobody to read it.

        A nanny that closes does this first, and then ends its process, by force where
        that does not end by itself: nobody would remove that one's box later.
        """
        self.nanny = None
        self.ticking.stop()
        unhook_exits(nanny, self.ended, self.passed_on)
        closes = nanny.status.name == "closing"
        for path, box in _boxes(nanny):
            if closes or not is_alive(box["pid"], box["started"]):
                remove_box(path)

    def look(self) -> None:
        """Note process id, memory, and the kernel's count of out-of-memory kills."""
        try:
            pid = worker_pid(self.nanny)
            if pid is None:
                return
            if pid != self.pid:
                self.pid, self.since, self.box = pid, time(), ""
                self.memory = None
            process = psutil.Process(pid)
            self.memory, self.memory_at = process.memory_info().rss, time()
            self.kills = oom_kills()
            if not self.box:
                self.box = next((path for path, _ in _boxes(self.nanny, pid)), "")
        except psutil.Error:  # it has just ended
            return
        except Exception as error:
            self._fail("looking at the worker's process", error)

    def ended(self, exitcode: int) -> None:
        """Called by the nanny in its loop when the worker's process has ended."""
        closes = False
        try:
            if self.nanny is not None:
                report = self.report(exitcode)
                self.sending = asyncio.ensure_future(self._send(self.nanny, report))
                closes = self.nanny.status.name == "closing_gracefully"
        except Exception as error:
            # The nanny goes on whatever happens here.
            self._fail("reporting an end", error)
        if closes:  # as soon as it is told, and with it its connections
            self.sending.add_done_callback(lambda _: self.passed_on(exitcode))
        else:
            self.passed_on(exitcode)

    async def _send(self, nanny: Any, report: dict[str, Any]) -> None:
        sending = nanny.scheduler.log_event(topic=self.topic, msg=report)
        try:
            await asyncio.wait_for(sending, SENDING_LIMIT)
        except (OSError, asyncio.TimeoutError):  # the scheduler is gone
            return

    def report(self, exitcode: int) -> dict[str, Any]:
        """All that is known of the process that has just ended."""
        found = next(
            (
                (path, box)
                for path, box in _boxes(self.nanny, self.pid)
                if not is_alive(box["pid"], box["started"])
            ),
            None,
        )
        address = worker_address(self.nanny) or ""
        pid, box = self.pid, None
        if found is not None:
            path, box = found
            address, pid = box["worker"], box["pid"]
            remove_box(path)
        kills = oom_kills()
        report = {
            "worker": address,
            "nanny": self.nanny.address,
            "name": str(self.nanny.name),
            "pid": pid,
            "when": time(),
            "code": exitcode,
            "box": box,
            # A worker that closes in good order takes its box away.
            "closed": bool(self.box) and box is None,
            "memory": self.memory,
            "memory_at": self.memory_at,
            "kills": {
                name: kills[name] - before
                for name, before in self.kills.items()
                if name in kills
            },
            "lines": self._lines(pid),
            "error": "; ".join(self.errors),
        }
        self.pid, self.memory, self.box, self.errors = None, None, "", []
        self.kills = kills  # this end is accounted for
        return report

    def _lines(self, pid: int | None) -> list[str]:
        """What the nanny said of it; nannies of one process share their log."""
        if pid is None:
            return []
        own = re.compile(rf"\b{pid}\b")
        lines = [str(entry[1]) for entry in self.nanny.get_logs(n=LOG_LINES)]
        found = [line[:500] for line in lines if own.search(line)]
        return found[:MOST_LINES][::-1]

    def _fail(self, doing: str, error: BaseException) -> None:
        self.errors.append(f"{doing}: {type(error).__name__}: {error!s:.200}")
        del self.errors[:-5]


def _boxes(nanny: Any, pid: int | None = None) -> Iterable[tuple[str, dict[str, Any]]]:
    """Boxes of a nanny's worker processes, dead or alive; of one, by its id."""
    for path in boxes_in(_folders(nanny)):
        if pid is None or os.path.basename(path).startswith(f"{pid}-"):
            box = read_box(path)
            if box is not None and box["nanny"] == nanny.address:
                yield path, box


# -- Dask's private names, each in one place -----------------------------------


def hook_exits(nanny: Any, told: Any) -> Any:
    """Have a function told of each exit code; returns what was told before.

    ``Nanny.instantiate`` (distributed/nanny.py) makes its ``WorkerProcess`` with
    ``on_exit=self._on_worker_exit_sync``, and keeps it when it starts anew.
    """
    before = nanny._on_worker_exit_sync
    nanny._on_worker_exit_sync = told
    if nanny.process is not None:
        nanny.process.on_exit = told
    return before


def unhook_exits(nanny: Any, told: Any, before: Any) -> None:
    """Undo `hook_exits`, unless somebody else has hooked after us."""
    if nanny._on_worker_exit_sync != told:
        return
    own = getattr(type(nanny), "_on_worker_exit_sync", None)
    if getattr(before, "__func__", None) is own:
        del nanny._on_worker_exit_sync
    else:
        nanny._on_worker_exit_sync = before
    if nanny.process is not None:
        nanny.process.on_exit = nanny._on_worker_exit_sync


def worker_pid(nanny: Any) -> int | None:
    """Process id of a nanny's worker, while it is alive (``Nanny.pid``)."""
    pid: int | None = nanny.pid
    return pid


def worker_address(nanny: Any) -> str | None:
    """Address of a nanny's worker, or of the last one (``Nanny.worker_address``)."""
    address: str | None = nanny.worker_address
    return address


def _folders(nanny: Any) -> list[str]:
    """Where a worker of this nanny has its black box (``Nanny.env``)."""
    parents = [nanny.env.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    parents.append(tempfile.gettempdir())
    return list(dict.fromkeys(folder_in(parent) for parent in parents if parent))


# -- the kernel's counts -------------------------------------------------------


def oom_kills(root: str = "/") -> dict[str, int]:
    """How many processes the system has killed as memory ran out; Linux only.

    Parameters
    ----------
    root : str
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    dict
        ``"cgroup"``: in this process's control group, which is its worker's too, and
        in what is below it; ``"host"``: on the host.
    """
    found: dict[str, int] = {}
    for line in _read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        name = "memory.oom_control"
        folder = "sys/fs/cgroup/memory"
        if not controllers:
            name, folder = "memory.events", "sys/fs/cgroup"
        elif "memory" not in controllers.split(","):
            continue
        for inside in (path.lstrip("/"), ""):  # in a container it may be the root
            count = _count_in(_read(os.path.join(root, folder, inside, name)))
            if count is not None:
                found.setdefault("cgroup", count)
                break
    host = _count_in(_read(os.path.join(root, "proc/vmstat")))
    if host is not None:
        found["host"] = host
    return found


def _count_in(text: str) -> int | None:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdigit():
            return int(value)
    return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
