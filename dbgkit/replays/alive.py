"""Failures that are entered as they are, with nothing run again."""

from __future__ import annotations

from dbgkit import advice
from dbgkit.errors import NoTask
from dbgkit.model import Failure, Plan, Replay, Run
from dbgkit.replays.nodes import bind_plainly
from dbgkit.replays.planning import Wanted
from dbgkit.replays.steps import fused_steps


def live_post_mortem(failure: Failure, wanted: Wanted) -> Replay | None:
    """A `Replay` that runs nothing, if the failure's own frames are still alive.

    That is the case under Dask's threaded and synchronous schedulers, if a single run
    here is wanted; when Dask called a function on made-up data; and for exceptions that
    have nothing to do with Dask.
    """
    error = failure.exception
    evidence = failure.evidence
    as_usual = wanted.where in (None, "here") and wanted.times == 1
    alive = failure.found_in in ("meta", "exception") or (
        failure.found_in == "local"
        and failure.key is not None
        and as_usual
        and wanted.scope == "task"
    )
    if error is None or not alive:
        return None
    run = Run("same", failure.exception_type, failure.message)
    plan = Plan(failure.key, failure.name, "task", "here", times=0)
    steps = fused_steps(error)
    node = (evidence.graph or {}).get(failure.key)
    function, args, kwargs = bind_plainly(node, evidence.cache or {})
    return Replay(
        outcome="same",
        failure=failure,
        plan=plan,
        runs=(run,),
        exception=error,
        function=function,
        args=args,
        kwargs=kwargs,
        inputs=dict(evidence.cache or {}),
        steps=steps,
        notes=(*failure.notes, "entered as it happened: nothing was run again"),
    )


def refuse_taskless(failure: Failure) -> None:
    """Raise if there is no task to run again."""
    if failure.found_in in ("meta", "exception"):
        raise NoTask(
            f"there is no task to replay: {(failure.notes or ('',))[0]}",
            f"{advice.call('debug')} enters the exception as it is",
            key=failure.key,
        )
