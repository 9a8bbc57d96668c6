"""In words: what workers' threads run, since when, and at which line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dbgkit import advice as advised
from dbgkit.diagnose.sentences import (
    MOST_NAMED,
    counted,
    cut,
    seconds,
    several,
    show,
)
from dbgkit.diagnose.why.look import Assigned, Busy, lasted
from dbgkit.remote.common.frames import is_own
from dbgkit.source import places as named
from dbgkit.source.shown import Shown

if TYPE_CHECKING:
    from dbgkit.model import FrameSummary
    from dbgkit.remote.common.wire_why_workers import Executing, Probe


def threads(places: Iterable[Busy]) -> tuple[list[str], list[str]]:
    """What workers' threads run and since when, and what to do about it."""
    evidence = []
    longest: tuple[float, Executing] | None = None
    left: dict[Any, str] = {}
    by_worker: dict[str, Busy] = {}
    for at in places:
        by_worker.setdefault(at[0]["worker"], at)
    for worker, (place, probe) in [*by_worker.items()][:MOST_NAMED]:
        busy: list[Executing] = probe["executing"] if probe else []
        tasks = [show(e["key"]) for e in place["executing"]] if not busy else []
        for entry in busy:
            tasks.append(show(entry["key"]) + running_for(entry["since"], probe))
            took = lasted(entry["since"], probe)
            if took is not None and (longest is None or took > longest[0]):
                longest = took, entry
            if entry.get("state") == "cancelled":
                left[entry["key"]] = worker
        evidence.append(
            f"{worker}: {counted(place['nthreads'], 'thread')}, "
            f"{counted(place['processing'], 'task')}; running: "
            f"{several(tasks) or 'nothing'}"
        )
        if probe and probe["constrained"]:
            evidence.append(
                f"{probe['constrained']} of them wait for resources that are in use"
            )
    advice = []
    if longest is not None:
        entry = longest[1]
        lines = stack_lines(entry.get("stack"))
        evidence += [f"the longest, {show(entry['key'])}, is {at}" for at in lines[-1:]]
        if entry.get("state") != "cancelled":
            ask = advised.call("why", entry["key"])
            advice.append(f"see what those threads run: {ask}")
    if left:
        evidence.append(
            f"the scheduler has released {several(map(show, left))}, most likely "
            "because its client disconnected or cancelled it; its thread runs until "
            "it ends"
        )
        advice.append(restart(left.values()))
    return evidence, advice


def restart(workers: Iterable[str]) -> str:
    """Advice to end threads that cannot be stopped."""
    return (
        f"client.restart_workers({sorted(set(workers))}) stops that; all other "
        "results there are computed again"
    )


def running_for(since: float | None, probe: Probe | None) -> str:
    """`` for 12 s``; empty if that is not known."""
    took = lasted(since, probe)
    return "" if took is None else f" for {seconds(took)}"


def stack_lines(stack: Sequence[str] | None) -> list[str]:
    """The user's own lines of a call stack, else the innermost."""
    lines = stack or ()
    own = [line for line in lines if is_own(line.partition(":")[0])]
    shown = Shown()
    return [f"at {shown.line(line)}" for line in (own or lines)[-3:]]


def doing(task: Assigned) -> list[str]:
    """Where a task is now and with which values, in a few samples if it can be had."""
    seen = task.peek()
    if seen is None or not seen.frames:
        return stack_lines(task.row["stack"])
    frames = [each for each in seen.frames if each.own] or list(seen.frames)
    lines = [f"at {_line_of(each)}" for each in frames[-3:]]
    values = [f"{name} = {cut(value.text, 60)}" for name, value in frames[-1].locals]
    if values:
        lines.append(f"at that line {several(values)}")
    if seen.samples > 1:
        from dbgkit.diagnose.peek import SAMPLED

        often = f"{seen.lines[0].samples} of {seen.samples} samples"
        where = named.place(seen.lines[0].filename, seen.lines[0].lineno)
        lines.append(f"at {where} in {often}, one every {SAMPLED[1]:g} s")
    return lines


def _line_of(frame: FrameSummary) -> str:
    text = dict(frame.source).get(frame.lineno, "").strip()
    where = f"{named.place(frame.filename, frame.lineno)} in {frame.function}"
    return f"{where}: {text}" if text else where


def run_of(task: Assigned) -> str:
    """For how long a task has run, and how long its like did."""
    end = task.end
    took = lasted(task.row["since"], task.probe)
    took = end["duration"] if took is None else took
    text = f"{show(end['key'])} has just started"
    if took is not None:
        text = f"{show(end['key'])} has been running for {seconds(took)}"
    average, prefix = end["average"], repr(end["prefix"])
    if average is None:
        return f"{text}; how long others named {prefix} take is not known"
    return f"{text}; others named {prefix} took {seconds(average)} on average"
