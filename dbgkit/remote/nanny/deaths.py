"""Reports how a nanny's worker process ended.

The nanny survives that process, knows its exit code, and reads its black box. It sends
one report with all of this, which the scheduler's part merges with its own records.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections import OrderedDict, deque
from collections.abc import Iterable
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any

import psutil
from distributed.diagnostics.plugin import NannyPlugin
from tornado.ioloop import PeriodicCallback

from ..common.announcing import announce
from ..common.boxes import (
    HISTORY,
    READING_LIMIT,
    history,
    is_alive,
    own_box,
    read_box,
    remove_box,
    why_unread,
)
from ..common.handlers import Handler
from ..common.own_thread import apart

if TYPE_CHECKING:
    from ..common.wire_deaths import Box, BoxPlace, MemoryForm, NannyReport

EVERY = 0.5  # seconds between two samples of the process
SENDING_LIMIT = 2.0  # seconds for a report to be sent
ASKING_LIMIT = 2.0  # seconds for the scheduler to say which boxes it knows of
MOST_BOXES = 4  # known black boxes: that of the current worker, and of some before
LOG_LINES = 50  # newest lines of the nanny's log to look through
MOST_LINES = 5  # of them to send


class DeathWatch(NannyPlugin):  # type: ignore[misc]
    """Reports each end of the worker process of one nanny.

    The topic is the name of the scheduler's part that it reports to.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.unwanted = False
        self.nanny: Any = None
        self.pid: int | None = None
        self.memory: int | None = None
        self.memory_at = 0.0
        self.history: deque[MemoryForm] = deque(maxlen=int(HISTORY / EVERY))
        # The counts at the last sample, and at the one before.
        self.counted: dict[str, int] = {}
        self.kills: dict[str, int] = {}
        # Where workers have their boxes, by process id, the newest last.
        self.boxes: OrderedDict[int, BoxPlace] = OrderedDict()
        self.errors: list[str] = []
        self.scheduler_closes = False

    async def setup(self, nanny: Any) -> None:
        same = [
            each for each in hooked(nanny) if getattr(each, "topic", None) == self.topic
        ]
        self.nanny = nanny
        self.passed_on = hook_exits(nanny, self.ended)
        for before in same:
            await before.teardown(nanny)  # it was handed to this nanny twice
        nanny.handlers[f"{self.topic}-settings"] = _here
        name = f"{self.topic}-box"
        nanny.handlers[name] = Handler(name, self, "note_box")
        hook_closing(nanny, self)
        self.ticking = PeriodicCallback(self.sample, EVERY * 1000)
        self.ticking.start()
        self.sample()
        await announce(nanny, self.topic, self)
        if self.nanny is not None:
            await self._ask_for_boxes(nanny)

    async def _ask_for_boxes(self, nanny: Any) -> None:
        """Learn of boxes that were reported before this was set up."""
        asking = getattr(nanny.scheduler, f"{self.topic}-boxes")(nanny=nanny.address)
        try:
            for place in await asyncio.wait_for(asking, ASKING_LIMIT) or ():
                await self.note_box(place)
        except (OSError, asyncio.TimeoutError) as error:
            self._fail("asking the scheduler for black boxes", error)

    async def closing(self, reason: str = "nanny-close-gracefully") -> None:
        """Called in place of the nanny's ``close_gracefully``, which it calls."""
        self.scheduler_closes = reason == "scheduler-close"
        done = self.closing_passed_on(reason=reason)
        if inspect.isawaitable(done):
            await done

    async def note_box(self, place: BoxPlace) -> None:
        """Called by the scheduler's part: a worker reports where it has its box."""
        self.boxes[place["pid"]] = place
        while len(self.boxes) > MOST_BOXES:
            self.boxes.popitem(last=False)

    async def teardown(self, nanny: Any) -> None:
        """Remove the hooks, and the process's box, which nobody would read.

        A nanny that closes does this first, and then ends its process, by force if need
        be: nobody would remove the box later.
        """
        self.nanny = None
        self.ticking.stop()
        for verb in ("settings", "box"):
            nanny.handlers.pop(f"{self.topic}-{verb}", None)
        unhook_exits(nanny, self)
        unhook_closing(nanny, self)
        closes = nanny.status.name == "closing"
        places = list(self.boxes.values())
        self.boxes.clear()
        if places:
            with suppress(OSError):  # what cannot be removed in time is left
                await apart(_remove, places, closes, limit=READING_LIMIT)

    def sample(self) -> None:
        """Note process id, memory, and the kernel's count of out-of-memory kills."""
        try:
            pid = self.nanny.pid
            if pid is None:
                return
            if pid != self.pid:
                self.pid, self.memory = pid, None
                self.history.clear()
                self.counted = oom_kills()
            memory = psutil.Process(pid).memory_info().rss
            if not memory:  # it is ending, or has ended and was not yet reported
                return
            self.memory, self.memory_at = memory, time()
            self.history.append((self.memory_at, memory))
            # A killed process may still have its memory for a while: what is counted
            # now may be its own end. What the sample before has counted is not.
            self.kills, self.counted = self.counted, oom_kills()
        except psutil.Error:  # it has just ended
            return
        except Exception as error:
            self._fail("examining the worker's process", error)

    def ended(self, exitcode: int) -> None:
        """Called by the nanny in its loop when the worker's process has ended."""
        closes = False
        try:
            # A scheduler that closes keeps nothing about deaths, and Dask would try for
            # seconds to connect to it.
            if self.nanny is not None and not self.scheduler_closes:
                place, report = self.report(exitcode)
                sending = self._send(self.nanny, place, report)
                self.sending = asyncio.ensure_future(sending)
                closes = self.nanny.status.name == "closing_gracefully"
        except Exception as error:
            # The nanny goes on whatever happens here.
            self._fail("reporting an end", error)
        if closes:  # as soon as it is reported, and with it its connections
            self.sending.add_done_callback(lambda _: self.passed_on(exitcode))
        else:
            self.passed_on(exitcode)

    async def _send(
        self, nanny: Any, place: BoxPlace | None, report: NannyReport
    ) -> None:
        if place is not None:
            await _add_box(report, place)
        sending = getattr(nanny.scheduler, f"{self.topic}-report")(report=report)
        try:
            await asyncio.wait_for(sending, SENDING_LIMIT)
        except (OSError, asyncio.TimeoutError):  # the scheduler is gone
            return

    def report(self, exitcode: int) -> tuple[BoxPlace | None, NannyReport]:
        """Where its worker had its box, and all else that is known about its end."""
        pid = self.pid
        if pid is None and self.boxes:  # it ended before the first sample
            pid = next(reversed(self.boxes))
        place = None if pid is None else self.boxes.pop(pid, None)
        address = place["worker"] if place else self.nanny.worker_address or ""
        kills = oom_kills()
        report: NannyReport = {
            "worker": address,
            "nanny": self.nanny.address,
            "name": str(self.nanny.name),
            "pid": pid,
            "when": time(),
            "code": exitcode,
            "box": None,
            "closed": False,
            "memory": self.memory,
            "memory_at": self.memory_at,
            "history": history(self.history),
            "kills": {
                name: kills[name] - before
                for name, before in self.kills.items()
                if name in kills
            },
            "lines": self._lines(pid),
            "error": "; ".join(self.errors),
        }
        self.pid, self.memory, self.errors = None, None, []
        self.history.clear()
        self.kills = self.counted = kills  # this end is accounted for
        return place, report

    def _lines(self, pid: int | None) -> list[str]:
        """What the nanny logged about it; nannies in one process share their log."""
        if pid is None:
            return []
        own = re.compile(rf"\b{pid}\b")
        lines = [str(entry[1]) for entry in self.nanny.get_logs(n=LOG_LINES)]
        found = [line[:500] for line in lines if own.search(line)]
        return found[:MOST_LINES][::-1]

    def _fail(self, doing: str, error: BaseException) -> None:
        self.errors.append(f"{doing}: {type(error).__name__}: {error!s:.200}")
        del self.errors[:-5]


