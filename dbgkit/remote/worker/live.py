"""Runs inside a worker: ``breakpoint()`` in a task stops there, while ``live`` is on.

The scheduler's part says for whom it is on (`take_settings`), is asked whether a task
is theirs, and lists what waits. Sessions come to `session`, directly or through the
scheduler. The same for failures that the recorder hands over to be held.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from time import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import WorkerPlugin
from distributed.utils import key_split

from ..common.announcing import announce
from ..common.handlers import CommHandler, Handler
from .break_at import MOST, Places
from .live_asking import ask_scheduler
from .live_claims import Claims
from .live_ctrl_c import CtrlC
from .live_held import HeldFailures
from .live_hook import HOOK
from .live_passed import Passed
from .live_pause import leave_pool, take_out
from .live_pdb import HeldPdb, LivePdb
from .live_session import Session, refuse
from .live_source import place_of
from .live_stop import WAITING, Stop

if TYPE_CHECKING:
    from ..common.wire_live import Arming, LiveSettings, PlaceForm

RUNS_CODE = ("run", "run_function", "run_coroutine")  # handlers of Dask's own
SOON = 0.1  # seconds, in which what changes is reported once
_ENDS = ("memory", "error", "rescheduled", "released", "forgotten")
_OTHERS = "it is not wanted by who turned live on"


class Live(WorkerPlugin):  # type: ignore[misc]
    """Stops tasks at their ``breakpoint()``, for those who want that.

    Parameters
    ----------
    name : str
        Of this part and of the scheduler's; unique to one version.
    settings : dict
        Armings, by token.
    """

    def __init__(self, name: str, settings: LiveSettings) -> None:
        self.name = name
        self.armings: dict[str, Arming] = settings["armings"]
        self.worker: Any = None
        self.refused = ""
        self.unwanted = False
        self.stops: dict[str, Stop] = {}
        self.claims = Claims()
        self.places = Places(self)
        self.held = HeldFailures(HeldPdb, self._log, self._changed)
        self.paused: dict[Any, list[Stop]] = {}  # stops of runs that have not ended
        # Armings that do not want a task, by its key, while it runs.
        self.theirs: dict[Any, set[str]] = {}
        self._debuggers: dict[int, LivePdb] = {}
        self._passed = Passed()
        self._reporting: set[str] = set()
        self._ctrl_c = CtrlC()

    # -- while it is there ---------------------------------------------------

    async def setup(self, worker: Any) -> None:
        self.worker = worker
        blocked = [name for name in RUNS_CODE if name in worker.blocked_handlers]
        if blocked:
            self.refused = f"it refuses {blocked[0]!r} (blocked_handlers)"
        settings = f"{self.name}-settings"
        worker.handlers[settings] = Handler(settings, self, "take_settings")
        answer: Any = await announce(worker, self.name, self, refused=self.refused)
        if answer:
            self.armings = answer["armings"]
        if self.worker is None or self.refused:
            return
        session = f"{self.name}-session"
        worker.handlers[session] = CommHandler(session, self, "session")
        HOOK.add(self)
        self._follow()

    async def take_settings(self, settings: LiveSettings) -> bool:
        """Called by the scheduler's part: others want it, or some no longer do."""
        self.armings = settings["armings"]
        self.claims.forget_all_but(self.armings.keys())
        if not self.refused:
            self._follow()
        for stop in list(self.stops.values()):
            if not stop.tokens & self.armings.keys():
                stop.release("off")
        return True

    def _follow(self) -> None:
        self.places.follow(self.armings)
        self.held.follow(self.worker, self.armings)

    async def teardown(self, worker: Any) -> None:
        """Let all go on, and leave nothing."""
        HOOK.remove(self)
        for verb in ("settings", "session"):
            worker.handlers.pop(f"{self.name}-{verb}", None)
        self.armings = {}
        self.places.follow({})
        self.claims.forget_all_but(())
        goes_on = worker.status.name in ("running", "paused")
        self.held.close(tell=goes_on)
        for stop in list(self.stops.values()):
            stop.release("off" if goes_on else "closing")
        if goes_on and self.paused:
            # The pause of what goes on now is still to be taken out of its time.
            worker.plugins[f"{self.name}-rest"] = _Rest(self, worker)
        else:
            self.worker = None

    # -- in a task's thread --------------------------------------------------

    def takes(self, thread: int) -> bool:
        """Whether a ``breakpoint()`` in a thread is to come here."""
        return thread in self._debuggers or bool(self.at_breakpoint())

    def at_breakpoint(self) -> dict[str, Arming]:
        """Armings for which tasks stop at their ``breakpoint()``."""
        return {
            token: each
            for token, each in list(self.armings.items())
            if not ("at" in each or "holds" in each)
        }

    def reached(
        self,
        key: Any,
        frame: FrameType,
        header: str,
        armings: dict[str, Arming] | None = None,
        enter: Callable[[Any, bool], None] | None = None,
        place: PlaceForm | None = None,
    ) -> bool:
        """A task has come to where it may stop; stop it there, if it is wanted.

        Parameters
        ----------
        key, frame, header
            The task, where it stands, and what to show above the prompt.
        armings : dict, optional
            For which it may stop; by default those for a ``breakpoint()``.
        enter : callable, optional
            Opens the prompt, by default at the next line of the frame; is told
            whether there was one in this task already.
        place : dict, optional
            Where that is, if the frame itself does not say.

        Returns
        -------
        bool
            Whether it has stopped.
        """
        me, since, worker = threading.get_ident(), time(), self.worker
        debugger = self._debuggers.get(me)
        if debugger is not None and not debugger.stop.over:
            if not debugger.stop.is_at_prompt:  # else it is of what was typed there
                debugger.stop.header = header
                self._open(debugger, frame, enter, again=True)
            return True
        prefix = key_split(key)
        asked = self.at_breakpoint() if armings is None else armings
        not_wanted = self.theirs.get(key, ())
        mine = {t: each for t, each in asked.items() if t not in not_wanted}
        room = self.claims.room(key, prefix, mine)
        wanted, why = self.ask(key, room) if room else (set(), "")
        # Counted last: a task that is not wanted takes nobody's place meanwhile.
        tokens = self.claims.claim(key, prefix, {t: mine[t] for t in wanted})
        if not tokens or worker is None:
            why = why or (MOST if mine else _OTHERS)
            if why != _OTHERS:
                self.passed(key, place or place_of(frame), why)
            return False
        place = place or place_of(frame)
        debugger = self._stop(worker, key, prefix, tokens, place, header, since)
        self._open(debugger, frame, enter, again=False)
        return True

    def _open(
        self,
        debugger: LivePdb,
        frame: FrameType,
        enter: Callable[[Any, bool], None] | None,
        *,
        again: bool,
    ) -> None:
        if enter is None:
            debugger.set_trace(frame)
        else:
            enter(debugger, again)

    def _stop(
        self,
        worker: Any,
        key: Any,
        prefix: str,
        tokens: set[str],
        place: PlaceForm,
        header: str,
        since: float,
    ) -> LivePdb:
        limits = [self.armings[t]["limit"] for t in tokens if t in self.armings]
        stop = Stop(
            worker,
            key,
            prefix,
            tokens,
            max(limits, default=0.0),
            place,
            self._changed,
        )
        stop.header = header
        stop.pause.begin(since)
        leave_pool(worker, key)
        debugger = LivePdb(stop)
        self._debuggers[stop.thread] = debugger
        worker.loop.add_callback(self._begin, stop)
        stop.pause.end()
        return debugger

    def ask(
        self, key: Any, tokens: Collection[str], *, stops: bool = True
    ) -> tuple[set[str], str]:
        """For which armings the scheduler says that a task is wanted; else why not.

        ``stops``: it is about to stop for these.
        """

        found, why = ask_scheduler(self.worker, self.name, key, tokens, stops=stops)
        if found is None:
            return set(), why
        if missing := {*tokens} - {*found}:
            self.theirs.setdefault(key, set()).update(missing)
        return set(found), "" if found else _OTHERS

    def dbgkit_hold(
        self, key: Any, exception: BaseException, message: str, *, carried: bool
    ) -> None:
        """Called as tasks fail: see `holding.offer`."""
        if not self.refused:
            self.held.offer(key, exception, message, carried=carried)

    def passed(self, key: Any, place: PlaceForm, why: str) -> None:
        """Note that a task came to where it might stop, and did not."""
        if self.worker is None or not self.armings:
            return
        if self._passed.add(key, place, why):
            self._in_loop(self._report_passed_soon)

    def _changed(self, stop: Stop, what: str) -> None:
        """A stop has moved, or is over."""
        if what == "over":
            self._in_loop(self._end, stop)
        else:
            self._in_loop(self._report_soon, stop)

    def log_soon(self, msg: Any) -> None:
        """Report something to the scheduler's part, from any thread."""
        self._in_loop(self._log, msg)

    def _in_loop(self, function: Any, *args: Any) -> None:
        worker = self.worker
        if worker is not None:
            worker.loop.add_callback(function, *args)

    @property
    def _loop(self) -> Any:
        return self.worker.loop.asyncio_loop

    # -- in the worker's event loop ------------------------------------------

    def _begin(self, stop: Stop) -> None:
        """A task has stopped: list it."""
        if self.worker is None:  # it was taken off meanwhile
            stop.release("off")
            return
        self.stops[stop.id] = stop
        self._ctrl_c.leave_to_nanny(self.worker)
        self.paused.setdefault(stop.key, []).append(stop)
        ts = self.worker.state.tasks.get(stop.key)
        stop.cancelled = ts is None or ts.state == "cancelled"
        self._log({"stopped": stop.form()})
        if not stop.tokens & self.armings.keys():  # turned off meanwhile
            stop.release("off")
        elif stop.cancelled:
            stop.release("cancelled")
        self._look_at_limit(stop)

    def _look_at_limit(self, stop: Stop) -> None:
        """Let a stop go on once nobody has typed anything for long enough."""
        if stop.over or self.worker is None:
            return
        left = stop.until - time()
        if left > 0:
            self._loop.call_later(left + 0.01, self._look_at_limit, stop)
        elif stop.state == "running":  # it does not wait: there is nothing to end
            self._loop.call_later(stop.limit, self._look_at_limit, stop)
        else:
            stop.release("limit")

    def _report_soon(self, stop: Stop) -> None:
        if stop.id in self._reporting or not self._knows(stop):
            return
        self._reporting.add(stop.id)
        self._loop.call_later(SOON, self._report, stop)

    def _report(self, stop: Stop) -> None:
        self._reporting.discard(stop.id)
        if self._knows(stop) and self.worker is not None:
            self._log({"moved": stop.form()})

    def _report_passed_soon(self) -> None:
        if self.worker is not None:
            self._loop.call_later(SOON, self._report_passed)

    def _knows(self, stop: Stop) -> bool:
        return stop.id in self.stops or self.held.get(stop.id) is not None

    def _report_passed(self) -> None:
        passed = self._passed.take()
        if passed and self.worker is not None:
            self._log({"passed": passed})

    def _end(self, stop: Stop) -> None:
        """A stop is over: its task goes on, or has ended."""
        stop.over = True
        debugger = self._debuggers.get(stop.thread)
        if debugger is not None and debugger.stop is stop:
            del self._debuggers[stop.thread]
            debugger.let_go()
        if self.stops.pop(stop.id, None) is None:
            return
        if not self.stops:
            self._ctrl_c.take_back()
        stop.say({"op": "ended", "how": stop.how, "until": stop.until})
        self._log({"over": stop.form(), "how": stop.how})

    @property
    def dbgkit_paused(self) -> dict[int, tuple[Any, str]]:
        """Threads that wait: see `running.PAUSED`."""
        waits = "it is paused at a breakpoint"
        stops = [each for each in list(self.stops.values()) if each.state == WAITING]
        return {each.thread: (each.key, waits) for each in stops}

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Called by the worker for each change of each task's state, in its loop."""
        if key in self.paused:
            self._take_out(key, start, finish)
        if self.theirs and finish in _ENDS:
            self.theirs.pop(key, None)
        if self.places.any:
            self.places.moved(key, finish, is_over=finish in _ENDS)
        if self.held.any_offered:
            self.held.moved(key, start, finish)

    def _take_out(self, key: Any, start: str, finish: str) -> None:
        """Take the pause out of a run that has ended; notice one that is cancelled."""
        ts = self.worker.state.tasks.get(key)
        if finish == "released" and ts is not None and ts.state == "cancelled":
            for stop in self.paused[key]:
                stop.cancelled = True
                if stop.visitor is None:
                    stop.release("cancelled")
                else:
                    stop.say({"op": "told", "what": "cancelled"})
                    self._report_soon(stop)
            return
        if finish not in _ENDS or (ts is not None and not ts.done):
            return
        stops = self.paused.pop(key)
        if ts is not None:
            take_out(ts.startstops, sum(stop.pause.total for stop in stops))
        for stop in stops:
            if not stop.over:
                stop.how = stop.how or "finished"
                self._end(stop)

    def _log(self, msg: Any) -> None:
        # Not Worker.log_event, which sends later, and in any order.
        stream = self.worker.batched_stream
        stream.send({"op": "log-event", "topic": self.name, "msg": msg})

    async def session(self, comm: Any, stop: str, who: str) -> None:
        """Somebody wants to enter a stop: talk over this comm until it is closed."""
        held = self.held.get(stop)
        found = held or self.stops.get(stop)
        if found is None:
            await refuse(comm, "it no longer waits", gone=True)
        elif found.visitor is not None:
            await refuse(comm, f"{found.visitor.who} is in it")
        elif held is not None and held.talking:
            await refuse(comm, "what somebody typed there before still runs")
        else:
            self._log({"entered": stop, "who": who})
            commands = found.commands
            if held is not None:
                self.held.open(held, self._debuggers)
            try:
                await Session(comm, found, who).run()
            finally:
                if held is not None:
                    held.release("detached")
                if self.worker is not None:
                    count = found.commands - commands
                    self._log(
                        {"left": stop, "who": who, "commands": count, "key": found.key}
                    )
                    self._report_soon(found)
                    if found.cancelled:
                        found.release("cancelled")
        await comm.close()


class _Rest(WorkerPlugin):  # type: ignore[misc]
    """Stays until the tasks that were paused as it was turned off have ended."""

    def __init__(self, live: Live, worker: Any) -> None:
        self.live = live
        self.worker = worker

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        self.live.transition(key, start, finish)
        if not self.live.paused:
            self.worker.loop.add_callback(self._leave)

    def _leave(self) -> None:
        name = f"{self.live.name}-rest"
        if self.worker.plugins.get(name) is self:
            del self.worker.plugins[name]
        self.live.worker = None
