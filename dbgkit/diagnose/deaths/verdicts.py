"""The verdict on a worker's end: no more than the evidence shows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbgkit.diagnose.sentences import seconds
from dbgkit.remote.common.endings import (
    NO_REPORT,
    UNREADABLE,
    box_of,
    how_ended,
    signal_name,
    used_by,
)

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_deaths import DeathForm, LoggedForm, NannyReport

# Reasons of Worker.close and Nanny.close (distributed/worker.py, nanny.py). The command
# ``dask worker`` gives the signal that it was sent (distributed/cli/dask_worker.py).
_SENT = re.compile(r"^signal-(\d+)$")
# What is logged of it without a nanny (distributed/_signals.py).
_RECEIVED = re.compile(r"^distributed\._signals: Received signal \w+ \((\d+)\)")
# distributed.protocol.core.loads; the stream of messages, and the worker with it, ends.
_UNPICKLED = re.compile(
    r"^distributed\.protocol\.core: Failed to deserialize \((.+)\)$", re.DOTALL
)
_NO_REASON = "worker-close"  # the default
# By which it lost its scheduler.
_LOST = ("connection-broken", "worker-heartbeat", "no heartbeat within")
_HARD = "fail-hard"  # distributed.worker.fail_hard: a fault in the worker itself
_CRASHES = {  # what faulthandler calls a signal
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}
KILL = 9  # Windows has no signal.SIGKILL


@dataclass
class Verdict:
    """A code, its wording (``… was killed``), and the evidence."""

    code: str
    words: str
    evidence: list[str] = field(default_factory=list)
    exit_code: int | None = None
    signal: str = ""


def judge(fact: DeathForm) -> Verdict:
    """The verdict on one worker, from what is known about its end."""
    report = fact["report"] or NO_REPORT
    code = report.get("code")
    ending = _ending(code)
    verdict = (
        _over_limit(fact)
        or _out_of_memory(fact, report)
        or _raised(fact)
        or _by_line(fact)
        or _lost(fact)
        or _closed_by_itself(fact)
        or _closed(fact)
        or _ended(report, ending)
        or _crashed(fact)
        or _unknown(fact)
    )
    if code is not None:
        verdict.evidence += [ending] if ending not in verdict.evidence else []
        verdict.exit_code = code if 0 <= code != UNREADABLE else None
        verdict.signal = signal_name(-code) if code < 0 else ""
    return verdict


def _ending(code: int | None) -> str:
    if code is None:
        return ""
    if code == UNREADABLE:
        return "its process ended with status 255, or its exit status was lost"
    if code < 0:
        return f"its process was ended by signal {-code} ({signal_name(-code)})"
    return f"its process ended with status {code}"


def _over_limit(fact: DeathForm) -> Verdict | None:
    used = used_by(fact)
    if not used:
        return None
    return Verdict(
        "out-of-memory",
        f"was ended by its nanny: it used {used} of memory",
        [f"its memory was {used} as its nanny sent it SIGTERM"],
    )


def _out_of_memory(fact: DeathForm, report: NannyReport) -> Verdict | None:
    """The kernel's out-of-memory killer, if its count rose just then."""
    kills = report.get("kills") or {}
    if report.get("code") != -KILL or fact["reason"]:
        return None
    for where, place in (("cgroup", "of its control group"), ("host", "of its host")):
        if kills.get(where, 0) > 0:
            evidence = (
                f"the kernel's count of out-of-memory kills {place} rose by "
                f"{kills[where]} within the second in which it ended"
            )
            killed = "was killed by the system as memory ran out"
            return Verdict("out-of-memory", killed, [evidence])
    return None


def _raised(fact: DeathForm) -> Verdict | None:
    """What a task raised that Dask does not take for a failure."""
    box = box_of(fact)
    raised = [task["raised"] for task in box["tasks"] if task["raised"]] if box else []
    if not raised or (box and box.get("alive")):
        return None
    kind = raised[0].partition(":")[0]
    return Verdict(
        "exit",
        f"ended because a task raised {raised[0]}",
        [f"a task raised {kind}: Dask ends the worker, instead of failing the task"],
    )


def _by_line(fact: DeathForm) -> Verdict | None:
    """What Dask has logged just before it closed a worker, or let it end.

    Pinned by tests/test_deaths_contract.py.
    """
    if fact["expected"] or fact["restarted"]:
        return None
    for line in logged_by(fact)[::-1]:
        if found := _UNPICKLED.match(line["text"]):
            return Verdict(
                "exit",
                f"closed because it could not unpickle what it was sent: {found[1]}",
                [
                    f"it logged {line['text']!r}; something that is missing there, or "
                    "of another version, is the usual reason"
                ],
            )
        if found := _RECEIVED.match(line["text"]):
            return _sent_signal(int(found[1]), f"it logged {line['text']!r}")
    return None


