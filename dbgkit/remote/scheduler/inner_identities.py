"""What identifies a task that another one submitted: its text, and its own frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..common.frames import is_machinery, parse_traceback
from ..common.pickles import Frame, pickle_of, raised_from
from ..common.texts import COMPARED

READ = 20_000  # characters of a traceback that are read
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
# Where an exception of a future is raised in whoever waits for it.
_WAITS = re.compile(
    r"distributed[/\\](?:client|utils|cfexecutor|worker_client)\.py$"
    r"|[/\\]concurrent[/\\]futures[/\\]_base\.py$"
)
# `dask.compute` may have run here as well, under a scheduler of the process.
_COMPUTES = re.compile(r"dask[/\\]base\.py$")
_MARKS = (b"distributed.client", b"dask.base", b"concurrent.futures")


@lru_cache(maxsize=256)
def _parsed(frames: str) -> tuple[Frame, ...]:
    return tuple(parse_traceback(frames))  # those of one kind have one text


class Identity(NamedTuple):
    """What a task is known by to another one that waited for it."""

    text: str
    frames: tuple[Frame, ...]
    sure: bool  # False where it may not have been a task of the cluster


def compared(text: str) -> str:
    """A text as it is compared: an object has another address in each process."""
    text = text[:COMPARED]
    return _ADDRESS.sub("0x#", text) if "0x" in text else text


def own_frames(frames: Iterable[Frame]) -> tuple[Frame, ...]:
    """Without Dask's frames, of which some are cut out here and others there."""
    return tuple(frame for frame in frames if not is_machinery(frame[0]))


def identities(
    text: str | None, frames: str | None, exception: Any = None
) -> tuple[Identity, ...]:
    """Identities of tasks that a failed one may have waited for.

    By the scheduler's texts of it, and by ``TaskState.exception``, which has the
    exceptions that it was raised from.
    """
    found = list(identities_of_texts(text, frames))
    data = pickle_of(exception)
    if any(mark in data for mark in _MARKS):
        for raised in raised_from(exception):
            found += _behind_waits(raised.text, raised.frames)
    return tuple(dict.fromkeys(found))


def identities_of_texts(text: str | None, frames: str | None) -> tuple[Identity, ...]:
    """`identities` of the texts alone; those of the latest texts are kept."""
    if not text or not frames:
        return ()
    return _of_texts(text[:COMPARED], frames[-READ:])


@lru_cache(maxsize=256)
def _of_texts(text: str, frames: str) -> tuple[Identity, ...]:
    if "distributed" not in frames and "dask" not in frames:
        return ()
    return tuple(dict.fromkeys(_behind_waits(text, _parsed(frames))))


def of_chain(
    raised: Iterable[tuple[str, Sequence[Sequence[Any]], bool]],
) -> tuple[Identity, ...]:
    """`identities` out of the texts and frames of exceptions that a client has.

    Behind a wait of the client itself is the task that failed, not one that this had
    submitted: another task may have failed in the same way before.
    """
    found: list[Identity] = []
    for text, frames, waited_here in raised:
        places = tuple((str(f), int(n), str(name)) for f, n, name in frames)
        each = list(_behind_waits(text, places))
        found += each[1:] if waited_here else each
    return tuple(dict.fromkeys(found))


def _behind_waits(text: str, frames: tuple[Frame, ...]) -> Iterator[Identity]:
    """Identities of the tasks behind each wait, the nearest first."""
    text = compared(text)
    behind: tuple[Frame, ...] | None = None
    for index, (filename, _, _) in enumerate(frames):
        sure = _WAITS.search(filename) is not None
        if (sure or _COMPUTES.search(filename)) and not _waits(frames, index + 1):
            own = own_frames(frames[index + 1 :])
            behind = own if behind is None else behind
            yield Identity(text, own, sure)
    # Of waits further in, Dask cuts the frames out as it raises the exception again.
    for index in range(1, len(behind or ())):
        yield Identity(text, (behind or ())[index:], False)


def _waits(frames: tuple[Frame, ...], index: int) -> bool:
    """Whether the next frame belongs to the same wait."""
    if index >= len(frames):
        return False
    filename = frames[index][0]
    return bool(_WAITS.search(filename) or _COMPUTES.search(filename))


def texts_of(handed: Iterable[Iterable[Identity]]) -> set[str]:
    """The texts that some failures may have received."""
    return {each.text for identities in handed for each in identities}
