"""Reading the state of one cluster again and again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from time import monotonic

from dbgkit.cluster.view import View
from dbgkit.diagnose.failures import report_failures, span_of
from dbgkit.diagnose.why.explain import explain
from dbgkit.errors import DbgkitError
from dbgkit.model import Glance

MOST_GROUPS = 50  # root causes of one look


def glance(view: View) -> Glance:
    """The state of a whole cluster: tasks, failures, and why nothing moves.

    Notes
    -----
    Costs a live cluster three calls: counts that it keeps anyway, the index of
    failures (one pass over all tasks at first), and what `why` costs.
    """
    began = monotonic()
    counts = view.ask("counts", {})
    failures = report_failures(view, limit=MOST_GROUPS)
    why = explain(view)
    return Glance(
        address=counts["address"],
        taken=span_of(counts),
        took=monotonic() - began,
        failures=failures,
        why=why,
        summary=counts["summary"],
        workers=counts["workers"],
        threads=counts["threads"],
    )


class Looks:
    """Looks at one cluster, one after the other, over one connection.

    After a failed look the next one reconnects: the scheduler may have been started
    again, or have been out of reach for a while.

    Parameters
    ----------
    connect : callable
        Makes a context manager that gives a view.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[View]]) -> None:
        self._connect = connect
        self._open = ExitStack()
        self._view: View | None = None

    def __call__(self) -> Glance:
        try:
            if self._view is None:
                self._view = self._open.enter_context(self._connect())
            return glance(self._view)
        except DbgkitError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next look opens another one."""
        self._view = None
        opened, self._open = self._open, ExitStack()
        opened.close()
