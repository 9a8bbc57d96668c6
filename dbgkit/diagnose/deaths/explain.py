"""The verdict on a worker's end, and its evidence."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.cluster.deaths import known_deaths
from dbgkit.cluster.view import View
from dbgkit.diagnose.deaths.verdicts import Verdict, judge, logged_by, stack_of
from dbgkit.diagnose.sentences import several, show
from dbgkit.model import (
    MALFORMED,
    Death,
    Deaths,
    LoggedLine,
    RunningTask,
    Span,
)
from dbgkit.remote.common.boxes import history
from dbgkit.remote.common.crashes import AWAITED, crashed_task, of_crash
from dbgkit.remote.common.endings import NO_REPORT, box_of
from dbgkit.remote.common.frames import own_index
from dbgkit.remote.scheduler.foresight import deaths_limit
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.source.shown import Shown

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_deaths import (
        Box,
        BoxTask,
        DeathForm,
        NannyReport,
    )

# As faulthandler writes them, the innermost frame first.
MOST_STDERR = 12  # lines
_FRAME = re.compile(r'^  File "(.+?)", line (\d{1,9}) in (.+)$', re.MULTILINE)


def tell_deaths(view: View, *, limit: int = 50) -> Deaths:
    """How workers of a cluster went away, the newest first."""
    start = datetime.now(timezone.utc)
    answer = known_deaths(view, None, limit)
    notes = list(answer["notes"])
    if view.live and not answer["recorded"]:
        notes.append(
            f"the recorder is off: {advice.call('record')} makes workers and nannies "
            "report more from then on: which task ran, at which line, exit codes"
        )
    deaths, odd = _whole(answer["deaths"])
    odd += answer["odd"]
    if odd:
        which = "one of them" if odd == 1 else f"{odd} of them"
        notes.append(f"{which} could not be read: the scheduler's record is malformed")
    return Deaths(
        tuple(deaths),
        total=max(len(deaths), answer["total"] - odd),
        omitted=answer["omitted"],
        recorded=answer["recorded"],
        since=_moment(answer["since"]),
        span=Span(start, datetime.now(timezone.utc)),
        notes=tuple(notes),
    )


def deaths_of(view: View, keys: Iterable[Any]) -> dict[Any, tuple[Death, ...]]:
    """Deaths of workers that some tasks were assigned to, by key, the newest first.

    `Death.ran` says whether a task ran there or was only queued. Without the recorder
    there are none.
    """
    wanted = list(keys)
    found: dict[Any, tuple[Death, ...]] = {}
    if not wanted or not view.live:
        return found
    answer = known_deaths(view, wanted, deaths_limit(wanted), recorded_only=True)
    deaths, _ = _whole(answer["deaths"])
    for key in wanted:
        had = tuple(death for death in deaths if key in (*death.keys, *death.queued))
        if had:
            found[key] = had
    return found


def line_of(key: Any, deaths: Iterable[Death]) -> str:
    """The line that a task was at, from the newest death that has it.

    Of one that nobody saw at any, the first of its function, if it has only one.
    """
    ran = [task for each in deaths for task in each.ran if task.key == key]
    first = (task.first_lines[0] for task in ran if len(task.first_lines) == 1)
    return next(filter(None, [*(task.line for task in ran), *first]), "")


def told_first(key: Any, deaths: Iterable[Death]) -> list[Death]:
    """Deaths ordered for a task: first those of workers that ran it."""
    return sorted(deaths, key=lambda each: key not in each.keys)


def tell_of(key: Any, deaths: Sequence[Death]) -> str:
    """What some deaths, the newest first, say about one task.

    The first of `told_first` is quoted in full.
    """
    ran = [each for each in deaths if key in each.keys]
    count = "1 worker" if len(deaths) == 1 else f"{len(deaths)} workers"
    if ran:
        often = "" if len(ran) == len(deaths) else f", {len(ran)} of them"
        ended = any(task.ended for task in ran[0].ran if task.key == key)
        when = "after running it" if ended else "while running it"
        return f"{count} died{often} {when}: {ran[0].summary}"
    if not all(each.ran_known for each in deaths):
        return f"{count} died while assigned to it: {deaths[0].summary}"
    others = ", ".join(show(other) for other in deaths[0].keys[:3]) or "no task"
    return f"{count} died with it queued, while running {others}: {deaths[0].summary}"


def _whole(facts: Iterable[DeathForm]) -> tuple[list[Death], int]:
    """Deaths, and how many facts were malformed."""
    found, odd = [], 0
    for fact in facts:
        try:
            found.append(death_from_fact(fact))
        except MALFORMED:
            odd += 1
    return found, odd


def death_from_fact(fact: DeathForm) -> Death:
    """A death from the form that ``remote.scheduler.deaths.removal_fact`` makes."""
    report = fact["report"] or NO_REPORT
    box = box_of(fact)
    verdict = judge(fact)
    stack = stack_of(fact)
    ran, ran_known = _running(fact, box, stack)
    own = {task.key for task in ran}
    queued = [key for key in fact["processing"] if key not in own]
    memory, seen = _memory(fact, report, box)
    return Death(
        worker=fact["worker"],
        name=fact["name"],
        host=fact["host"],
        pid=fact["pid"],
        nanny=fact["nanny"],
        when=datetime.fromtimestamp(fact["when"], tz=timezone.utc),
        verdict=verdict.code,
        summary=_summary(fact, verdict, ran),
        evidence=tuple(verdict.evidence),
        exit_code=verdict.exit_code,
        signal=verdict.signal,
        said=tuple(report.get("lines") or fact["lines"]),
        ran=tuple(ran),
        queued=tuple(queued),
        queued_count=max(len(queued), fact["processing_count"] - len(ran)),
        ran_known=ran_known,
        memory=memory,
        memory_age=_before(fact, seen) if seen else None,
        memory_limit=fact["memory_limit"],
        memory_history=_history(fact, report, box),
        logged=tuple(_logged(fact)),
        logged_known=box is not None or fact["logged"] is not None,
        stderr=_stderr(box),
        lost=fact["lost_count"] + fact["lost_scattered"],
        stack=stack,
        notes=tuple(_notes(fact, report, box)),
    )


def _before(fact: DeathForm, when: float) -> float:
    """Seconds between something on a worker and its end.

    Its nanny's report has that by the same clock; the scheduler's may be another one.
    """
    report = fact["report"] or NO_REPORT
    return max(0.0, (report["when"] or fact["when"]) - when)


def _summary(fact: DeathForm, verdict: Verdict, ran: list[RunningTask]) -> str:
    name = fact["name"]
    worker = f"worker {name}" if name not in ("", fact["worker"]) else "worker"
    who = f"{worker} ({fact['worker'] or 'never joined'})"
    for task in ran:
        if task.raised and task.raised in verdict.words:
            return f"{who} ended because {show(task.key)} raised {task.raised}"
    text = f"{who} {verdict.words}"
    crashed = [task for task in ran if task.crashed] or ran
    if not crashed or verdict.code == "closed-on-purpose":
        return text
    crashed = [task for task in crashed if not task.ended] or crashed
    when = "after it had run" if crashed[0].ended else "while it ran"
    return f"{text} {when} {several((show(task.key) for task in crashed), most=1)}"


# -- what ran ------------------------------------------------------------------


def _running(
    fact: DeathForm, box: Box | None, stack: str
) -> tuple[list[RunningTask], bool]:
    """Tasks that ran, and whether it is known that the others did not."""
    if box is None:
        beats = [
            RunningTask(
                key=task["key"],
                prefix=task["prefix"],
                seconds=task["seconds"],
                inputs=task["inputs"],
                found_in="heartbeat",
            )
            for task in fact["heartbeat_tasks"]
        ]
        return beats, bool(beats)
    culprit = crashed_task(box["tasks"], stack)
    line, shown = _crash_line(stack), Shown()
    found = []
    for task in box["tasks"]:
        # Dask takes a while to end a worker.
        lasted = _before(fact, task["start"])
        if task["raised"]:
            lasted = max(0.0, task["line_at"] - task["start"])
        running = replace(_of_box(task, fact, shown), seconds=lasted)
        if task is culprit:
            running = replace(running, crashed=True)
            if line:
                running = replace(running, line=shown.line(line), line_age=0.0)
        found.append(running)
    ended = (_of_box(task, fact, shown) for task in box["ended"])
    return [*found, *(replace(task, ended=True) for task in ended)], True


def _of_box(task: BoxTask, fact: DeathForm, shown: Shown) -> RunningTask:
    seen = task["line_at"]
    return RunningTask(
        key=task["key"],
        prefix=task.get("prefix", ""),
        since=_moment(task["start"]),
        first_lines=tuple(map(shown.line, task["first"].splitlines())),
        line=shown.line(task["line"]),
        raised=task["raised"],
        line_age=_before(fact, seen) if seen else None,
        inputs=task["inputs"],
    )


def _crash_line(stack: str) -> str:
    """The innermost line of the user's code in the stack that Python wrote."""
    frames = _FRAME.findall(stack)[::-1]
    index = own_index([filename for filename, _, _ in frames])
    if index is None:
        return ""
    filename, line, function = frames[index]
    return f"{filename}:{line} in {function}"


