"""Workers that do not answer, and a scheduler that is late: what keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dbgkit.diagnose.sentences import (
    MOST_NAMED,
    Words,
    counted,
    seconds,
    several,
    size,
)
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.diagnose.why.reach import of_reach, reach_advice
from dbgkit.diagnose.why.threads import stack_lines
from dbgkit.remote.common.why_words import LATE

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why_late import LoopForm, Usage
    from dbgkit.remote.common.wire_why_workers import Reach

# Of what its process uses: a thread that runs all the time. Others may use the machine.
MOST = 0.8
IDLE = 0.05  # of a core
BUSY = 0.3  # of a core, on a machine that has no more to do than it can
LOADED = 2.0  # processes for each processor: each gets half of what it wants
SWAPPING = 20.0  # pages a second that are read from disk
_OVER = ("finished", "failed", "cascaded", "released")


class Silent(NamedTuple):
    """A worker that does not answer, since when, how many tasks it has.

    And how far the scheduler gets to it, what its process does; if known.
    """

    worker: str
    age: float
    tasks: int | None
    reach: Reach | None
    usage: Usage | None


def find_not_answering(look: Look) -> Iterator[Cause[Silent]]:
    for task in look.assigned:
        if task.stage == "silent" and not task.end["joining"]:
            end, worker = task.end, task.end["worker"]
            silent = _silent(look, worker, end["age"], end["processing"])
            others = {worker: max(0, end["processing"] - 1)}
            yield Cause(silent, end, besides=others)
    assigned = {task.end["worker"] for task in look.assigned}
    cluster = look.answer["cluster"] if look.whole else None
    for quiet in cluster["quiet"] if cluster else ():
        address = quiet["address"]
        answers = look.answer["answering"].get(address, False)
        if address not in assigned and answers is False:
            yield Cause(_silent(look, address, quiet["age"], None))


def _silent(look: Look, worker: str, age: float, tasks: int | None) -> Silent:
    reach = look.answer["reach"].get(worker)
    return Silent(worker, age, tasks, reach, look.processes.get(worker))


def not_answering(cause: Cause[Silent]) -> Words:
    by_worker: dict[str, Silent] = {}
    for part in cause.parts:
        by_worker.setdefault(part.worker, part)
    does = "does" if len(by_worker) == 1 else "do"
    evidence = []
    for worker, age, tasks, reach, usage in [*by_worker.values()][:MOST_NAMED]:
        heard = f"{worker}: last heard from {seconds(age)} ago"
        if tasks is not None:
            heard += f", {counted(tasks, 'task')} assigned to it"
        evidence += [heard, *of_reach(reach)]
        if usage is not None:
            evidence += [f"its process: {_of_process(usage)}", *_loaded(usage)]
        else:
            evidence.append(
                "what its process does is not known: its nanny, if it has one, has not "
                "said"
            )
    reached = {each.worker: each.reach for each in by_worker.values() if each.reach}
    return (
        f"{several(sorted(by_worker))} {does} not answer",
        evidence,
        [
            *reach_advice(by_worker, reached),
            "client.restart_workers([address]) restarts it, and its tasks go to "
            "other workers",
        ],
    )


def _of_process(usage: Usage) -> str:
    """What keeps the event loop of a worker that does not answer, seen from outside."""
    if usage["status"] in ("stopped", "tracing-stop"):
        return "it is stopped, by a signal or a debugger"
    if usage["status"] in ("zombie", "dead"):
        return "it has ended"
    if text := _swapping(usage):
        return text
    share = _share(usage["loop"])
    if _is_busy(usage["loop"], usage):
        return (
            f"the thread of its event loop is busy ({share} of a core): with something "
            "that runs in the loop itself, as async tasks and plugins do, and the "
            "unpickling of tasks"
        )
    if _is_busy(usage["other"], usage):
        return (
            f"a thread besides that of its event loop is busy "
            f"({_share(usage['other'])} of a core), and the loop gets no turn: most "
            "likely that thread runs C code that does not release the GIL"
        )
    if usage["total"] < IDLE:
        return (
            f"it uses no processor time ({_share(usage['total'])} of a core): its "
            "event loop waits in a call that blocks, or a thread holds the GIL as it "
            "waits; from outside that cannot be told apart"
        )
    return (
        f"its threads use {_share(usage['total'])} of a core, its event loop {share}: "
        "what keeps it cannot be told from that"
    )


def _is_busy(share: float | None, usage: Usage) -> bool:
    """Whether it is one thread that uses the processor time of a process, and much."""
    least = BUSY / max(1.0, usage["load"] or 1.0)
    return (share or 0.0) >= max(least, MOST * usage["total"])


def _swapping(usage: Usage) -> str:
    """Whether a process is kept by reading pages from disk."""
    faults, swapped = usage["faults"], usage["swapped"]
    waits = usage["status"] == "disk-sleep" and bool(swapped)
    if faults is None or not (faults >= SWAPPING or waits):
        return ""
    text = f"it reads {faults:.0f} pages a second from disk"
    if swapped:
        return f"it swaps: {text}, {size(swapped)} of its memory are swapped out"
    return f"{text}: memory is short on its machine"


def _loaded(usage: Usage) -> list[str]:
    """Whether others keep the machine busy."""
    load = usage["load"]
    if load is None or load < LOADED:
        return []
    return [f"its machine is overloaded: {load:.1f} processes for each processor"]


def _share(share: float | None) -> str:
    return "an unknown share" if share is None else f"{share * 100:.0f} %"


# A scheduler that is late, by so many seconds, and what its event loop does.
Late = tuple[float, "LoopForm | None"]


def find_overloaded(look: Look) -> Iterator[Cause[Late]]:
    late = look.answer["late"]
    waiting = any(
        end["code"] not in _OVER or look.lack_of(end) or look.unread_of(end)
        for end in look.answer["ends"]
    ) or any(look.unknown(lost=True))
    if late is not None and late > LATE and (look.whole or waiting):
        yield Cause((late, look.answer["loop"]))


def overloaded(cause: Cause[Late]) -> Words:
    late, loop = cause.first
    evidence = [f"its event loop is {late * 1000:.0f} ms late"]
    advice = ["make fewer, larger tasks; keep big objects out of the graph"]
    if loop is not None:
        evidence += _of_loop(loop)
        advice.append("see that what is shown does not run in the scheduler's loop")
    else:
        advice.append(
            "check for code that runs on the scheduler: plugins, run_on_scheduler"
        )
    return "the scheduler is overloaded", evidence, advice


def _of_loop(loop: LoopForm) -> list[str]:
    """What an event loop does, as another thread of its process saw it."""
    usage = loop["usage"]
    evidence = []
    if usage is not None and (text := _swapping(usage)):
        evidence.append(f"its process: {text}")
    if usage is not None:
        evidence += _loaded(usage)
    if loop["gil"] is not None:
        evidence.append(f"the GIL was taken for {_share(loop['gil'])} of the time")
    share = usage["loop"] if usage is not None else None
    samples = f"in {loop['busy']} of {loop['samples']} samples"
    if usage is not None and _is_busy(usage["other"], usage):
        return [
            *evidence,
            f"thread {loop['other']!r} of its process is busy "
            f"({_share(usage['other'])} of a core), and holds the GIL when the loop "
            "wants it",
            *stack_lines(loop["other_stack"]),
        ]
    if loop["busy"] * 2 < loop["samples"]:
        return [*evidence, "it was idle as it was looked at: nothing keeps it any more"]
    if share is not None and share < IDLE:
        return [
            *evidence,
            f"it waits in a call that blocks, {samples}",
            *stack_lines(loop["stack"]),
        ]
    return [
        *evidence,
        f"it is busy itself ({_share(share)} of a core), {samples}",
        *stack_lines(loop["stack"]),
    ]
