"""What is said, in human words: sizes, counts, places, outcomes."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from dbgkit.model import (
    Failure,
    Origin,
    Replay,
    Run,
)
from dbgkit.remote.common.frames import package_of
from dbgkit.remote.common.texts import in_line, visible
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.source import places

MESSAGE_LIMIT = 1_500
MESSAGE_LINES = 12
# How an exception follows from the one before.
FOLLOWS = {
    "cause": "raised from",
    "context": "raised while handling",
    "member": "sub-exception",
}


def size(nbytes: float | None) -> str:
    """Bytes in the unit that suits them: ``"1.2 GiB"``."""
    if nbytes is None:
        return "size unknown"
    value = float(nbytes)
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:,.{0 if units[0] == 'bytes' else 1}f} {units[0]}"


def count(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun: ``"1 task"``, ``"2,000 tasks"``."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def seconds(value: float) -> str:
    """A time span: ``"12 ms"``, ``"3.4 s"``, ``"2 min 5 s"``."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 100:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"


def moment(when: datetime | None) -> str:
    """A point in time, to the second, in UTC."""
    if when is None:
        return ""
    return when.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def key_text(key: Any) -> str:
    """A key as one would type it, in one line; secrets hidden."""
    plain = isinstance(key, str) and key.isprintable() and key != ""
    return redact_text(key if plain else repr(key))


def clip(text: str, chars: int = MESSAGE_LIMIT, lines: int = MESSAGE_LINES) -> str:
    """A text within limits; what was left out is counted."""
    text = visible(text)
    kept = text[:chars]
    rows = kept.split("\n")
    if len(rows) > lines:
        kept = "\n".join(rows[:lines])
    left = len(text) - len(kept)
    return f"{kept}… ({left:,} more characters)" if left else text


def said(exception_type: str, message: str, chars: int = MESSAGE_LIMIT) -> str:
    """``type: message``, as a traceback ends; secrets hidden."""
    told = clip(redact_text(message[: chars * 3]) + message[chars * 3 :], chars)
    kind = in_line(exception_type)
    return f"{kind}: {told}" if told else kind


def came_from(origins: Iterable[Origin]) -> tuple[str, ...]:
    """Where values came from, a line each."""
    return tuple(clip(one.text, 600, 1) for one in origins)


def place(filename: str, lineno: int) -> str:
    """A file and line, as short as one can still open it."""
    return in_line(
        places.place(
            filename if places.cell_name(filename) else _short(filename), lineno
        )
    )


def _short(filename: str) -> str:
    if package_of(filename):
        # Where it is installed says nothing: pandas/core/frame.py
        return re.split(r"[/\\](?:site|dist)-packages[/\\]", filename)[-1]
    here = os.path.join(_directory(), "")
    return filename[len(here) :] if filename.startswith(here) else filename


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return os.sep


# --- outcomes -----------------------------------------------------------------


def verdict(replay: Replay, returned: str = "") -> str:
    """One honest sentence on what the replay came to."""
    if len(replay.runs) > 1:
        return _several(replay)
    run = main_run(replay)
    where = place_of(replay)
    time = f" ({seconds(run.seconds)})" if run.seconds else ""
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
    told = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common(6))
    rest = f", {len(kinds) - 6:,} other kinds" if len(kinds) > 6 else ""
    rest += f", {passed:,} passed" if passed else ""
    return (
        f"{replay.outcome}: failed {failed:,} of {total:,} times {where}: {told}{rest}"
    )


def _kind(run: Run) -> str:
    if run.outcome == "different":
        but = f", {run.detail.partition(':')[0]}" if run.detail else ""
        return f"different ({said(run.exception_type, run.message, 100)}{but})"
    if run.outcome == "died":
        return f"died ({redact_text(run.detail.strip())[:100]})"
    return {"timeout": "timed out"}.get(run.outcome, run.outcome)


def origin(failure: Failure) -> str:
    """Where a failure was, in one line; empty where that is not known."""
    pieces = [failure.worker] if failure.worker else []
    if failure.killed and failure.worker:
        pieces = [f"{failure.worker}, which it killed"]
    elif failure.killed:
        pieces = ["killed its worker"]
    if failure.found_in == "meta":
        pieces.append("on the client, on made-up data (meta inference)")
    if failure.found_in == "local":
        pieces.append("in this process, without a cluster")
    if failure.when is not None:
        pieces.append(moment(failure.when))
    if failure.attempts > 1:
        pieces.append(f"tried {failure.attempts:,} times")
    return in_line(" · ".join(pieces))
