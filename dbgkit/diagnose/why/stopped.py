"""Tasks that wait at a ``breakpoint()`` for somebody to type something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dbgkit import advice as advised
from dbgkit.diagnose.sentences import MOST_NAMED, Words, clock, seconds, several, show
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.source.stopped import Stopped

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_live import StopForm

# The stop, and the time at the scheduler.
Waits = tuple["StopForm", float]


def find_at_breakpoint(look: Look) -> Iterator[Cause[Waits]]:
    for end in look.answer["ends"]:
        if end["code"] == "processing" and (stop := end["breakpoint"]):
            yield Cause((stop, look.answer["end"]), end, like=stop["prefix"])


def at_breakpoint(cause: Cause[Waits]) -> Words:
    workers = sorted({stop["worker"] for stop, _ in cause.parts})
    found = Stopped()
    evidence = []
    for stop, now in cause.parts[:MOST_NAMED]:
        line, source = found.line(stop["place"])
        place = f"{line}: {source}" if source else line
        evidence.append(f"{show(stop['key'])} waits at {place}")
        until = clock(stop["until"])
        since = seconds(max(0.0, now - stop["since"]))
        who = f"{stop['who']} is in it" if stop["who"] else "nobody is in it"
        evidence.append(
            f"for {since} so far; {who}; without a command it goes on by itself at "
            f"{until}"
        )
    key = cause.parts[0][0]["key"]
    return (
        f"{cause.they('is', 'are')} paused at a breakpoint on "
        f"{several(workers)}{cause.holds_up}",
        [*evidence, *cause.waiting],
        [f"{advised.call('attach', key)} enters it, where c lets it go on"],
    )
