"""Asking why, live and from a dump of the same moment."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import Any

from watching import wait_until

import dbgkit

# What no dump holds: call stacks, times of failures, who waits, futures of the client,
# what nannies see.
_LIVE_ONLY = re.compile(
    r"^(at |the longest, |\d+ wait for |the future here |as the scheduler sees it: |"
    r"its process: |its machine |what its process )"
)

# A dump knows of tasks that are still known only.
_OTHERS = re.compile(r"; (others named .* on average|how long others .* not known)$")


@contextmanager
def flag(tmp_path: Any) -> Any:
    """A path at which a file appears at the end: tasks that wait for it go on."""
    path = tmp_path / "go"
    try:
        yield str(path)
    finally:
        path.touch()


def why_until(cause: Any, target: Any = None, **options: Any) -> Any:
    """Ask until the cause is this one, as tasks take a while to get there."""
    last: list[Any] = []

    def matches() -> Any:
        last[:] = [dbgkit.why(target, **options)]
        return last[0].cause == cause

    try:
        wait_until(matches, cause, 60)
    except AssertionError:
        raise AssertionError(f"not {cause!r} but {last[0]}") from None
    return last[0]


def from_dump(client: Any, tmp_path: Any, target: Any = None) -> Any:
    """The same question to a dump taken now."""
    path = str(tmp_path / "dump")
    client.dump_cluster_state(path)
    return dbgkit.why(target, view=f"{path}.msgpack.gz")


def plain(lines: Any) -> Any:
    """Lines without numbers, and without what no dump holds."""
    return [
        re.sub(r"\d+(\.\d+)?( ([kMG]i)?B| min| s)?", "#", _OTHERS.sub("", line))
        for line in lines
        if not _LIVE_ONLY.match(line)
    ]


def same_words(live: Any, dumped: Any) -> None:
    """Assert that a dump is told in the words of the live cluster, and is marked."""
    assert dumped.cause == live.cause
    assert dumped.summary == live.summary
    assert (dumped.key, dumped.chain) == (live.key, live.chain)
    assert plain(dumped.evidence) == plain(live.evidence)
    where = re.compile(r"(, )?(client|view)='[^']*'")
    told, live_told = (
        [where.sub("", t) for t in each.advice] for each in (dumped, live)
    )
    assert told == live_told
    others = [plain(o.summary for o in each.others) for each in (dumped, live)]
    assert others[0] == others[1], others
    assert any("from a dump" in note for note in dumped.notes)
    assert not any("from a dump" in note for note in live.notes)


def codes(explanation: Any) -> Any:
    """All causes, the first one first; of a chain what holds up its end, too."""
    first = [explanation.cause]
    if explanation.because:
        first.append(explanation.because)
    return [*first, *(other.cause for other in explanation.others)]
