"""Wire forms of ``why``: what keeps an event loop from running."""

from __future__ import annotations

from typing import TypedDict

from .wire import Count, Number


class Usage(TypedDict):
    """``common.processes.usage``: what a process did within some seconds.

    Shares of a core: of the thread of the event ``loop``, of the busiest ``other``
    (``thread`` is its id), of all. None is not known.
    """

    status: str
    seconds: Number
    loop: Number | None
    other: Number
    thread: Count | None
    total: Number
    swapped: Count | None
    faults: Number | None  # pages read from disk, a second
    load: Number | None  # processes that want to run, for each processor


class LoopForm(TypedDict):
    """``scheduler.why_late.look_at_loop``: samples of the thread of an event loop.

    ``busy`` are those in which it ran something; ``gil`` is the share of time for
    which ``gilknocker`` could not get the GIL.
    """

    samples: Count
    busy: Count
    stack: list[str]  # the most frequent one
    other: str  # name of the busiest thread besides it
    other_stack: list[str]
    usage: Usage | None
    gil: Number | None
