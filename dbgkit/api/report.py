"""``dbgkit.report``: all that is known of a cluster, also as one HTML page."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from dbgkit import advice, render
from dbgkit.api.asking import Async, Looking, Sync, Unpack, look
from dbgkit.cluster.clients import dashboard_of
from dbgkit.cluster.view import LiveView, View
from dbgkit.diagnose.deaths.explain import tell_deaths
from dbgkit.diagnose.doctor.examine import examine_cluster
from dbgkit.diagnose.failures import report_failures
from dbgkit.diagnose.graph import graph_around
from dbgkit.diagnose.tasks import table_tasks
from dbgkit.diagnose.why.explain import explain
from dbgkit.errors import CannotWrite, DbgkitError, WrongTarget
from dbgkit.model import (
    ClusterReport,
    Explanation,
    FailureReport,
    Span,
    TaskGraph,
    TaskTable,
    WorkerLoad,
)

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import Workers

T = TypeVar("T")
Path = str | os.PathLike[str]

ROWS = 50  # of the table of tasks
FAILED_ROWS = 20  # of these for what failed, whose groups are shown too
DEATHS = 200
WORKERS = 40
PICTURES = 10  # around examples of failures
_UNFINISHED = ("no-worker", "processing", "queued", "waiting")


@overload
def report(
    path: Path | None = None, *, asynchronous: Sync = None, **options: Unpack[Looking]
) -> ClusterReport: ...


@overload
def report(
    path: Path | None = None, *, asynchronous: Async, **options: Unpack[Looking]
) -> Coroutine[Any, Any, ClusterReport]: ...


def report(
    path: Path | None = None,
    *,
    client: Any = None,
    view: Any = None,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> ClusterReport | Coroutine[Any, Any, ClusterReport]:
    """Collect all that is known of a cluster, or of a dump.

    Parameters
    ----------
    path : str or path, optional
        Where to write it as one HTML page, which needs no network, nor its script.
    client, view, source, timeout, asynchronous
        As for `failures`.

    Returns
    -------
    ClusterReport
        A part that could not be read is None, and `notes` says why. With an
        asynchronous client, an awaitable.

    Raises
    ------
    NoFailure, SchedulerGone, WaitTimedOut, DumpUnreadable
        As for `failures`.
    CannotWrite
        The page cannot be written there.

    Notes
    -----
    Costs what `failures`, `why`, `tasks` (twice), `doctor` and `deaths` cost.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     dbgkit.report().failures.total
    0
    """
    if path is not None:
        check_place(path)

    def run(found: View) -> ClusterReport:
        made = gather_report(found)
        if path is not None:
            write_to(path, render.document(made))
        return made

    return look(None, client, view, timeout, run, asynchronous, source)


def check_place(path: Path) -> None:
    """Raise `CannotWrite` where no file can be, before the cluster is asked."""
    name = os.fspath(path)
    if "://" in name:
        raise WrongTarget(
            f"{name!r} is an address, not a path of a file",
            f"pass a scheduler's as {advice.option('client')}",
        )
    folder = os.path.dirname(os.path.abspath(name))
    if os.path.isdir(name):
        raise CannotWrite(f"cannot write {name!r}: it is a folder")
    if not os.path.isdir(folder):
        raise CannotWrite(f"cannot write {name!r}: {folder!r} does not exist")


def write_to(path: Path, text: str) -> None:
    """Write a page, or raise `CannotWrite`."""
    try:
        with open(path, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError as error:
        raise CannotWrite(f"cannot write {os.fspath(path)!r}: {error}") from error


def gather_report(view: View) -> ClusterReport:
    """Ask a cluster or a dump all questions, one after the other."""
    notes: list[str] = []

    def attempt(what: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except DbgkitError as error:
            notes.append(f"{what} is missing: {error}")
            return None

    failures = report_failures(view)
    why = attempt("why nothing moves", lambda: explain(view))
    tasks = attempt("the table of tasks", lambda: _failed_and_unfinished(view))
    checkup = attempt("the check of the cluster", lambda: examine_cluster(view))
    deaths = attempt("why workers went away", lambda: tell_deaths(view, limit=DEATHS))
    graphs = attempt("the graph", lambda: _graphs(view, failures, why))
    workers = attempt(
        "the list of workers", lambda: view.ask("workers", {"limit": WORKERS})
    )
    spans = [part.span for part in (failures, why, tasks) if part and part.span]
    return ClusterReport(
        address=_address(view),
        live=view.live,
        taken=_whole(spans),
        failures=failures,
        why=why,
        tasks=tasks,
        checkup=checkup,
        deaths=deaths,
        graphs=graphs or {},
        notes=tuple(notes),
        workers=tuple(map(WorkerLoad.from_wire, workers["rows"])) if workers else (),
        more_workers=workers["omitted"] if workers else 0,
        dashboard=_dashboard(view, workers) if workers else "",
    )


def _dashboard(view: View, workers: Workers) -> str:
    if not isinstance(view, LiveView):
        return ""
    return dashboard_of(view.client, workers["dashboard_port"])


def _failed_and_unfinished(view: View) -> TaskTable:
    """What failed by itself, then what is unfinished, the longest-standing first."""
    failed = table_tasks(view, failed=True, limit=FAILED_ROWS)
    left = ROWS - len(failed.rows)
    rest = table_tasks(view, state=_UNFINISHED, sort="since", limit=left)
    order = {state: rank for rank, state in enumerate(_UNFINISHED)}
    unfinished = sorted(rest.rows, key=lambda row: order.get(row.state, len(order)))
    return TaskTable(
        rows=(*failed.rows, *unfinished),
        matched=failed.matched + rest.matched,
        omitted=failed.omitted + rest.omitted,
        summary=rest.summary,
        span=_whole([span for span in (failed.span, rest.span) if span]),
    )


def _graphs(
    view: View, failures: FailureReport, why: Explanation | None
) -> Mapping[Any, TaskGraph]:
    """Around an example of each of the first groups; why() has brought its own."""
    examples = [group.example.key for group in failures.groups[:PICTURES]]
    graphs = graph_around(view, examples) if examples else {}
    if why is not None and why.graph is not None:
        graphs.setdefault(why.key, why.graph)
    return graphs


def _whole(spans: Iterable[Span]) -> Span:
    found = list(spans)
    return Span(min(each.start for each in found), max(each.end for each in found))


def _address(view: View) -> str:
    if isinstance(view, LiveView):
        return str(view.client.scheduler.address)
    return view.state.path
