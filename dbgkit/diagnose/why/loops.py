"""Tasks that are run again and again, and never get done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dbgkit import advice as advised
from dbgkit.diagnose.deaths.explain import tell_of
from dbgkit.diagnose.sentences import (
    MOST_NAMED,
    Words,
    counted,
    cut,
    moment,
    show,
)
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.model import Death
from dbgkit.remote.common.texts import type_and_message

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why_loops import Loop

MOST_TEXT = 200  # characters of an exception's first line


class Looping(NamedTuple):
    """A task that is run again and again; its last error, deaths of its workers."""

    loop: Loop
    error: str
    deaths: Sequence[Death]

    @property
    def kind(self) -> str:
        """Why it is run again, mostly."""
        counts = {name: self.loop[name] for name in ("failed", "rescheduled", "died")}
        return max(counts, key=lambda name: counts[name])


def find_loops(look: Look) -> Iterator[Cause[Looping]]:
    for loop in look.loops:
        key = loop["key"]
        looping = Looping(loop, look.errors.get(key, ""), look.deaths.get(key, ()))
        kind, _ = type_and_message(looping.error)
        cause = Cause(looping, key=key, like=(looping.kind, kind))
        cause.chain, cause.length = tuple(loop["chain"]), loop["length"]
        cause.behind, cause.cut = loop["waiting"], loop["waiting_cut"]
        yield cause


def loop(cause: Cause[Looping]) -> Words:
    first = cause.first
    evidence = [line for each in cause.parts[:MOST_NAMED] for line in _evidence(each)]
    what = {
        "failed": cause.they("fails, and is tried", "fail, and are tried"),
        "rescheduled": cause.they("raises Reschedule", "raise Reschedule"),
        "died": f"workers die with {cause.tasks}, which "
        f"{'is' if cause.count == 1 else 'are'} sent to others",
    }[first.kind]
    kind, _ = type_and_message(first.error)
    error = f": {kind}" if kind and first.kind == "failed" else ""
    return f"{what} again and again{error}", evidence, _advice(first)


def _evidence(looping: Looping) -> list[str]:
    loop = looping.loop
    least = "" if loop["exact"] else "at least "
    since = f" since {moment(loop['since'])}"
    evidence = []
    if loop["failed"]:
        evidence.append(
            f"{show(loop['key'])}: {least}{counted(loop['failed'], 'attempt')} "
            f"failed{since}"
        )
        if looping.error:
            kind, message = type_and_message(looping.error)
            text = f"{kind}: {message}" if kind else message
            evidence.append(f"the last error: {cut(text.split(chr(10))[0], MOST_TEXT)}")
        else:
            evidence.append("the last error: not recorded")
    if loop["rescheduled"]:
        evidence.append(
            f"{show(loop['key'])} raised Reschedule {least}"
            f"{counted(loop['rescheduled'], 'time')}{since}"
        )
    if loop["died"]:
        evidence.append(
            f"{counted(loop['died'], 'worker')} died while {show(loop['key'])} was "
            "assigned to it"
        )
        if looping.deaths:
            evidence.append(tell_of(loop["key"], looping.deaths))
    return [*evidence, *_who(loop)]


def _who(loop: Loop) -> list[str]:
    """Who has it run again."""
    if loop["clients"]:
        return [
            f"{each['client']} called retry() at least {counted(each['times'], 'time')}"
            for each in loop["clients"]
        ]
    if loop["retried"]:
        times = counted(loop["retried"], "time")
        return [f"a client called retry() at least {times}; which one is not recorded"]
    if loop["retries_left"]:
        left = counted(int(loop["retries_left"]), "retry", "retries")
        return [f"{left} left of those that it was submitted with"]
    return []


def _advice(looping: Looping) -> list[str]:
    loop, key = looping.loop, looping.loop["key"]
    advice = [f"{advised.call('story', key)} shows the attempts"]
    if looping.kind == "rescheduled":
        advice.append(
            "Dask does not limit this: have the task count its attempts, and raise an "
            "error in the end"
        )
    elif looping.kind == "died":
        advice.append(f"{advised.call('deaths')} shows how the workers died")
        advice.append(
            "distributed.scheduler.allowed-failures is how many workers a task may "
            "cost: lower it"
        )
    elif loop["clients"] or loop["retried"]:
        advice.append("find the call of retry() in that client: what ends its loop?")
    else:
        advice.append("mend what it raises, or submit it with fewer retries=")
    advice.append("cancel its future to end this")
    return advice
