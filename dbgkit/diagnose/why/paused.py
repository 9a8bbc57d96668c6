"""Causes of tasks whose workers are paused: whether these go on, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from dbgkit.diagnose.sentences import (
    MOST_NAMED,
    Words,
    seconds,
    several,
    show,
    size,
)
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.remote.common.why_words import in_use, workers_are

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import Paused
    from dbgkit.remote.common.wire_why_workers import Memory, Probe, Spilling

RETIRED = "closing_gracefully"  # the status of a worker that is being retired
RECENT = 30.0  # seconds since spilling failed: it is tried all the time, logged each 10


class Outlook(Enum):
    """Whether a paused worker goes on by itself."""

    SOON = "it goes on"
    PERHAPS = "what runs, or what somebody releases, may free memory"
    UNKNOWN = "it was not asked, or is not paused but being retired"
    NOT_SPILLING = "it could spill, but that fails"
    NEVER = "nothing that it or others do frees memory"


class PausedWorker(NamedTuple):
    """A paused worker, what it said itself, and whether it goes on."""

    worker: Paused
    probe: Probe | None
    outlook: Outlook

    @property
    def memory(self) -> Memory | None:
        return self.probe["memory"] if self.probe else None


# Some of the workers that are paused, and how many there are.
AllPaused = tuple[list[PausedWorker], int]


def find_paused(code: str) -> Callable[[Look], Iterator[Cause[AllPaused]]]:
    """Finds tasks of paused workers, of which one code is the outlook."""

    def find(look: Look) -> Iterator[Cause[AllPaused]]:
        return (each for each in _paused(look) if _code_of(each.first) == code)

    return find


def _paused(look: Look) -> Iterator[Cause[AllPaused]]:
    known = False
    for end in look.ends:
        if end["code"] == "workers-paused":
            known = True
            elsewhere = end["running"] > 0
            workers = _outlooks(look, end["paused"], elsewhere)
            yield Cause((workers, end["paused_count"]), end)
    for task in look.assigned:
        if task.stage == "paused":
            known = True
            workers = _outlooks(look, task.end["paused"], task.end["running"] > 0)
            yield Cause((workers, len(workers)), task.end)
    cluster = look.answer["cluster"] if look.whole and not known else None
    if cluster and cluster["paused_count"]:
        workers = _outlooks(look, cluster["paused"], cluster["running"] > 0)
        yield Cause((workers, cluster["paused_count"]))


def _outlooks(
    look: Look, paused: Iterable[Paused], elsewhere: bool
) -> list[PausedWorker]:
    """``elsewhere``: whether there are workers that run tasks."""
    found = []
    for worker in paused:
        probe = look.probes.get(worker["address"])
        outlook = _outlook(worker, probe, elsewhere, look.view.live)
        found.append(PausedWorker(worker, probe, outlook))
    return found


def _outlook(
    worker: Paused, probe: Probe | None, elsewhere: bool, live: bool
) -> Outlook:
    memory = probe["memory"] if probe else None
    if worker["status"] != "paused" or probe is None or memory is None:
        return Outlook.UNKNOWN
    if memory["pause"] is None:  # what Dask has not paused it does not resume
        return Outlook.NEVER
    below = (memory["used"] or 0) <= memory["pause"]
    if below and live:
        return Outlook.SOON
    if probe["executing"] or probe["seceded"]:
        return Outlook.PERHAPS
    if below:  # in a dump: a figure of the last heartbeat, from before it paused
        return Outlook.UNKNOWN
    if unmanaged(memory) > memory["pause"]:
        return Outlook.NEVER
    if memory["spill"] is not None and memory["held"]:
        if not live:
            return Outlook.UNKNOWN
        spilling = memory["spilling"]
        fails = spilling is not None and _failing(spilling)
        return Outlook.NOT_SPILLING if fails else Outlook.SOON
    return Outlook.PERHAPS if elsewhere else Outlook.NEVER


def unmanaged(memory: Memory) -> int:
    """Bytes that are no values of tasks."""
    return max(0, (memory["used"] or 0) - memory["held"])


def _code_of(paused: AllPaused) -> str:
    workers, count = paused
    outlooks = {worker.outlook for worker in workers}
    if count > len(workers) or not outlooks <= {Outlook.NOT_SPILLING, Outlook.NEVER}:
        return "workers-paused"
    return "spill-failed" if Outlook.NOT_SPILLING in outlooks else "paused-for-good"


# -- words -------------------------------------------------------------------------


def workers_paused(cause: Cause[AllPaused]) -> Words:
    found = _workers_of(cause)
    if all(worker.worker["status"] == RETIRED for worker in found):
        return _retired(cause, found)
    advice = [
        "free memory: release futures, make chunks smaller, or give workers more",
        "unmanaged memory stays until its owner frees it: restart those workers",
    ]
    outlooks = {worker.outlook for worker in found}
    if Outlook.PERHAPS in outlooks:
        advice.insert(
            0,
            "they go on by themselves only if what still runs frees enough memory as "
            "it ends",
        )
    elif Outlook.SOON in outlooks:
        advice.insert(
            0, "ask again in a while: they go on by themselves once enough is spilled"
        )
    return f"{_are(cause)} paused{_cannot_run(cause)}", _evidence(found), advice


def _retired(cause: Cause[AllPaused], found: list[PausedWorker]) -> Words:
    return (
        f"{_are(cause)} being retired{_cannot_run(cause)}",
        _evidence(found),
        [
            "a worker that is being retired starts no task: it closes once its results "
            "are on other workers, and tasks that may run elsewhere go to others",
            "submit what asks for this worker without workers=, or for another one",
            "if there is no other worker, start some: cluster.scale(n)",
        ],
    )


def paused_for_good(cause: Cause[AllPaused]) -> Words:
    found = _workers_of(cause)
    advice = ["waiting does not help: nothing that still runs frees memory there"]
    stuck = [worker for worker in found if worker.outlook is Outlook.NEVER]
    memories = [worker.memory for worker in stuck if worker.memory]
    if any(each["pause"] is None for each in memories):
        advice[0] = "waiting does not help: Dask resumes only what it has paused"
    over = [each for each in memories if _is_over(each)]
    if any(not _is_over(each) and each["pause"] for each in memories):
        advice.append("release futures that are no longer needed")
        advice.append(
            "workers that may spill would write those values to disk: remove the "
            "setting distributed.worker.memory.spill before they start"
        )
    if over:
        advice.append(
            "on Linux, what Python has freed is returned by: client.run(lambda: "
            'ctypes.CDLL("libc.so.6").malloc_trim(0))'
        )
    restart = sorted(worker.worker["address"] for worker in stuck)
    advice += [
        f"client.restart_workers({restart[:MOST_NAMED]}) frees it all: what they hold "
        "is computed again",
        "start workers with more memory, or make chunks smaller",
    ]
    summary = f"{_are(cause)} paused for good{_cannot_run(cause)}"
    return summary, _evidence(found), advice


def spill_failed(cause: Cause[AllPaused]) -> Words:
    found = _workers_of(cause)
    advice = [
        "waiting does not help: they go on only once less memory is in use, and they "
        "cannot spill"
    ]
    spilling = [
        worker.memory["spilling"]
        for worker in found
        if worker.memory and worker.memory["spilling"]
    ]
    if any(each["blocked_by"] is not None for each in spilling):
        advice.append(
            "have tasks return what can be pickled, or release the futures that hold "
            "what cannot"
        )
    if any(_is_recent(each["no_room"]) for each in spilling):
        advice.append("raise distributed.worker.memory.max-spill, or turn it off")
    failed = [each for each in spilling if _is_recent(each["not_written"])]
    if any(each["free"] is not None for each in failed):
        advice.append(
            "make room on that disk, or start workers with another --local-directory"
        )
    if any(each["free"] is None for each in failed):
        advice.append(
            "keep whatever removes that folder away from it, and restart the workers"
        )
    advice.append("or release other futures, or give workers more memory")
    summary = f"{_are(cause)} paused, and cannot spill{_cannot_run(cause)}"
    return summary, _evidence(found), advice


def _workers_of(cause: Cause[AllPaused]) -> list[PausedWorker]:
    found = {each.worker["address"]: each for part, _ in cause.parts for each in part}
    return [found[address] for address in sorted(found)]


def _are(cause: Cause[AllPaused]) -> str:
    return workers_are(max(len(_workers_of(cause)), *(n for _, n in cause.parts)))


def _cannot_run(cause: Cause[AllPaused]) -> str:
    return f"; {cause.tasks} cannot run" if cause.key is not None else ""


def _evidence(workers: list[PausedWorker]) -> list[str]:
    lines = []
    for each in workers[:MOST_NAMED]:
        used = each.memory["used"] if each.memory else each.worker["memory"]
        lines.append(in_use(each.worker, used))
        if each.memory and each.probe:
            lines += _of_memory(each.memory, each.probe, each.outlook)
    return lines


def _of_memory(memory: Memory, probe: Probe, outlook: Outlook) -> list[str]:
    if memory["pause"] is None:
        return ["it pauses for no memory: its status was set by somebody"]
    lines = [
        f"it pauses above {size(memory['pause'])}; its values take "
        f"{size(memory['held'])}, unmanaged memory {size(unmanaged(memory))}"
    ]
    running = [entry["key"] for entry in (*probe["executing"], *probe["seceded"])]
    if running:
        lines.append(f"it still runs {several(map(show, running))}")
    if outlook is Outlook.NEVER and not _is_over(memory) and memory["held"]:
        lines.append("it may not spill: distributed.worker.memory.spill is off")
    elif memory["spilling"] is not None and outlook is Outlook.NOT_SPILLING:
        lines += _of_spilling(memory["spilling"], memory["spilled"])
    elif outlook is Outlook.SOON and memory["held"] and memory["spill"]:
        lines.append("it is spilling, or about to go on")
    elif outlook is Outlook.UNKNOWN and memory["spill"] and memory["held"]:
        lines.append("it may spill; whether that works is not recorded in a dump")
    return lines


def _is_over(memory: Memory) -> bool:
    """Whether what no task's value takes is enough for it to stay paused."""
    return bool(memory["pause"]) and unmanaged(memory) > (memory["pause"] or 0)