def _here(settings: Any) -> bool:
    """Called by the scheduler's part to check whether this one is there."""
    return True


async def _add_box(report: NannyReport, place: BoxPlace) -> None:
    """Read the box of a worker that has ended into a report, and remove it."""
    try:
        box: Box = await apart(_take_box, place, limit=READING_LIMIT)
        report["box"], report["closed"] = box, box["closed"]
        # The worker has more samples; the nanny also those of while it was stuck.
        report["history"] = history([*report["history"], *box["history"]])
        box["history"] = []
    except FileNotFoundError:
        report["closed"] = True  # in good order: then it takes its box away
    except OSError as error:
        why = f"its black box was not read: {why_unread(error)}"
        report["error"] = "; ".join(filter(None, [report["error"], why]))


def _take_box(place: BoxPlace) -> Box:
    box = own_box(place["path"], place["nonce"])
    remove_box(place["path"])
    return box


def _remove(boxes: Iterable[BoxPlace], closes: bool) -> None:
    for place in boxes:
        box = read_box(place["path"], place["nonce"])
        if box and (closes or not is_alive(box["pid"], box["started"])):
            remove_box(place["path"])


# -- Dask's private names, each in one place -----------------------------------


def hook_exits(nanny: Any, on_exit: Any) -> Any:
    """Call a function with each exit code; returns the one called before.

    ``Nanny.instantiate`` (distributed/nanny.py) makes its ``WorkerProcess`` with
    ``on_exit=self._on_worker_exit_sync``, and keeps it for restarts.
    """
    before = nanny._on_worker_exit_sync
    nanny._on_worker_exit_sync = on_exit
    if nanny.process is not None:
        nanny.process.on_exit = on_exit
    return before