def _memory(
    fact: DeathForm,
    report: NannyReport,
    box: Box | None,
) -> tuple[int | None, float | None]:
    """The newest figure, and when it was taken; the nanny's, if it killed for it."""
    over = fact["over"]
    if over:
        return over["rss"], over["when"]
    figures = [
        (fact["memory_at"], fact["memory"]),
        (report.get("memory_at"), report.get("memory")),
        (box["sampled"], box["memory"]) if box else (None, None),
    ]
    taken = [(at, value) for at, value in figures if at and value]
    if not taken:
        return None, None
    at, value = max(taken)
    return value, at


def _history(
    fact: DeathForm, report: NannyReport, box: Box | None
) -> tuple[tuple[float, int], ...]:
    """Memory in the last minute, by the nanny and by the worker itself."""
    samples = [*report.get("history", ()), *(box["history"] if box else ())]
    return tuple((_before(fact, at), int(memory)) for at, memory in history(samples))


def _stderr(box: Box | None) -> tuple[str, ...]:
    """The last lines of its standard error; Dask's own are among those logged."""
    text = redact_text(box["stderr"]) if box else ""
    lines = [line.rstrip() for line in text.splitlines()]
    shown = [line for line in lines if line and " - distributed." not in line]
    return tuple(line[:500] for line in shown[-MOST_STDERR:])


