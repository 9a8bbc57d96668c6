"""The outcome of a replay, in one honest sentence."""

from __future__ import annotations

from collections import Counter

from dbgkit.model import Replay, Run
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render.words import clip, duration, said


def verdict(replay: Replay, returned: str = "") -> str:
    """The outcome, with what led to it."""
    if len(replay.runs) > 1:
        return _several(replay)
    run = main_run(replay)
    where = place_of(replay)
    time = f" ({duration(run.seconds)})" if run.seconds else ""
    if replay.plan.times == 0:
        return "same: it is the failure itself, whose frames are still alive"
    if replay.outcome == "same":
        return f"same: failed {where} in the same way{time}"
    if replay.outcome == "different":
        before = said(replay.failure.exception_type, replay.failure.message, 200)
        now = said(run.exception_type, run.message, 200)
        if run.detail:
            what = clip(redact_text(run.detail), 500, 2)
            return f"different: failed {where} with {now} as before, but {what}{time}"
        return f"different: failed before with {before}; {where} with {now}{time}"
    if replay.outcome == "passed":
        result = f"; it returned {returned}" if returned else ""
        return f"passed: did not fail {where}{time}{result}"
    if replay.outcome == "died":
        if replay.where == "worker":
            return f"died: the worker that ran it died{_detail(run)}"
        died = "died, as the worker did" if replay.failure.killed else "died"
        return f"died: the process that ran it {died}{_detail(run)}{time}"
    if replay.where == "worker":
        return f"timeout: it was not finished in time {where}{_detail(run)}"
    return f"timeout: it was not finished in time, and was stopped{_detail(run)}"


def place_of(replay: Replay, several: bool = False) -> str:
    """Where a replay ran: ``"here"``, ``"on worker tcp://10.0.0.7:4001"``."""
    if replay.where == "here":
        return "here"
    if replay.where == "worker":
        return f"on worker {replay.plan.worker}"
    return "in processes of their own" if several else "in a process of its own"


def main_run(replay: Replay) -> Run:
    """The run that gave the outcome."""
    for run in replay.runs:
        if run.outcome == replay.outcome:
            return run
    return Run(replay.outcome)


def _detail(run: Run) -> str:
    detail = run.detail.strip().split("\n")[0]
    return f": {redact_text(detail)}" if detail else ""


def _several(replay: Replay) -> str:
    total = len(replay.runs)
    failed = total - replay.tally.get("passed", 0)
    where = place_of(replay, several=True)
    if not failed:
        return f"passed: did not fail in {total:,} runs {where}"
    kinds = Counter(_kind(run) for run in replay.runs)
    passed = kinds.pop("passed", 0)
    each = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common(6))
    rest = f", {len(kinds) - 6:,} other kinds" if len(kinds) > 6 else ""
    rest += f", {passed:,} passed" if passed else ""
    return (
        f"{replay.outcome}: failed {failed:,} of {total:,} times {where}: {each}{rest}"
    )


def _kind(run: Run) -> str:
    if run.outcome == "different":
        but = f", {run.detail.partition(':')[0]}" if run.detail else ""
        return f"different ({said(run.exception_type, run.message, 100)}{but})"
    if run.outcome == "died":
        return f"died ({redact_text(run.detail.strip())[:100]})"
    return {"timeout": "timed out"}.get(run.outcome, run.outcome)