def hooked(nanny: Any) -> Iterable[Any]:
    """The known owners of functions that are called with exit codes.

    The one that was hooked last comes first.
    """
    on_exit = nanny._on_worker_exit_sync
    while (owner := getattr(on_exit, "__self__", nanny)) is not nanny:
        yield owner
        on_exit = getattr(owner, "passed_on", None)


def unhook_exits(nanny: Any, watch: DeathWatch) -> None:
    """Undo `hook_exits`, also where another version has hooked after us."""
    for later in list(hooked(nanny)):
        if later is not watch and getattr(later, "passed_on", None) == watch.ended:
            later.passed_on = watch.passed_on
    if nanny._on_worker_exit_sync != watch.ended:
        return
    before = watch.passed_on
    own = getattr(type(nanny), "_on_worker_exit_sync", None)
    if getattr(before, "__func__", None) is own:
        del nanny._on_worker_exit_sync
    else:
        nanny._on_worker_exit_sync = before
    if nanny.process is not None:
        nanny.process.on_exit = nanny._on_worker_exit_sync


def hook_closing(nanny: Any, watch: DeathWatch) -> None:
    """Call a watch, in place of the nanny, when its worker closes permanently.

    ``Nanny.close_gracefully`` (distributed/nanny.py) is the handler of that name; the
    worker passes on why: "scheduler-close" (``Scheduler.close``) is one reason.
    """
    watch.closing_passed_on = nanny.handlers["close_gracefully"]
    name = f"{watch.topic}-close_gracefully"
    nanny.handlers["close_gracefully"] = Handler(name, watch, "closing")


def unhook_closing(nanny: Any, watch: DeathWatch) -> None:
    """Undo `hook_closing`, also where another version has hooked after us."""
    found = nanny.handlers["close_gracefully"]
    if _watch_of(found) is watch:
        nanny.handlers["close_gracefully"] = watch.closing_passed_on
    while (later := _watch_of(found)) is not None:
        found = later.closing_passed_on
        if _watch_of(found) is watch:
            later.closing_passed_on = watch.closing_passed_on
            return


def _watch_of(handler: Any) -> Any:
    return handler.owner() if hasattr(handler, "owner") else None


# -- the kernel's counts -------------------------------------------------------


def oom_kills(root: str = "/") -> dict[str, int]:
    """How many processes the system has killed as memory ran out; Linux only.

    ``"cgroup"``: in this process's control group, which is its worker's too, and in
    what is below it; ``"host"``: on the host. ``proc`` and ``sys`` are in ``root``.
    """
    found: dict[str, int] = {}
    for line in _read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            folder, name = "sys/fs/cgroup", "memory.events"
        elif "memory" in controllers.split(","):
            folder, name = "sys/fs/cgroup/memory", "memory.oom_control"
        else:
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
