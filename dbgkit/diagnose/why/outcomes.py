"""Causes of what is over: it failed, is finished, or is not known any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dbgkit import advice as advised
from dbgkit.diagnose.deaths.explain import tell_of, told_first
from dbgkit.diagnose.sentences import Words, counted, cut, moment, several, show, size
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.model import Death
from dbgkit.remote.common.frames import own_line_of_text
from dbgkit.remote.common.texts import type_and_message
from dbgkit.source.places import place
from dbgkit.source.shown import Shown, codes_from_wire
from dbgkit.targets.led import submitted_by
from dbgkit.targets.modules import Lack, advice_of, evidence_of, modules_of
from dbgkit.targets.unreadable import (
    Unreadable,
    reason_of,
    unreadable_advice,
    unreadable_evidence,
)

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import (
        FailedEnd,
        FinishedEnd,
        KeyState,
        Killers,
        Overview,
        ReleasedEnd,
    )

MOST_DEATHS = 3  # of the workers of one task
MOST_TEXT = 200  # characters of an exception's first line


class FailedTask(NamedTuple):
    """A task that failed; ``killers`` if it stands for all failures of the cluster."""

    end: FailedEnd
    deaths: Sequence[Death] = ()
    lack: Lack | None = None
    killers: Killers | None = None
    unread: Unreadable | None = None


def _failure(look: Look, end: FailedEnd) -> Cause[FailedTask]:
    deaths, lack = look.deaths.get(end["blame"], ()), look.lacks.get(end["key"])
    killers = look.answer["given_up"] if look.whole else None
    task = FailedTask(end, deaths, lack, killers, look.unread.get(end["key"]))
    return Cause(task, end, like=end["blame"])


def find_failed(look: Look) -> Iterator[Cause[FailedTask]]:
    return (_failure(look, end) for end in look.ends if end["code"] == "failed")


def find_cascaded(look: Look) -> Iterator[Cause[FailedTask]]:
    return (_failure(look, end) for end in look.ends if end["code"] == "cascaded")


def failed(cause: Cause[FailedTask]) -> Words:
    end, _, lack, killers, unread = cause.first
    summary = f"{show(cause.key)} failed: {_what(end)}"
    evidence = _evidence(cause.first)
    advice = [_open(cause.key)]
    if lack is not None:
        summary += f", as {modules_of(lack)} is missing there"
        advice = advice_of(lack)
    elif unread is not None:
        summary += f", as they could not unpickle it: {reason_of(unread)}"
        evidence += unreadable_evidence(unread)
        advice = unreadable_advice(unread)
    if killers is not None and cause.count > 1:
        summary += f"; {cause.count - 1} more failed"
        evidence += _others(killers, cause.count - 1)
        advice.append(
            f"{advised.call('failures')} lists all {cause.count}, by root cause"
        )
    elif cause.count > 1:
        evidence.append(f"{cause.count} tasks have failed")
    return summary, evidence, advice


def _what(end: FailedEnd) -> str:
    if end["killed"]:
        died = counted(end["killed"], "worker")
        return f"Dask stopped retrying it after {died} died while assigned to it"
    kind, message = type_and_message(end["exception_text"])
    text = f"{kind}: {message}" if kind else message
    return cut(text.strip().split("\n")[0], MOST_TEXT)


def _evidence(failure: FailedTask) -> list[str]:
    end, deaths, lack, *_ = failure
    evidence = []
    if end["killed"] and deaths:
        evidence += _deaths(end["blame"], deaths, end["killed"])
    elif end["killed"]:
        evidence.append(
            "no exception: Dask stops retrying a task (KilledWorker) after losing "
            "more workers with it than distributed.scheduler.allowed-failures"
        )
    line = own_line_of_text(
        Shown().text(end["traceback_text"], codes_from_wire(end["codes"]))
    )
    if line is not None:
        evidence.append(f"raised at {place(line[0], line[1])} in {line[2]}")
    if end["shuffle"]:
        phase = f"in the {end['shuffle']} phase of a P2P shuffle"
        evidence.append(f"{phase}: {end['in_shuffle']}")
    if end["through"]:
        evidence.append(submitted_by(end["through"], show))
    if end["erred_on"]:
        evidence.append(f"on {several(end['erred_on'])}")
    if end["when"]:
        evidence.append(f"at {moment(end['when'])}")
    if lack is not None:
        evidence.append(evidence_of(lack))
    if end["tried"] > 1:
        evidence.append(f"after {end['tried']} attempts")
    return evidence


def _others(killers: Killers, more: int) -> list[str]:
    """What else failed in the cluster."""
    evidence = []
    if killers["count"]:
        named = several(map(show, killers["keys"]), killers["count"])
        evidence.append(f"Dask also stopped retrying tasks whose workers died: {named}")
    rest = more - killers["count"]
    if rest > 0:
        evidence.append(
            f"{rest} more task{'s have' if rest > 1 else ' has'} failed, "
            "directly or because a dependency failed"
        )
    return evidence


def cascaded(cause: Cause[FailedTask]) -> Words:
    summary, evidence, advice = failed(cause)
    end = cause.first.end
    if end["others_count"]:
        others = several(map(show, end["others"]), end["others_count"])
        evidence.append(f"other dependencies of it failed as well: {others}")
    keys = cause.keys
    which = show(keys[0]) if len(keys) == 1 else f"{len(keys)} tasks"
    return f"{which} failed because {summary}", evidence, advice


def _deaths(key: Any, deaths: Sequence[Death], count: int) -> list[str]:
    """How workers died that had a task, each once, up to a limit."""
    ordered = told_first(key, deaths)[:MOST_DEATHS]
    lines = [tell_of(key, deaths), *(each.summary for each in ordered[1:])]
    more = max(len(deaths), count) - len(ordered)
    if more > 0:
        lines.append(f"{counted(more, 'more worker')} died while assigned to it")
    return lines


def finished(cause: Cause[FinishedEnd]) -> Words:
    if cause.count > 1:
        return f"all {cause.count} tasks are finished", [], []
    where = several(cause.first["workers"])
    nbytes = size(max(0, cause.first["nbytes"]))
    return (
        f"{show(cause.key)} is finished",
        [f"its result of {nbytes} is in memory on {where}"],
        [],
    )


def idle(cluster: Overview) -> Words:
    """What there is to say if no task has a cause."""
    states = [f"{count} {state}" for state, count in sorted(cluster["states"].items())]
    return (
        "nothing is waiting: no task is unfinished",
        [
            f"tasks: {several(states)}" if states else "the scheduler knows no task",
            f"{cluster['workers']} workers, {cluster['threads']} threads",
        ],
        [],
    )


def released(cause: Cause[ReleasedEnd]) -> Words:
    return (
        f"{cause.tasks}: released, as nothing needs the result now",
        ["the scheduler computes it once it is needed"],
        ["hold a future for it, or compute something that depends on it"],
    )


def find_out_of_step(look: Look) -> Iterator[Cause[KeyState]]:
    for entry in look.answer["out_of_step"]:
        yield Cause(entry, key=entry["key"])


def out_of_step(cause: Cause[KeyState]) -> Words:
    erred = [part["key"] for part in cause.parts if part["state"] == "erred"]
    states = sorted({part["state"] for part in cause.parts})
    return (
        f"{cause.they('is', 'are')} pending on this client, but "
        f"{' and '.join(states)} on the scheduler",
        [
            "the message did not arrive here, or could not be deserialized (as "
            "happens with very deep tracebacks)"
        ],
        [
            *map(_open, erred[:1]),
            "cancel the future and submit again, or connect a new Client",
        ],
    )


def _open(key: Any) -> str:
    return f"{advised.call('debug', key)} opens the debugger where it failed"
