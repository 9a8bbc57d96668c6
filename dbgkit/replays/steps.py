"""Steps that had begun when a task failed, in the user's terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbgkit.model import Plan, Step, ValueSummary
from dbgkit.model.frames import checked
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.recording.steps import (
    BegunStep,
    BegunTask,
    failed_steps,
    steps_of_run,
)
from dbgkit.targets.naming import name_of, prefix_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import StepForm


def begun_steps(
    begun: Iterable[BegunTask], exception: BaseException | None
) -> tuple[Step, ...]:
    """The steps of a run in this process, with their live values."""
    return tuple(map(_live, steps_of_run(begun, exception)))


def fused_steps(exception: BaseException) -> tuple[Step, ...]:
    """Steps of fused tasks that had begun, out of a traceback with live frames."""
    return tuple(map(_live, failed_steps(exception)))


def _live(step: BegunStep) -> Step:
    return _named(
        step.key,
        step.function,
        step.label,
        step.failed,
        arguments=step.arguments,
        inputs=step.inputs,
    )


def steps_from_wire(wires: Iterable[StepForm]) -> tuple[Step, ...]:
    """Steps whose values are `ValueSummary`: those themselves are elsewhere."""
    return tuple(
        _named(
            as_key(wire["key"]),
            checked(str, wire["function"]),
            checked(str, wire["label"]),
            bool(wire["failed"]),
            arguments=tuple(
                (checked(str, name), ValueSummary.from_wire(value))
                for name, value in wire["arguments"]
            ),
            inputs={
                as_key(key): ValueSummary.from_wire(value)
                for key, value in wire["inputs"]
            },
        )
        for wire in wires
    )


def _named(
    key: Any,
    function: str,
    label: str,
    failed: bool,
    *,
    arguments: tuple[tuple[str, Any], ...],
    inputs: Mapping[Any, Any],
) -> Step:
    """A step under its own name, or what Dask calls it where the function is Dask's."""
    label = label or prefix_of(key)
    return Step(
        key=key,
        name=name_of(key, step=label),
        function=function,
        label=label,
        failed=failed,
        arguments=arguments,
        inputs=inputs,
    )


def no_steps(plan: Plan, outcome: str, steps: Sequence[Step] = ()) -> list[str]:
    """The note of a run elsewhere that ended before it could report its steps."""
    cut = outcome in ("died", "timeout") and not steps
    if plan.scope != "ancestors" or len(plan.run_here) < 2 or not cut:
        return []
    return ["the inputs of its steps are not known: the run did not finish"]
