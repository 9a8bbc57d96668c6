"""Live sessions as the scheduler knows them: who has armed, what waits, who is in it.

Workers' parts report stops as events of one topic, in order. They are removed from the
scheduler's own list of events at once; what happened is logged under `LOG`, in words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from ..common.handlers import CommHandler, Handler
from ..common.keys import as_key
from .break_at import (
    REPORTED,
    as_sent,
    is_spent,
    needs_lines,
    reported,
    spend,
    tasks_at,
    without_lines,
)
from .leftovers import forget_events
from .live_tunnel import tunnel
from .live_wanted import wanted_by
from .plugins import Spread

if TYPE_CHECKING:
    from ..common.wire_live import (
        Arming,
        IsLive,
        IsNotLive,
        LiveSettings,
        PassedForm,
        StopForm,
        StopsForm,
    )

STOPPED = "a task has stopped"
STOPS, PLACES, HOLDS = "stops", "places", "holds"  # kinds of armings
LOG = "dbgkit-live"  # topic of the events that say what was done, and by whom
VERBS = ("on", "off", "list", "wants")
RUNS_CODE = ("run_function", "broadcast")  # handlers of Dask's own
MOST_LOGGED = 1_000  # events within a minute: Dask itself keeps as many
MINUTE = 60.0
MOST_PASSED = 100
MOST_STOPS = 10_000


class LiveStops(SchedulerPlugin):  # type: ignore[misc]
    """Holds who wants tasks to stop, and what has stopped.

    ``name`` is that of the handlers and the topic, and of the workers' part.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.scheduler: Any = None
        self.armings: dict[str, dict[str, Any]] = {}  # by token
        self.stops: dict[str, StopForm] = {}
        self.held: dict[str, StopForm] = {}
        self.passed: deque[PassedForm] = deque(maxlen=MOST_PASSED)
        self.omitted = 0
        self.logged = 0  # events, within the minute that began at:
        self.logging_since = 0.0
        self.refusals: dict[str, str] = {}
        self.revision = 0
        self.plugin = b""

    async def start(self, scheduler: Any) -> None:
        """Called again as the scheduler starts, where a preload has put it there."""
        if self.scheduler is None:
            self.scheduler = scheduler
            self.spread = Spread(
                scheduler,
                self.name,
                lambda: scheduler.workers,
                ("plugin-add", "plugin-remove"),
                on_idle=self._leave,
            )
            self._add_handlers()

    def _add_handlers(self) -> None:
        for verb in (*VERBS, "here"):
            name = f"{self.name}-{verb}"
            self.scheduler.handlers[name] = Handler(name, self, f"on_{verb}")
        name = f"{self.name}-tunnel"
        self.scheduler.handlers[name] = CommHandler(name, self, "on_tunnel")

    def _remove_handlers(self) -> None:
        for verb in (*VERBS, "here", "tunnel"):
            self.scheduler.handlers.pop(f"{self.name}-{verb}", None)
        forget_events(self.scheduler, self.name)

    # -- on and off ----------------------------------------------------------

    async def on_on(
        self,
        owner: str,
        token: str,
        who: str,
        arming: Arming,
        everyone: bool,
        plugin: bytes,
        limit: float,
    ) -> IsLive:
        """Have tasks of a client stop, or of everyone.

        Parameters
        ----------
        owner, token, who : str
            The client, this use of it, and how it is shown.
        arming : dict
            As workers have it.
        everyone : bool
            Whether tasks of any client are meant.
        plugin : bytes
            The workers' part.
        limit : float
            Seconds to wait for workers.
        """
        blocked = set(RUNS_CODE) & set(self.scheduler.blocked_handlers)
        if blocked:
            why = f"the scheduler refuses {min(blocked)!r} (blocked_handlers)"
            self._leave()
            return {"refused": why, "without": {}, "broken": {}}
        lacking = without_lines(self.workers) if needs_lines(arming) else {}
        if lacking and len(lacking) == len(self.workers):
            self._leave()
            return {"refused": lacking[min(lacking)], "without": {}, "broken": {}}
        if owner and owner not in self.scheduler.clients:  # nobody would end it
            self._leave()
            return {"refused": "its client has gone", "without": {}, "broken": {}}
        was_on = bool(self.armings)
        self.armings[token] = {
            **as_sent(arming),
            "owner": owner,
            "who": who,
            "everyone": everyone,
            "since": time(),
        }
        self.plugin = plugin
        self._spread()
        how = {"most": arming["most"], "limit": arming["limit"], "at": _text(arming)}
        self.log(f"{_what(arming)} was turned on", who, **how)
        without = await self.spread.settled(limit)
        broken = {} if was_on else dict(self.spread.failed)
        if broken:
            # It would keep later workers from starting.
            await self.on_off(owner, [token], False, limit, _kind(arming))
            return {"refused": "", "without": without, "broken": broken}
        there = self.refusals.keys() & self.scheduler.workers.keys()
        refused = ""
        if there and len(there) == len(self.scheduler.workers):
            refused = f"every worker refuses: {self.refusals[min(there)]}"
            await self.on_off(owner, [token], False, limit, _kind(arming))
        without.update({address: self.refusals[address] for address in there})
        without.update(lacking)
        tasks = tasks_at(self.scheduler, as_sent(arming))
        answer: IsLive = {"refused": refused, "without": without, "broken": {}}
        return {**answer, "tasks": tasks}

    async def on_off(
        self,
        owner: str,
        tokens: Collection[str] | None,
        orphans: bool,
        limit: float,
        kind: str = STOPS,
    ) -> IsNotLive:
        """End some uses of a client's, or all (``None``), of a kind: see `_kind`.

        ``orphans``: also those of clients that are no longer connected.
        """
        kinds = (STOPS, PLACES) if kind == STOPS else (kind,)
        ended = [
            token
            for token, arming in self.armings.items()
            if (
                (arming["owner"] == owner and (tokens is None or token in tokens))
                or (orphans and self._is_orphan(arming))
            )
            and _kind(arming) in kinds
        ]
        went_on = self._end(ended)
        without = await self.spread.settled(limit)
        self._leave()
        others = sum(_kind(arming) in kinds for arming in self.armings.values())
        return {"others": others, "went_on": went_on, "without": without}

    def _is_orphan(self, arming: Mapping[str, Any]) -> bool:
        """Whether nobody is there who would end it; as of the recorder, a preload."""
        owner, of_preload = arming["owner"], _kind(arming) == HOLDS
        return bool(owner or of_preload) and owner not in self.scheduler.clients

    def _end(self, tokens: Collection[str]) -> int:
        """End some armings; how many stops go on because of that."""
        for token in tokens:
            arming = self.armings.pop(token)
            self.log(f"{_what(arming)} was turned off", arming["who"])
        if not tokens:
            return 0
        self._spread()
        left = self.armings.keys()
        return sum(not left & set(each["tokens"]) for each in self.stops.values())

    def _spread(self) -> None:
        """Have all workers know the armings; without any, take their part off."""
        if not self.armings:
            self.scheduler.worker_plugins.pop(self.name, None)
            self.spread.want_none()
            return
        self.scheduler.plugins.setdefault(self.name, self)
        # Workers that join later start with it.
        self.scheduler.worker_plugins[self.name] = self.plugin
        self.revision += 1
        self.spread.want(self.revision, self.plugin, self._settings())  # type: ignore[arg-type]

    def _settings(self) -> LiveSettings:
        known = ("most", "limit", "at", "holds")
        armings: Any = {
            token: {name: arming[name] for name in known if name in arming}
            for token, arming in self.armings.items()
        }
        return {"armings": armings}

    def _leave(self) -> None:
        """Leave the scheduler, once it is off and no worker has it."""
        if self.armings or not self.spread.is_idle:
            return
        self._remove_handlers()
        if self.scheduler.plugins.get(self.name) is self:
            del self.scheduler.plugins[self.name]

    # -- what workers ask and report -----------------------------------------

    async def on_here(self, address: str, refused: str = "") -> dict[str, Any]:
        """A worker's part has been set up: see `Spread.heard`."""
        self.refusals.pop(address, None)
        if refused:
            self.refusals[address] = refused
        wanted = self.spread.heard(address)
        return {"settings": wanted and self._settings()}

    async def on_wants(
        self, key: Any, tokens: Collection[str], stops: bool = True
    ) -> list[str]:
        """For which of some armings a task is wanted; ``stops``: it stops for them."""
        owners = {
            token: "" if arming["everyone"] else arming["owner"]
            for token, arming in self.armings.items()
            if token in tokens and not is_spent(arming)
        }
        found = await wanted_by(self.scheduler, as_key(key), owners)
        # Others may have asked meanwhile.
        found = [
            t for t in found if t in self.armings and not is_spent(self.armings[t])
        ]
        if stops and spend(self.armings, found):
            self._spread()
        return found

    def log_event(self, topic: str, msg: Any) -> None:
        """Called by the scheduler for each event of any topic."""
        if topic != self.name:
            return
        forget_events(self.scheduler, self.name)
        if not isinstance(msg, Mapping):
            return
        # Anyone who reaches a scheduler can log events of any topic.
        with suppress(KeyError, TypeError, AttributeError):
            self._take(msg)

    def _take(self, msg: Mapping[str, Any]) -> None:
        for what in ("stopped", "held", "moved", "over"):
            if what in msg:
                form: Any = {**msg[what], "key": as_key(msg[what]["key"])}
                self._take_stop(what, form, str(msg.get("how", "")))
                return
        if "passed" in msg:
            for each in msg["passed"]:
                passed: Any = {**each, "example": as_key(each["example"])}
                self._add_passed(passed)
        elif "value" in msg:
            if event := reported(self.armings, msg["value"]):
                self.scheduler.log_event(LOG, {"what": REPORTED, "who": "", **event})
        elif "entered" in msg:
            stop = self.stops.get(msg["entered"]) or self.held[msg["entered"]]
            self._set(stop, who=str(msg["who"]), entered=time())
            self.log("a stop was entered", str(msg["who"]), **_named(stop))
        elif "left" in msg:
            name = msg["left"]
            if found := self.stops.get(name) or self.held.get(name):
                self._set(found, who="", entered=None)
            count, key = int(msg["commands"]), as_key(msg["key"])
            self.log("a stop was left", str(msg["who"]), key=key, commands=count)

    def _set(self, stop: StopForm, who: str, entered: float | None) -> None:
        stop["who"], stop["entered"] = who, entered

    def _take_stop(self, what: str, form: StopForm, how: str) -> None:
        known = self.held if form["state"] == "held" else self.stops
        if what == "over":
            known.pop(form["id"], None)
            said = "a task goes on" if known is self.stops else "a failure was let go"
            self.log(f"{said} ({how})", "", **_named(form))
            return
        if what in ("stopped", "held"):
            if len(known) >= MOST_STOPS or form["worker"] not in self.workers:
                return
            said, tokens = "a failure is held", {}
            if what == "stopped":
                said, tokens = STOPPED, {"tokens": list(form["tokens"])}
            self.log(said, "", **tokens, **_named(form))
        elif form["id"] not in known:
            return
        known[form["id"]] = form

    @property
    def workers(self) -> Any:
        return self.scheduler.workers

    def _add_passed(self, form: PassedForm) -> None:
        for each in self.passed:
            if (each["prefix"], each["why"], each["place"]) == (
                form["prefix"],
                form["why"],
                form["place"],
            ):
                each["count"] += form["count"]
                return
        self.omitted += len(self.passed) == MOST_PASSED
        self.passed.append(form)

    def log(self, what: str, who: str, **more: Any) -> None:
        """Log what was done, and by whom; at most so many events at a time."""
        now = time()
        if now - self.logging_since > MINUTE:
            self.logging_since, self.logged = now, 0
        self.logged += 1
        if self.logged <= MOST_LOGGED:
            last = {"more": "not logged"} if self.logged == MOST_LOGGED else {}
            self.scheduler.log_event(LOG, {"what": what, "who": who, **more, **last})

    async def on_list(self) -> StopsForm | None:
        """What waits and is held, the oldest first; None while it is off."""
        if not (self.armings or self.stops or self.held):
            return None
        names = ("who", "everyone", "most", "limit", "since")
        armed: Any = [
            {
                **{name: each[name] for name in names},
                "at": _text(each),
                "holds": "holds" in each,
            }
            for each in self.armings.values()
        ]
        return {
            "stops": _in_order(self.stops),
            "held": _in_order(self.held),
            "passed": list(self.passed),
            "omitted": self.omitted,
            "armed": armed,
            "now": time(),
        }

    # -- sessions of clients that reach only the scheduler --------------------

    async def on_tunnel(self, comm: Any, worker: str, stop: str, who: str) -> None:
        """Pass a session's messages on, both ways, until one side ends it."""
        await tunnel(self.scheduler, self.name, comm, worker, stop, who)

    # -- who comes and goes ---------------------------------------------------

    def add_worker(self, scheduler: Any, worker: str) -> None:
        if self.armings:
            self.spread.joined(worker)

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        self.spread.left(worker)
        self.refusals.pop(worker, None)
        for known in (self.stops, self.held):
            for stop in [s for s in known.values() if s["worker"] == worker]:
                del known[stop["id"]]
                self.log("a stop is lost: its worker has left", "", **_named(stop))

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Arming ends with the client that has armed; what is held outlives it."""
        scheduler.unsubscribe_topic(LOG, client)  # it is told no more
        mine = [
            token
            for token, arming in self.armings.items()
            if arming["owner"] == client and _kind(arming) != HOLDS
        ]
        self._end(mine)

    def restart(self, scheduler: Any) -> None:
        """Called as a client restarts the cluster: no task is left."""
        self.stops.clear()
        self.held.clear()

    async def before_close(self) -> None:
        self.spread.close()
        self._remove_handlers()


def _kind(arming: Mapping[str, Any]) -> str:
    """What an arming is of: `live`, `break_at`, or the failures that `record` holds."""
    return HOLDS if "holds" in arming else PLACES if "at" in arming else STOPS


def _what(arming: Mapping[str, Any]) -> str:
    return "holding failures" if "holds" in arming else "live"


def _in_order(stops: Mapping[str, StopForm]) -> list[StopForm]:
    return sorted(stops.values(), key=lambda each: each["since"])


def _text(arming: Mapping[str, Any]) -> str:
    """Where an arming's tasks stop, as it is shown."""
    return str(arming["at"]["text"]) if "at" in arming else ""


def _named(stop: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says of a stop."""
    place = stop["place"]
    return {
        "key": stop["key"],
        "worker": stop["worker"],
        "line": f"{place['file']}:{place['line']} in {place['name']}",
    }
