"""Why a task of a P2P shuffle failed: Dask's own exception only names the phase."""

from __future__ import annotations

import re
from typing import Any

from ..common.pickles import Raised, raised_from

P2P = "RuntimeError('P2P "  # the text of each failure of a shuffle begins so
BARRIER = "shuffle-barrier-"  # distributed/shuffle/_core.py, barrier_key
_FUNCTION = re.compile(r", in (\w+)$", re.MULTILINE)
# Of ShuffleRun, in the same file, and of ShardsBuffer (_buffer.py): they raise again
# what was raised as another partition was sent, received or written.
_NOT_ITS_OWN = {"_write_to_comm", "flush_receive", "raise_if_closed", "inputs_done"}
# What Arrow raises of columns that are of one type here, and of another there.
_TYPES = ("ArrowTypeError(", "ArrowInvalid(")
# Of handle_transfer_errors, handle_unpack_errors and p2p_barrier, all three there too.
_FAILED = re.compile(r"P2P (?P<id>\S+) failed during (?P<phase>\w+) phase")


def phase_of(text: str | None) -> str:
    """``"transfer"``, ``"barrier"`` or ``"unpack"``; empty for any other exception.

    >>> phase_of("RuntimeError('P2P 3f failed during transfer phase')")
    'transfer'
    """
    text = text or ""
    if not text.startswith((P2P, "P2P ")):
        return ""
    found = _FAILED.search(text[:1_000])
    return found["phase"] if found else ""


# Where a partition of a merge comes out (distributed/shuffle/_merge.py): that adds no
# exception of Dask's own.
_MERGES = re.compile(
    r"distributed[/\\]shuffle[/\\]_merge\.py\", line \d+, in merge_unpack"
)


def phase_in(text: str | None, frames: str | None) -> str:
    """As `phase_of`, also of what came out of a merge, which only its frames show."""
    return phase_of(text) or ("unpack" if _MERGES.search(frames or "") else "")


def is_barrier(key: Any) -> bool:
    """Whether a key is that of a P2P shuffle's barrier."""
    return isinstance(key, str) and key.startswith(BARRIER)


def went_in(ts: Any, text: str | None, frames: str | None) -> int:
    """How many partitions went into the shuffle that a task failed in; 0: unknown.

    Of a merge, those of both sides.
    """
    phase = phase_in(text, frames)
    if not phase:
        return 0
    near = {"transfer": ts.dependents, "unpack": ts.dependencies}.get(phase, [ts])
    return sum(len(each.dependencies) for each in near if is_barrier(each.key))


def where_in_shuffle(phase: str, text: str, frames: str, count: int) -> str:
    """Where in a shuffle it failed, and whether the partition that caused it is known.

    The text and the frames, as lines of a traceback, are those of what it was raised
    from; the count is as of `went_in`.
    """
    its_own = _NOT_ITS_OWN.isdisjoint(_FUNCTION.findall(frames))
    if phase == "transfer" and its_own:
        return "it failed while this partition was sent into a P2P shuffle"
    if phase == "unpack" and its_own:
        where = "it failed while this partition was built from a P2P shuffle"
    elif phase == "barrier":
        where = "it failed between the two halves of a P2P shuffle"
    else:
        where = "it failed while workers received each other's shards in a P2P shuffle"
    of = f"of the {count:,} partitions" if count > 1 else "of the partitions"
    where += f"; Dask does not report which {of} that went in caused the mismatch"
    if text.startswith(_TYPES):
        where += (
            ": dask.compute([part.dtypes for part in frame.to_delayed()]) shows the "
            "types of each, if `frame` is what was shuffled"
        )
    return where


def cause_in_shuffle(text: str | None, exception: Any) -> Raised | None:
    """What a task of a P2P shuffle was raised from: the first of its chain.

    By ``TaskState.exception`` and its text.
    """
    chain = raised_from(exception) if phase_of(text) else ()
    return next((each for each in chain if not phase_of(each.text)), None)


def as_text(raised: Raised) -> str:
    """Frames as the lines of a traceback, without their source."""
    return "".join(
        f'  File "{filename}", line {line}, in {name}\n'
        for filename, line, name in raised.frames
    )
