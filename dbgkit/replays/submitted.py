"""What a replayed task submits to the cluster itself, and what it gets back for it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dbgkit.cluster.clients import held_future_states, is_open
from dbgkit.cluster.link import Link
from dbgkit.remote.recording.handed import MOST_RAISED, futures_of_frames, handed_keys
from dbgkit.targets.tracebacks import chain

_SLACK = 0.001  # seconds of difference between the clocks


@dataclass(frozen=True)
class HandedStored:
    """A replayed task only got the stored error of a task that it had submitted.

    That task did not run again, so there is no outcome: ``key`` is to be replayed
    instead.
    """

    key: Any


class Submissions:
    """The work that the runs of one replay submit through a client."""

    def __init__(self, link: Link | None) -> None:
        self._link = link
        self._before: set[Any] | None = None

    def open_client(self) -> Any:
        """The client that a task is given; None if there is no cluster."""
        if self._link is None or not is_open(self._link.client):
            return None
        if self._before is None:
            self._before = set(held_future_states(self._link.client))
        return self._link.client

    def handed_to(
        self, exception: BaseException | None, began: float
    ) -> HandedStored | None:
        """Whether an exception is the error of a task that did not run again.

        A key that had failed before is not run again when it is submitted: its error is
        returned at once. One visit to the scheduler, for tasks that submit.
        """
        if exception is None:
            return None
        stored = self.stored_among(handed_keys(exception), began)
        if stored is not None:
            self.let_go(exception)
        return stored

    def stored_among(self, keys: Iterable[Any], began: float) -> HandedStored | None:
        """The first of some tasks that did not run again, but had its error returned.

        ``began`` is a moment before the run, by ``time.perf_counter``.
        """
        keys = list(keys)
        if not keys or self._link is None or not is_open(self._link.client):
            return None
        # A task that runs again takes the same way as this question, and then runs.
        ago = time.perf_counter() - began
        answer = self._link.visit(keys=keys, leaders=False)
        for fact in answer["failures"]:
            when = fact["when"]
            if when is None or when < answer["now"] - ago - _SLACK:
                return HandedStored(fact["key"])
        return None

    def let_go(self, exception: BaseException | None) -> None:
        """Release the futures in an exception's frames, except the user's own."""
        if self._before is None or exception is None:
            return
        for error in islice(chain(exception), MOST_RAISED):
            for future in futures_of_frames(error):
                if future.key not in self._before:
                    future.release()
