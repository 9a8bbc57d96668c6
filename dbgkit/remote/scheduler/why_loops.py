"""Tasks that are run again and again: how often, since when, and who asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..common.pacing import Pace, is_dump, slices
from .why_places import SAMPLE

if TYPE_CHECKING:
    from ..common.wire_why_loops import Loop, Retrier

OFTEN = 5  # attempts that make a loop
MOST_LOOPS = 20
MOST_LOG = 20_000  # newest transitions that are looked through
_OVER = ("memory", "released", "forgotten")
RECENT = 10.0  # seconds since the last attempt, in any case
GAPS = 3.0  # times what attempts took on average, for the next one
TEXT_LIMIT = 5_000  # characters of an exception

# Why a task left ``processing``, by the beginning of the stimulus: an error, by
# ``Worker.execute``, and ``Reschedule`` (distributed/worker.py).
_FAILED, _RESCHEDULED = "task-erred-", "reschedule-"
# ``Scheduler.stimulus_retry``, by which a client has a failed task run again.
_RETRIED = "stimulus-retry-"


@dataclass
class _Attempts:
    """Attempts to run one task that are in the log, from the newest to the oldest."""

    failed: int = 0
    rescheduled: int = 0
    retried: int = 0
    left: int = 0  # its worker went away, say
    since: float = 0.0
    last: float = 0.0
    whole: bool = False  # the log has its beginning

    def add(self, entry: Any) -> None:
        """Count an entry: ``(key, start, finish, recommendations, stimulus, when)``.

        What was before the task was submitted, done or forgotten is over: the key has
        had a life before this one.
        """
        if self.whole:
            return
        start, stimulus, when = entry[1], str(entry[4]), float(entry[5])
        if entry[2] in ("memory", "forgotten"):
            self.whole = True
            return
        if start == "released" and stimulus.startswith("update-graph"):
            self.whole = True
        if start == "erred" and stimulus.startswith(_RETRIED):
            self.retried += 1
        elif start != "processing":
            return
        elif stimulus.startswith(_FAILED):
            self.failed += 1
        elif stimulus.startswith(_RESCHEDULED):
            self.rescheduled += 1
        else:
            self.left += 1
        self.since = when
        self.last = max(self.last, when)

    def have_stopped(self, now: float) -> bool:
        """Whether the last one was so long ago that no other one is expected."""
        ends = max(self.failed, self.rescheduled, self.left)
        gap = (self.last - self.since) / (ends - 1) if ends > 1 else 0.0
        return now - self.last > max(RECENT, GAPS * gap)


# Tasks, each with what is known of its attempts.
Loops = list[tuple[Any, "Loop"]]


async def find_loops(state: Any, now: float, pace: Pace) -> Loops:
    """Tasks that have been run many times and are not done, the most often run first.

    It looks through the newest part of the transition log.
    """
    found: dict[Any, _Attempts] = {}
    newest = list(islice(reversed(state.transition_log), MOST_LOG))
    async for part in slices(newest, pace):
        for entry in part:
            attempts = found.get(entry[0])
            if attempts is None:
                attempts = found[entry[0]] = _Attempts()
            attempts.add(entry)
    loops: Loops = []
    for key, attempts in found.items():
        ts = state.tasks.get(key)
        loop = None if ts is None else _loop(ts, attempts)
        if loop is not None and _goes_on(ts, attempts, now):
            loops.append((ts, loop))
    return sorted(loops, key=lambda each: -_times(each[1]))


def _loop(ts: Any, attempts: _Attempts) -> Loop | None:
    tries = (ts.annotations or {}).get("retries")
    tried = tries - ts.retries if isinstance(tries, int) else 0
    # Also in a life of the key before this one.
    failed = attempts.failed if attempts.whole else max(attempts.failed, tried)
    died = ts.suspicious if attempts.left else 0
    if max(failed, attempts.rescheduled, died) < OFTEN:
        return None
    return {
        "key": ts.key,
        "state": ts.state,
        "failed": failed,
        "rescheduled": attempts.rescheduled,
        "died": died,
        "retried": attempts.retried,
        # All attempts that are not in the log are counted elsewhere.
        "exact": attempts.whole or failed == tried > attempts.failed,
        "since": attempts.since,
        "last": attempts.last,
        "retries_left": ts.retries,
        "error": "",
        "clients": [],
        "chain": [ts.key],
        "length": 1,
        "waiting": 0,
        "waiting_cut": False,
    }


def _times(loop: Loop) -> int:
    return max(loop["failed"], loop["rescheduled"], loop["died"])


def _goes_on(ts: Any, attempts: _Attempts, now: float) -> bool:
    """Whether a task is run still; what has failed is between two retries, or over.

    One that no longer fails has another cause: it runs, or waits for something.
    """
    if ts.state == "erred":
        return attempts.retried >= OFTEN and now - attempts.last < RECENT
    return ts.state not in _OVER and not attempts.have_stopped(now)


def with_errors(state: Any, loops: Loops) -> Loops:
    """Some of the loops, with errors that are known here, and who asks for retries.

    An attempt that is repeated by itself leaves its error in the log of its worker
    only. A client that retries writes an event of its own, without the keys.
    """
    loops = [each for each in loops if each[0].state not in _OVER][:MOST_LOOPS]
    last: dict[Any, str] = {}
    for entry in state.erred_tasks if loops else ():  # the newest first
        last.setdefault(entry.key, entry.exception_text)
    retried = not is_dump(state) and any(loop["retried"] for _, loop in loops)
    events = state.get_events() if retried else {}
    for ts, loop in loops:
        loop["state"] = ts.state
        error = ts.exception_text or last.get(ts.key) or ""
        loop["error"] = error[:TEXT_LIMIT]
        if loop["retried"]:
            loop["clients"] = _retriers(events, ts)
    return loops


def _retriers(events: Any, ts: Any) -> list[Retrier]:
    """Clients that want a task, and have had some retried: how often, at least."""
    found: list[Retrier] = []
    for client in ts.who_wants or ():
        times = sum(
            isinstance(message, dict) and message.get("action") == "retry"
            for _, message in events.get(client.client_key, ())
        )
        if times:
            found.append({"client": str(client.client_key), "times": times})
    return sorted(found, key=lambda each: -each["times"])[:SAMPLE]
