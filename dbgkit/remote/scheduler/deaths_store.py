"""Records how workers went away.

A worker's address is gone from the scheduler by the time that plugins are notified of
its end, so what is known about each is kept from when it joined. Its nanny's report may
come before or after the scheduler notices; they are matched by address and process id.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from time import time
from typing import TYPE_CHECKING, Any

from dask.utils import key_split
from distributed.diagnostics.plugin import SchedulerPlugin
from tornado.ioloop import PeriodicCallback

from ..common.endings import box_of
from ..common.handlers import Handler
from .deaths import (
    OVER_TOPIC,
    SOON,
    is_report,
    note_restart,
    one_of,
    over_of,
    removal_fact,
    unpack_keys,
)
from .deaths_parts import Process, add_worker, is_of, tasks_of, without_removal
from .leftovers import forget_events
from .plugins import Spread
from .removals import is_removal

if TYPE_CHECKING:
    from ..common.wire_deaths import BoxPlace, DeathForm, HeldDeaths, NannyReport, Over
    from ..common.wire_recordings import Here

VERBS = ("list", "here", "report", "box", "boxes")
EVERY = 1.0  # seconds between two checks of what workers execute
MOST_DEATHS = 500
MOST_WAITING = 500  # reports whose worker is still there; reasons to close
START_LIMIT = 60.0  # seconds for a worker to start, once it has its plugins
MOST_BOXES = 10_000  # that workers have reported
MOST_INPUTS = 10_000  # whose sizes are added up
_NOT_REPORTED = "what it found is not the black box that its worker reported"


class DeathStore(SchedulerPlugin):  # type: ignore[misc]
    """Holds how workers ended, within bounds.

    Parameters
    ----------
    name : str
        Of the handlers and of the nannies' plugin; unique to one version.
    watch : bytes
        The nannies' plugin, pickled.
    """

    def __init__(self, name: str, watch: bytes) -> None:
        self.name = name
        self.watch = watch
        self.is_on = False
        self.scheduler: Any = None
        self.sending: set[asyncio.Task[None]] = set()
        self._clear()

    def _clear(self) -> None:
        self.number = 0
        self.since = time()
        self.deaths: deque[DeathForm] = deque(maxlen=MOST_DEATHS)
        self.workers: dict[str, Any] = {}
        self.executing: dict[str, list[Any]] = {}
        self.reports: OrderedDict[Process, NannyReport] = OrderedDict()
        self.reasons: OrderedDict[str, str] = OrderedDict()
        self.over: OrderedDict[Process, Over] = OrderedDict()
        # What workers logged, by their own report as they closed.
        self.logged: OrderedDict[Process, Any] = OrderedDict()
        # Where workers have their black boxes, and what these are recognised by.
        self.boxes: OrderedDict[Process, BoxPlace] = OrderedDict()
        for sending in self.sending:
            sending.cancel()

    async def start(self, scheduler: Any) -> None:
        """Called again as the scheduler starts, where a preload has put it there."""
        if self.scheduler is None:
            self.scheduler = scheduler
            self.ticking = PeriodicCallback(self.sample, EVERY * 1000)
            verbs = "plugin_add", "plugin_remove"  # of a nanny
            self.spread = Spread(scheduler, self.name, self._nannies, verbs)

    def _nannies(self) -> set[str]:
        return {ws.nanny for ws in self.scheduler.workers.values() if ws.nanny}

    def turn_on(self, on_idle: Callable[[], None]) -> None:
        """Start watching, and put back missing parts.

        ``Scheduler.register_nanny_plugin`` fails where one worker has no nanny, and
        waits for those that are just starting.
        """
        if not self.is_on:
            self.is_on, self.since = True, time()
            self.workers = dict(self.scheduler.workers)
            self.ticking.start()
        for verb in VERBS:
            name = f"{self.name}-{verb}"
            self.scheduler.handlers[name] = Handler(name, self, f"on_{verb}")
        # Nannies to come are handed it as they register.
        self.scheduler.nanny_plugins[self.name] = self.watch
        self.spread.on_idle = on_idle
        self.spread.want(1, self.watch, {})

    def turn_off(self, on_idle: Callable[[], None]) -> None:
        """Begin to remove it from the nannies, and forget everything."""
        if self.scheduler.nanny_plugins.pop(self.name, None) and not self.is_on:
            self.spread.suppose()  # somebody else has left it there
        self.is_on = False
        self.ticking.stop()
        self.scheduler.handlers.pop(f"{self.name}-list", None)
        self._clear()
        self.spread.on_idle = on_idle
        self.spread.want_none()

    def leave(self) -> None:
        """Take the handlers off: unregistering a plugin does not notify it."""
        for verb in VERBS:
            self.scheduler.handlers.pop(f"{self.name}-{verb}", None)

    async def on_here(self, address: str) -> Here:
        """A nanny's part has been set up: see `Spread.heard`."""
        return {"settings": self.spread.heard(address)}

    async def on_report(self, report: NannyReport) -> None:
        """A nanny reports how its worker's process has ended."""
        if not is_report(report):
            raise ValueError("this is not a nanny's report")
        if self.is_on:
            self.add_report(report.copy())

    async def on_box(
        self, worker: str, nanny: str, pid: int, path: str, nonce: str
    ) -> None:
        """A worker reports where its black box is, and the nonce in it."""
        place: BoxPlace = {"worker": worker, "pid": pid, "path": path, "nonce": nonce}
        _keep(self.boxes, (worker, pid), {**place, "nanny": nanny}, MOST_BOXES)
        if nanny:
            sending = asyncio.ensure_future(self._pass_on(nanny, place))
            self.sending.add(sending)
            sending.add_done_callback(self.sending.discard)

    async def _pass_on(self, nanny: str, place: BoxPlace) -> None:
        """Report its worker's box to a nanny, which answers once its worker is up."""
        asking = getattr(self.scheduler.rpc(nanny), f"{self.name}-box")(place=place)
        with suppress(OSError, asyncio.TimeoutError):  # it is gone, or asks itself
            await asyncio.wait_for(asking, START_LIMIT)

    async def on_boxes(self, nanny: str) -> list[BoxPlace]:
        """A nanny that has just begun to watch asks for its workers' boxes."""
        there = {ws.pid for ws in self.workers.values() if ws.nanny == nanny}
        return [
            place
            for place in self.boxes.values()
            if place["nanny"] == nanny and place["pid"] in there
        ]

    async def before_close(self) -> None:
        self.ticking.stop()
        self._clear()
        self.spread.close()
        self.leave()

    def add_worker(self, scheduler: Any, worker: str) -> None:
        if not self.is_on:
            return
        ws = self.workers[worker] = scheduler.workers[worker]
        # What an earlier one of the same address left: ports may be fixed.
        self.executing.pop(worker, None)
        self.reasons.pop(worker, None)
        # It may have registered before us. It answers once its worker is up, and that
        # waits for us.
        if ws.nanny:
            self.spread.look_after(ws.nanny)

    def sample(self) -> None:
        """Note what each worker executed at its last heartbeat.

        The scheduler forgets this when it takes tasks off a worker, before plugins
        are notified of the worker's end.
        """
        self.executing = {
            address: [(ts.key, duration) for ts, duration in ws.executing.items()]
            for address, ws in self.scheduler.workers.items()
            if ws.executing
        }

    def log_event(self, topic: str, msg: Any) -> None:
        """Called by the scheduler for each event of any topic."""
        if not self.is_on or not isinstance(msg, Mapping):
            return
        if topic == OVER_TOPIC:
            if over := over_of(msg, time()):
                self._add_over(over)
            return
        if topic == self.name:
            self._add_logged(msg.get("worker"), msg.get("pid"), msg.get("logged"))
            forget_events(self.scheduler, topic)
            return
        action = msg.get("action")
        if topic == "all" and action == "remove-worker":
            if is_removal(msg) and self._has_gone(msg["worker"]):
                self.add_removal(msg)
        elif topic == "all" and action == "restart-workers":
            note_restart(self.deaths, msg.get("workers"), time())
        elif topic == "scheduler" and action == "worker-ttl-timed-out":
            self._add_silent(msg.get("workers"), msg.get("ttl"))
        elif action == "closing-worker":
            self._add_reason(topic, str(msg.get("reason", ""))[:300])

    def _add_silent(self, workers: Any, ttl: Any) -> None:
        """Note workers that the scheduler will restart, as they send no heartbeats."""
        if not isinstance(workers, (list, tuple)) or not isinstance(ttl, (int, float)):
            return
        for address in (getattr(each, "address", each) for each in workers):
            if isinstance(address, str) and address in self.workers:
                _keep(self.reasons, address, f"no heartbeat within {ttl:g} s")

    def _has_gone(self, worker: str) -> bool:
        """Whether a worker has really just gone: anyone can log events."""
        return worker in self.workers and worker not in self.scheduler.workers

    def _add_reason(self, worker: str, reason: str) -> None:
        """Note the reason that a worker reports for closing; the first one counts."""
        if worker in self.workers:
            _keep(self.reasons, worker, self.reasons.get(worker, reason))
            return
        for death in reversed(self.deaths):  # it was removed before it closed
            if death["worker"] == worker:
                death["reason"] = death["reason"] or reason
                return

    def _add_logged(self, worker: Any, pid: Any, logged: Any) -> None:
        """Note what a worker that closes says that it has logged."""
        if not isinstance(worker, str) or not isinstance(logged, (list, tuple)):
            return
        for death in reversed(self.deaths):  # it was removed before it closed
            if death["worker"] == worker and death["pid"] == pid:
                death["logged"] = list(logged)
                return
        if isinstance(pid, int) and worker in self.workers:
            _keep(self.logged, (worker, pid), list(logged))

    def add_removal(self, msg: Mapping[str, Any]) -> None:
        """Note that the scheduler has lost or removed a worker."""
        address = msg["worker"]
        ws = self.workers.pop(address, None)
        now = time()
        death = removal_fact(now, msg, self.reasons.pop(address, ""))
        self.number += 1
        if ws is not None:
            add_worker(death, ws, now)
            if msg.get("expected"):  # its nanny goes with it
                self.spread.left(ws.nanny)
        # What has ended since its last heartbeat no longer ran.
        had = set(msg.get("processing-tasks") or ())
        beats = (each for each in self.executing.pop(address, ()) if each[0] in had)
        death["heartbeat_tasks"] = [
            {"key": key, "seconds": duration, "prefix": prefix, "inputs": inputs}
            for key, duration in islice(beats, 50)
            for prefix, inputs in (self._of_task(key),)
        ]
        process = address, death["pid"]
        death["box_at"] = self.boxes.get(process)
        death["logged"] = self.logged.pop(process, None)
        for found in list(self.reports):
            if found[0] == address and found[1] in (None, death["pid"]):
                death["report"] = self.reports.pop(found)
        for found in list(self.over):
            if is_of(found, death):
                death["over"] = self.over.pop(found)
        self._add_prefixes(death)
        self.deaths.append(death)

    def _add_over(self, over: Over) -> None:
        """Note that a nanny ends its worker because of the memory that it uses."""
        process = (over["worker"], over["pid"])
        for death in reversed(self.deaths):  # its end came before the event
            late = over["when"] - death["when"] < SOON
            if late and death["over"] is None and is_of(process, death):
                death["over"] = over
                return
        _keep(self.over, process, over)

    def add_report(self, report: NannyReport) -> None:
        """Add a nanny's report to its worker's death, or keep it until there is one."""
        self._check_box(report)
        for death in reversed(self.deaths):
            same = death["worker"] == report["worker"] and death["report"] is None
            if same and report["pid"] in (None, death["pid"]):
                death["report"] = report
                self._add_prefixes(death)
                return
        _keep(self.reports, (report["worker"], report["pid"]), report)

    def _check_box(self, report: NannyReport) -> None:
        """Drop a box that the worker has not reported: anyone could have made it."""
        box = report["box"]
        place = self.boxes.get((report["worker"], report["pid"]))
        if box and (place is None or place["nonce"] != box.pop("nonce", "")):
            report["box"], why = None, [report["error"], _NOT_REPORTED]
            report["error"] = "; ".join(filter(None, why))

    def _add_prefixes(self, death: DeathForm) -> None:
        """Unpack the keys of its black box, and add the prefixes of their tasks."""
        box = box_of(death)
        if box:
            unpack_keys(box, death["processing"])
            for task in box["tasks"]:
                task["prefix"], _ = self._of_task(task["key"])

    def _of_task(self, key: Any) -> tuple[str, int | None]:
        """Prefix of a task, and size of its inputs."""
        ts = self.scheduler.tasks.get(key)
        if ts is None:
            # Forgotten, as its job has ended: Scheduler.new_task names it so too.
            return key_split(key), None
        sizes = (each.nbytes for each in islice(ts.dependencies, MOST_INPUTS))
        return ts.prefix.name, sum(size for size in sizes if size >= 0)

    async def on_list(
        self, keys: Iterable[Any] | None = None, limit: int = 50
    ) -> HeldDeaths:
        """Deaths, the newest first; see `removal_fact`."""
        # A process that ended before it ever joined, or whose end is not yet noticed.
        now = time()
        alone = [
            without_removal(report)
            for report in self.reports.values()
            if report["code"] and now - report["when"] > 5
        ]
        forgotten = self.number - len(self.deaths)
        deaths = sorted([*self.deaths, *alone], key=lambda death: -death["when"])
        if keys is not None:
            is_wanted = one_of(keys)
            deaths = [each for each in deaths if any(map(is_wanted, tasks_of(each)))]
            forgotten = 0
        return {
            "deaths": deaths[:limit],
            "omitted": max(0, len(deaths) - limit) + forgotten,
            "total": self.number + len(alone),
            "since": self.since,
        }


def _keep(
    store: OrderedDict[Any, Any], name: Any, value: Any, most: int = MOST_WAITING
) -> None:
    store[name] = value
    while len(store) > most:
        store.popitem(last=False)
