"""Shrinks on a worker: the inputs stay there, the smallest one is brought here."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.cluster.link import Link
from dbgkit.cluster.pulls import SLOWEST_PULL
from dbgkit.cluster.replay import has_ended, how_it_ended, look_at_workers
from dbgkit.cluster.shapes import fits
from dbgkit.cluster.shrink import begin_on, look_at
from dbgkit.errors import (
    AnswerUnreadable,
    DbgkitError,
    InputMoved,
    SchedulerGone,
)
from dbgkit.model import Failure, Notice, Progress
from dbgkit.remote.common.texts import safe_repr
from dbgkit.remote.common.wire_shrink import ShrinkLook
from dbgkit.replays.on_worker import material_there, refusal_of
from dbgkit.replays.preparing import Notify, Prepared
from dbgkit.replays.shrink_plan import ShrinkWanted, sources_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_shrink import ShrinkJob, ShrunkForm


def shrink_on_worker(
    prepared: Prepared, wanted: ShrinkWanted, notify: Notify
) -> ShrunkForm:
    """Shrink on the plan's worker; Ctrl-C ends it, with the best so far.

    Raises
    ------
    InputMoved
        The worker, or an input, is gone; nothing was run.
    DbgkitError
        It cannot be run there.
    """
    failure, plan, link = prepared.failure, prepared.plan, prepared.material.link
    assert link is not None
    seen = look_at_workers(link, [plan.worker], ()).get(plan.worker)
    if seen is None:
        raise InputMoved(
            f"worker {plan.worker} does not answer (any more)",
            "try again: another worker may be available",
            key=failure.key,
        )
    job = _job(prepared, wanted)
    limit = link.timeout + job["nbytes"] / SLOWEST_PULL
    answer = begin_on(link, plan.worker, job, limit)
    if not isinstance(answer, dict):
        raise _unreadable(failure, plan.worker, answer)
    if answer["status"] != "begun":
        raise refusal_of(failure, plan, answer)  # type: ignore[arg-type]
    return _Watch(failure, plan.worker, link, job["name"], seen["pid"], notify).until()


def _job(prepared: Prepared, wanted: ShrinkWanted) -> ShrinkJob:
    """What ``remote.worker.shrink.begin`` takes."""
    specs, inputs, nbytes = material_there(prepared.plan, prepared.material)
    timeout = prepared.wanted.timeout
    return {
        "name": uuid.uuid4().hex,
        "order": list(prepared.plan.run_here),
        "specs": specs,
        "inputs": inputs,
        "nbytes": nbytes,
        "timeout": timeout,
        "limits": wanted.limits(timeout, prepared.wanted.max_bytes),
        "sources": sources_of(prepared.failure, prepared.failure.key, {}),
    }


class _Watch:
    """Asks until it has ended, in whatever way."""

    def __init__(
        self,
        failure: Failure,
        worker: str,
        link: Link,
        name: str,
        pid: int,
        notify: Notify,
    ) -> None:
        self.failure, self.worker, self.link = failure, worker, link
        self.name, self.pid, self.notify = name, pid, notify
        self.best: ShrunkForm | None = None

    def until(self) -> ShrunkForm:
        stop = ""
        while True:
            try:
                answer = look_at(self.link, self.worker, self.name, stop)
                if answer is None:  # another process has taken its place
                    answer = OSError("it knows nothing of it")
                if isinstance(answer, BaseException):
                    return self._lost(answer)
                found = self._read(answer)
                if found is not None:
                    return found
            except KeyboardInterrupt:
                if stop:
                    return self._given_up()
                stop = "ctrl-c"

    def _read(self, answer: Any) -> ShrunkForm | None:
        """The result, if that is what came; progress is passed on."""
        if not fits(ShrinkLook, answer):
            raise _unreadable(self.failure, self.worker, answer)
        look: ShrinkLook = answer
        self.best = look["best"] or self.best
        if not look["done"]:
            done, count = look["count"] - look["left"], look["count"]
            self.notify(Progress("shrink", done, count, "parts"))
            return None
        if look["best"] is None:
            raise _unreadable(self.failure, self.worker, answer)
        if look["thread"] and "notes" in look["best"]:
            look["best"]["notes"].append(
                f"thread {look['thread']} still runs on {self.worker}, because a "
                "thread cannot be stopped"
            )
        return look["best"]

    def _given_up(self) -> ShrunkForm:
        """Ctrl-C again: what is known by now, though no input is brought."""
        self.notify(Notice(f"the task still runs on {self.worker}"))
        if self.best is None:
            raise KeyboardInterrupt
        return {**self.best, "stopped": "ctrl-c"}

    def _lost(self, error: BaseException) -> ShrunkForm:
        """The best so far, if the worker has died of it; else raises."""
        if not isinstance(error, OSError):
            raise DbgkitError(
                f"{self.failure.key!r} could not be shrunk on {self.worker}: "
                f"{safe_repr(error)[:500]}",
                f"{advice.option('where', 'process')} runs it in children of this "
                "process",
                key=self.failure.key,
            )
        if not has_ended(self.link, self.worker, self.pid):
            raise SchedulerGone(
                f"the connection to {self.worker} was lost while {self.failure.key!r} "
                "ran there",
                "the worker is still there, and ends it by itself within a minute",
                key=self.failure.key,
            )
        how = ""
        with suppress(DbgkitError):
            how = how_it_ended(self.link, self.pid)
        how = how or f"its process {self.pid} has ended"
        if self.best is None:
            raise DbgkitError(
                f"worker {self.worker} died as {self.failure.key!r} ran on its whole "
                f"input: {how}",
                f"{advice.option('where', 'process')} runs it in children of this "
                "process",
                key=self.failure.key,
            )
        notes = [
            *self.best["notes"],
            f"worker {self.worker} died of a part of the input: {how}",
        ]
        return {**self.best, "stopped": "gone", "notes": notes}


def _unreadable(failure: Failure, worker: str, answer: Any) -> DbgkitError:
    if isinstance(answer, BaseException) and not isinstance(answer, OSError):
        return AnswerUnreadable(
            f"what {worker} answered about {failure.key!r} cannot be read: "
            f"{safe_repr(answer)[:500]}",
            f"{advice.option('where', 'process')} runs it in children of this process",
            key=failure.key,
        )
    return InputMoved(
        f"worker {worker} does not answer (any more)",
        "try again: another worker may be available",
        key=failure.key,
    )