def _is_recent(ago: float | None) -> bool:
    return ago is not None and ago < RECENT


def _failing(spilling: Spilling) -> bool:
    return spilling["blocked_by"] is not None or any(
        map(_is_recent, (spilling["no_room"], spilling["not_written"]))
    )


def _of_spilling(spilling: Spilling, spilled: int) -> list[str]:
    lines = []
    if spilling["blocked_by"] is not None:
        others = [k for k in spilling["unpicklable"] if k != spilling["blocked_by"]]
        more = f"; neither can {several(map(show, others))}" if others else ""
        lines.append(
            f"its oldest value, that of {show(spilling['blocked_by'])}, cannot be "
            f"pickled, so that nothing is spilled{more}"
        )
    if spilling["no_room"] is not None and _is_recent(spilling["no_room"]):
        most = spilling["most"]
        limit = f" of {size(most)}" if most else ""
        lines.append(f"max-spill{limit} is reached: {size(spilled)} are on disk")
    if spilling["not_written"] is not None and _is_recent(spilling["not_written"]):
        free, folder = spilling["free"], spilling["folder"]
        disk = "which is gone" if free is None else f"whose disk has {size(free)} free"
        lines += [
            f"it last failed to write {seconds(spilling['not_written'])} ago to "
            f"{folder}, {disk}",
            'the error is in its standard error ("Spill to disk failed")',
        ]
    return lines