def logged_by(fact: DeathForm) -> list[LoggedForm]:
    """What its process logged, whoever says so; the oldest first."""
    box = box_of(fact)
    return list(box["logged"] if box is not None else fact["logged"] or ())


def _sent_signal(number: int, evidence: str) -> Verdict:
    name = signal_name(number)
    why = (
        "Ctrl-C in its terminal sends that"
        if name == "SIGINT"
        else "batch systems, Kubernetes and clouds send that to what they end"
    )
    words = f"ended because its process was sent {name}"
    return Verdict("signal", words, [f"{evidence}: {why}"], signal=name)


def _lost(fact: DeathForm) -> Verdict | None:
    reason = fact["reason"]
    if any(part in reason for part in _LOST) or "worker-ttl" in fact["stimulus"]:
        unseen = fact["unseen"]
        evidence = [f"the reported reason: {reason or fact['stimulus']}"]
        if unseen is not None:
            evidence.append(f"its last heartbeat was {seconds(unseen)} before")
        return Verdict("lost-connection", "lost its connection", evidence)
    box = fact.get("box")
    if box is not None and box.get("alive"):
        return Verdict(
            "lost-connection",
            "lost its connection",
            ["its process is still running, though the scheduler has lost it"],
        )
    return None


def _closed_by_itself(fact: DeathForm) -> Verdict | None:
    """A worker that closed in good order, though nobody of its cluster wanted it to."""
    reason = fact["reason"]
    if fact["expected"] or fact["restarted"]:
        return None
    sent = _SENT.match(reason)
    if sent:
        return _sent_signal(int(sent[1]), f"it gave the reason {reason!r}")
    if reason == _NO_REASON:
        evidence = (
            "code in its process called its close(), as the end of `async with "
            "Worker(...)` does, or the process was interrupted (SIGINT)"
        )
        return Verdict("exit", "closed itself without giving a reason", [evidence])
    return None


def _closed(fact: DeathForm) -> Verdict | None:
    reason, evidence = fact["reason"], []
    if fact["expected"]:
        evidence.append("the scheduler expected it to close")
    if fact["restarted"]:
        evidence.append("a client requested its restart")
    if reason and _HARD in reason:
        return Verdict(
            "exit",
            "closed itself after an internal error",
            [f"it gave the reason {reason!r}"],
        )
    if reason:
        evidence.append(f"it reported that it was closing, for the reason {reason!r}")
    if not evidence:
        return None
    words = "was restarted on purpose" if fact["restarted"] else "was closed on purpose"
    return Verdict("closed-on-purpose", words, evidence)


def _ended(report: NannyReport, ending: str) -> Verdict | None:
    code = report.get("code")
    if code is None or code == UNREADABLE:
        return None
    if code < 0:
        return Verdict("signal", how_ended(code), [ending])
    if code:
        return Verdict("exit", how_ended(code), [ending])
    if report.get("closed"):
        return Verdict(
            "lost-connection",
            "lost its connection, and closed",
            [ending, "it closed normally, but the scheduler was not notified"],
        )
    if report.get("box"):
        return Verdict(
            "exit",
            how_ended(code),
            [ending, "it did not close normally: something in it ended the process"],
        )
    return None


def _crashed(fact: DeathForm) -> Verdict | None:
    """A crash without a reported exit code, of which Python wrote the stack."""
    stack = stack_of(fact)
    name = _crash_of(stack)
    if not name:
        return None
    first = stack.partition("\n")[0]
    evidence = [f"Python wrote before it ended: {first}"]
    return Verdict("signal", f"crashed ({name})", evidence, signal=name)


def _crash_of(stack: str) -> str:
    """The signal of a crash, from what Python wrote about it."""
    first = stack.partition("\n")[0]
    return next((name for words, name in _CRASHES.items() if words in first), "")


def stack_of(fact: DeathForm) -> str:
    """What Python wrote about a crash, if that crash ended the process.

    A forked child of the process writes into the same file.
    """
    report = fact["report"] or NO_REPORT
    box = box_of(fact)
    stack = box["stack"] if box else ""
    name, code = _crash_of(stack), report["code"]
    if not name or code is None or code == UNREADABLE:
        return stack
    if code < 0:
        return stack if signal_name(-code) == name else ""
    # Windows has no forks, and statuses of its own for a crash: 3, and large ones.
    return stack if code == 3 or code > UNREADABLE else ""


def _unknown(fact: DeathForm) -> Verdict:
    evidence = []
    if "handle-worker-cleanup" in fact["stimulus"]:
        evidence.append("its connection to the scheduler broke without notice")
    box = fact.get("box")
    if box is not None:
        evidence.append("its process is no longer running")
    if fact["nanny"] and fact["report"] is None:
        evidence.append("its nanny reported nothing: it may have died too")
    elif fact["pid"] and not fact["nanny"]:
        evidence.append("it had no nanny to report its exit status")
    return Verdict("unknown", "went away for an unknown reason", evidence)
