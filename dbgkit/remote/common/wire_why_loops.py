"""Wire forms of ``why``: tasks that are run again and again."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .wire import Count, Key, Moment, Number


class Retrier(TypedDict):
    """A client that has failed tasks run again, and how often it did."""

    client: str
    times: Count


class Loop(TypedDict):
    """``scheduler.why_loops``: a task that is run again and again.

    Attempts that ``failed``, raised ``Reschedule``, or whose worker ``died``, and how
    often a client ``retried`` it; at least, unless that is ``exact``.
    """

    key: Key
    state: str
    failed: Count
    rescheduled: Count
    died: Count
    retried: Count
    exact: bool
    since: Moment
    last: Moment
    retries_left: Number
    error: str
    clients: list[Retrier]
    chain: Annotated[list[Key], "some"]
    length: Count
    waiting: Count
    waiting_cut: bool
