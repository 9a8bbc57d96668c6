"""What the stand-in for a worker lacks, which is never an outcome of the task."""

from __future__ import annotations

import re

from dbgkit.errors import StandInLacks
from dbgkit.model import Failure, Run
from dbgkit.remote.common.exceptions import linked
from dbgkit.remote.common.frames import package_of, walk
from dbgkit.replays.material import Material
from dbgkit.replays.places import own_place

# What is missing, the advice, where it was requested, and whether by a P2P shuffle.
Lack = tuple[str, str, str, bool]


def lack_in(exception: BaseException | None) -> Lack | None:
    """What the task asked for and did not get, found anywhere among its causes.

    A task may put it into an error of its own, or even hide it (``from None``).
    """
    if exception is None:
        return None
    for error in linked(exception):
        if isinstance(error, StandInLacks):
            where = own_place(error) or own_place(exception)
            return error.message, error.hint, where, _asked_by_shuffle(error)
    return None


def _asked_by_shuffle(error: BaseException) -> bool:
    """Whether a frame of ``distributed/shuffle`` asked for it."""
    names = (frame.f_code.co_filename for frame, _ in walk(error.__traceback__))
    return any(
        package_of(name) == "distributed" and "shuffle" in re.split(r"[/\\]", name)
        for name in names
    )


def _hint(failure: Failure, material: Material, advice: str, by_shuffle: bool) -> str:
    """Where the task can run, if anywhere."""
    row = material.rows.get(failure.key)
    if by_shuffle or (row is not None and row.takes_part_in_p2p):
        return (
            "it is part of a P2P shuffle, which is over: nothing can run it again; if "
            "the recorder was on, a recording has what it saw"
        )
    if advice:
        return advice
    if material.link is not None:
        return "where='worker' runs it on a worker itself"
    return "give the task what it needs as an argument, or look at the recording"


def only_lacking(
    failure: Failure, material: Material, lack: Lack, runs: list[Run]
) -> str:
    """A note on a run that asked for something missing, if another run failed the same.

    Raises if there is none, as then nothing is known about the failure.
    """
    what, advice, where, by_shuffle = lack
    at = f" ({where})" if where else ""
    message = f"{failure.key!r} cannot be replayed here: {what}{at}"
    if any(run.outcome == "same" for run in runs):
        return f"further runs are left out: {message}"
    hint = _hint(failure, material, advice, by_shuffle)
    raise StandInLacks(message, hint, key=failure.key)
