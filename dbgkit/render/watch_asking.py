"""Asks for the state of a cluster again and again, while somebody waits elsewhere."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import datetime, timezone
from time import monotonic, sleep

from dbgkit.errors import DbgkitError
from dbgkit.model import Glance
from dbgkit.render.words import clock

TICK = 0.1  # seconds between two looks for an answer
AGAIN = 1.0  # seconds until a failed question is asked again
SLOW = 3.0  # seconds of waiting for an answer that are worth a word
LONGEST_REST = 30.0  # seconds between two questions, however long they take


class Asking:
    """Asks, takes answers, and asks again when it is time to.

    ``look`` asks once, in a thread of its own. Questions never overlap, and there is at
    least as much time between two of them as one takes. What the first one raises is
    raised, and what another does after ``patience`` seconds without an answer.
    """

    def __init__(
        self, look: Callable[[], Glance], every: float, patience: float
    ) -> None:
        self._look = look
        self.every = every
        self._patience = patience
        self.count = 0  # answers so far
        self.first: Glance | None = None
        self.last: Glance | None = None
        self.error: DbgkitError | None = None
        self._failed = 0  # questions in a row
        self._answered = monotonic()  # the last time
        self._answered_at = datetime.now(timezone.utc)
        self._due = 0.0
        self._asking: Future[Glance] | None = None
        self._began = 0.0

    @property
    def waited(self) -> float:
        """Seconds since the last answer, or since the beginning."""
        return monotonic() - self._answered

    def turn(self) -> None:
        """Take an answer that has arrived, and ask again when it is time to."""
        if self._asking is None:
            if monotonic() >= self._due:
                self._asking, self._began = _asked(self._look), monotonic()
            return
        if not self._asking.done():
            return
        asked, self._asking = self._asking, None
        now = monotonic()
        try:
            self._take(asked.result(), now, now - self._began)
        except DbgkitError as error:
            self.error = error
            self._due = now + AGAIN
            self._failed += 1
            # The first one may have used up all the patience, and the next one
            # connects anew.
            over = now - self._answered > self._patience and self._failed > 1
            if self.last is None or over:
                raise

    def _take(self, glance: Glance, now: float, took: float) -> None:
        self.first = self.first or glance
        self.last = glance
        self.count += 1
        self.error, self._failed = None, 0
        self._answered, self._answered_at = now, datetime.now(timezone.utc)
        self._due = now + max(self.every - took, min(took, LONGEST_REST))

    def trouble(self) -> str:
        """Why there is no newer answer; empty if there is nothing to say."""
        since = f"no answer since {clock(self._answered_at)}"
        if self.error is not None:
            left = self._patience - self.waited
            go_on = f"quitting in {left:.0f} s" if left > 0 else "trying once more"
            return f"{since}, {go_on}: {self.error.message}"
        if self._asking is not None and monotonic() - self._began > SLOW:
            return f"{since}: the scheduler is slow to answer"
        return ""


def each_answer(asking: Asking, most: int | None) -> Iterator[Glance]:
    """Answers as they come, so many of them at most."""
    while most is None or asking.count < most:
        before = asking.count
        asking.turn()
        if asking.count == before:
            sleep(TICK)
        elif asking.last is not None:
            yield asking.last


def _asked(look: Callable[[], Glance]) -> Future[Glance]:
    """Ask in a thread of its own, so that screen and keys stay responsive."""
    answer: Future[Glance] = Future()
    context = contextvars.copy_context()

    def ask() -> None:
        try:
            answer.set_result(context.run(look))
        except BaseException as error:  # raised again by the thread that waits
            answer.set_exception(error)

    # The process may end while the scheduler is still awaited.
    threading.Thread(target=ask, name="dbgkit-look", daemon=True).start()
    return answer
