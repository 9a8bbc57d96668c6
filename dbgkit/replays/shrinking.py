"""From a failure to the smallest input that fails the same way, wherever that runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from dbgkit import advice
from dbgkit.cluster.clients import is_open
from dbgkit.errors import (
    DbgkitError,
    InputMoved,
    InputNotCopyable,
    InputUnreadable,
    NotHere,
    RunSpecUnreadable,
    StandInLacks,
    WaitTimedOut,
)
from dbgkit.model import Failure, Notice, Shrunk
from dbgkit.remote.common.texts import safe_str
from dbgkit.replays.material import Material
from dbgkit.replays.naming import call_again, named
from dbgkit.replays.on_worker import readable
from dbgkit.replays.planning import Wanted, where_to_run
from dbgkit.replays.preparing import Notify, Prepared, prepare
from dbgkit.replays.shrink_here import shrink_here
from dbgkit.replays.shrink_plan import ShrinkWanted
from dbgkit.replays.shrink_result import shrunk_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_shrink import ShrunkForm

NEAR = 2**20  # bytes of inputs that are pulled rather than shrunk where they are


def shrink_failure(
    failure: Failure, wanted: Wanted, shrinking: ShrinkWanted, notify: Notify
) -> Shrunk:
    """Run the task on less and less of its input, where that is, or as wanted."""
    notify(
        Notice(
            f"the task runs again and again, for at most {shrinking.seconds:g} s: what "
            "it writes or sends is written or sent each time"
        )
    )
    where = wanted.where or _place(failure, wanted)
    if where == "worker":
        try:
            return _on_worker(failure, wanted, shrinking, notify)
        except (NotHere, InputMoved):
            if wanted.where is not None:
                raise
            where = "here"
    try:
        prepared = prepare(failure, replace(wanted, where=where), notify)
        return shrink_prepared(prepared, shrinking, notify, chosen=wanted.where)
    except (RunSpecUnreadable, InputUnreadable):
        if wanted.where is not None or where != "here" or not _has_cluster(failure):
            raise
    notify(Notice("it cannot be read here: it runs on a worker"))
    return _on_worker(failure, wanted, shrinking, notify)


def shrink_prepared(
    prepared: Prepared,
    shrinking: ShrinkWanted,
    notify: Notify,
    chosen: str | None = None,
) -> Shrunk:
    """As `shrink_failure`, with inputs that are in this process."""
    where = prepared.plan.where
    if where == "here":
        try:
            form = shrink_here(prepared, shrinking, notify)
            return result(prepared.failure, prepared.material, form, where=where)
        except InputNotCopyable:
            if chosen is not None:
                raise
        notify(Notice("inputs cannot be copied: each run is in a fork, which has them"))
    from dbgkit.replays.shrink_process import shrink_in_child

    form, live = shrink_in_child(prepared, shrinking, notify)
    return result(
        prepared.failure, prepared.material, form, where="process", values=live
    )


def _place(failure: Failure, wanted: Wanted) -> str:
    """Where to run it, if nobody says: where the data is, unless there is little."""
    if where_to_run(failure, wanted) == "process":
        return "process"
    visit = failure.evidence.visit
    if failure.evidence.client is None or visit is None:
        return "here"
    held = (row["nbytes"] or 0 for row in visit["tasks"] if row["state"] == "memory")
    return "worker" if sum(held) > NEAR else "here"


def _on_worker(
    failure: Failure, wanted: Wanted, shrinking: ShrinkWanted, notify: Notify
) -> Shrunk:
    from dbgkit.replays.shrink_on_worker import shrink_on_worker

    prepared = prepare(failure, replace(wanted, where="worker"), notify)
    form = shrink_on_worker(prepared, shrinking, notify)
    worker, material = prepared.plan.worker, prepared.material
    with readable(failure, prepared.plan):
        return result(failure, material, form, where="worker", worker=worker)


def result(
    failure: Failure,
    material: Material,
    form: ShrunkForm,
    *,
    where: str,
    worker: str = "",
    values: Any = None,
) -> Shrunk:
    """The result of a place, or the error that says why there is none."""
    if form["status"] != "done":
        raise _refusal(failure, form)
    if form["values"]:
        values = _read(form, "values", material)
    elif not values and form["nbytes"] and form["stopped"] != "gone":
        form["notes"].append(_not_brought(form["nbytes"]))
    told: Any = {}
    if form["told_values"]:
        told |= _read(form, "told_values", material)
    if form["every_values"]:
        told |= _read(form, "every_values", material)
    complete: Any = {}
    if values and form.get("complete_values"):
        complete = _read(form, "complete_values", material)
    return shrunk_of(
        failure,
        material,
        form,
        values or {},
        told,
        complete,
        where=where,
        worker=worker,
    )


def _read(
    form: ShrunkForm,
    which: Literal["values", "told_values", "every_values", "complete_values"],
    material: Material,
) -> Any:
    """Values that were brought; none, and a note, if they cannot be read here."""
    try:
        return material.reader.loads(form[which])
    except Exception as error:  # unpickling runs anybody's code
        form["notes"].append(
            f"the smallest input cannot be read here: {safe_str(error, 500)}"
        )
        return {}


def _has_cluster(failure: Failure) -> bool:
    client = failure.evidence.client
    return client is not None and is_open(client)


def _not_brought(nbytes: int) -> str:
    """Why the smallest input is not here."""
    from dask.utils import format_bytes

    return (
        f"the smallest input has {format_bytes(nbytes)} and was not brought: raise "
        f"{advice.option('max_bytes')}"
    )


def _refusal(failure: Failure, form: ShrunkForm) -> DbgkitError:
    """Why there is nothing that was shrunk, as an error of ours."""
    key, status, text = failure.key, form["status"], form["text"]
    name = named(key)
    if status == "lack":
        return StandInLacks(
            f"{name} cannot be shrunk: {text}",
            "if the recorder was on, look at its recording",
            key=key,
        )
    if status == "whole":
        return NotHere(
            f"{name} has no input that could be shrunk: no frame, array, list, dict "
            "or text",
            f"{call_again('debug', failure)} opens it as it is",
            key=key,
        )
    if status == "spent":
        more = {"once": "timeout", "runs": "runs"}.get(text, "time")
        return WaitTimedOut(
            f"{name} did not run once on its whole input before the limit",
            f"raise {advice.option(more)}",
            key=key,
        )
    if status == "uncopyable":
        return InputNotCopyable(
            f"an input of {name} cannot be copied: {text}",
            f"{advice.option('where', 'process')} runs it in forks, which have it",
            key=key,
        )
    return DbgkitError(f"{name} could not be shrunk: {text}", key=key)