def _logged(fact: DeathForm) -> Iterator[LoggedLine]:
    shown = Shown()
    for line in logged_by(fact):
        level = logging.getLevelName(line["level"])
        if level.startswith("Level "):  # a library's own, which has no name here
            level = level.lower()
        text = shown.logged(line["text"])
        yield LoggedLine(level, text, _before(fact, line["when"]), line["times"])


def _notes(
    fact: DeathForm,
    report: NannyReport,
    box: Box | None,
) -> list[str]:
    notes = []
    if report.get("by_time"):
        notes.append(
            "the nanny's log line was matched to this worker by its time alone"
        )
    if report.get("error"):
        notes.append(f"its nanny could not report everything: {report['error']}")
    if fact.get("unread"):
        notes.append(f"its black box could not be read: {fact['unread']}")
    if box is not None:
        stack = stack_of(fact)
        if AWAITED in stack and len(of_crash(box["tasks"], stack)) > 1:
            line = Shown().line(_crash_line(stack))
            notes.append(
                f"the crash was at {line}, in one of several tasks that share the "
                "worker's event loop: which one is not known"
            )
        if box["crashes"] == "elsewhere":
            notes.append(
                "Python's faulthandler was on in that process already: look for the "
                "stack of a crash where that writes, by default its standard error"
            )
        if box["unlogged"]:
            notes.append(
                f"of what it logged, {box['unlogged']:,} lines that came too fast "
                "were left out"
            )
        if box["left_out"]:
            notes.append(f"{box['left_out']} tasks that it ran were left out")
        return notes
    if report.get("closed") or not fact["processing_count"]:
        return notes
    if fact["heartbeat_tasks"]:
        notes.append(
            "the tasks shown ran at its last heartbeat, and may have ended since"
        )
    else:
        notes.append("which of its tasks were running is not known")
    return notes


def _moment(timestamp: float | None) -> datetime | None:
    if not timestamp:
        return None
    return datetime.fromtimestamp(timestamp, tz=timezone.utc)
