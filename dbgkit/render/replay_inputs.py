"""The values of a failed call, by the user's own names, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from types import FunctionType
from typing import Any

from dbgkit.model import Replay, Step
from dbgkit.remote.common.calls import (
    is_dasks,
    is_parameter,
    named_arguments,
    user_call,
)
from dbgkit.render import words
from dbgkit.render.frames import Row, value_row
from dbgkit.targets.naming import name_of, prefix_of

ROWS = 12  # inputs, steps that are listed; the rest is counted
_SHOWN, _DEEPEST = 8, 3  # items and containers that a summary shows


@dataclass(frozen=True)
class StepView:
    """One step of a fused task."""

    name: str
    function: str
    failed: bool
    rows: tuple[Row, ...] = ()


def call_of_replay(replay: Replay) -> list[tuple[str, Any]]:
    """The call's arguments under their names; none of a call into Dask itself."""
    if replay.function is None:
        return []
    call = user_call(replay.function, replay.args, replay.kwargs)
    if is_dasks(call[0]) and type(call[0]) is FunctionType:
        return []
    return named_arguments(*call)


def input_rows(replay: Replay) -> tuple[tuple[Row, ...], int]:
    """Arguments, and inputs that are none by themselves; how many are left out."""
    pairs = call_of_replay(replay)
    times = Counter(id(value) for _, value in pairs)
    keys: dict[int, list[Any]] = {}
    for key, value in replay.inputs.items():
        keys.setdefault(id(value), []).append(key)
    # A small number is one object wherever it stands: then no key is claimed.
    known = {one: found for one, found in keys.items() if times[one] == len(found)}
    found = [(name, value, _keys(known.get(id(value), ()))) for name, value in pairs]
    names = {info.key: info.name for info in replay.plan.inputs}
    # What stands within an argument, or in the step that failed, is not repeated.
    shown = {*known, *_within(value for _, value in pairs)}
    failed = [step for step in replay.steps if step.failed]
    shown.update(id(value) for step in failed for _, value in _step_values(step))
    found += [
        (names.get(key) or words.key_text(key), value, words.key_text(key))
        for key, value in replay.inputs.items()
        if id(value) not in shown
    ]
    rows = tuple(value_row(name, value, key) for name, value, key in found[:ROWS])
    return rows, max(0, len(found) - ROWS)


def _within(values: Iterable[Any]) -> set[int]:
    """Ids of what stands in builtin containers, as far as it is shown."""
    found: set[int] = set()
    waiting = [(value, 0) for value in values]
    while waiting:
        value, depth = waiting.pop()
        if depth:
            found.add(id(value))
        if depth < _DEEPEST and type(value) in (list, tuple, dict):
            parts = value.values() if type(value) is dict else value
            waiting.extend((part, depth + 1) for part in islice(parts, _SHOWN))
    return found


def _step_values(
    step: Step, shown: Collection[int] = frozenset()
) -> list[tuple[str, Any]]:
    """Values of a step, by the names of the user's own function.

    None where they are ``shown`` already, as those of the call that failed.
    """
    ids = {id(value) for _, value in step.arguments}
    if step.failed and ids and ids <= set(shown):
        return []
    ids |= _within(value for _, value in step.arguments)
    # What a wrapper of Dask's was handed besides is no input of the user's function.
    rest = [
        (_input_name(step, key), value)
        for key, value in step.inputs.items()
        if id(value) not in ids and not (step.arguments and is_parameter(key))
    ]
    return [*step.arguments, *rest]


def _input_name(step: Step, key: Any) -> str:
    """What an input of a step is called that its function has no name for."""
    place = key[1:] if isinstance(key, tuple) else ()
    own = step.key[1:] if isinstance(step.key, tuple) else ()
    if len(step.inputs) == 1 and place and (not step.arguments or place == own):
        return "partition" if len(place) == 1 else "chunk"
    if is_parameter(key):
        return "input" if len(step.inputs) == 1 else f"input {key[18:]}"
    if not isinstance(key, str):
        return name_of(key)
    return prefix_of(key) or key


def _keys(keys: Sequence[Any]) -> str:
    named = [words.key_text(key) for key in keys[:3]]
    return " or ".join(named) + (" or others" if len(keys) > 3 else "")


def step_views(replay: Replay) -> tuple[tuple[StepView, ...], int]:
    """The last steps: the one that failed with its values, under "ancestors" each."""
    steps = replay.steps
    shown = steps[-ROWS:]
    each = replay.scope == "ancestors"
    in_call = {id(value) for _, value in call_of_replay(replay)}
    views = tuple(
        StepView(
            name=step.name,
            function=step.function,
            failed=step.failed,
            rows=_values(_step_values(step, in_call)) if step.failed or each else (),
        )
        for step in shown
    )
    return views, len(steps) - len(shown)


def _values(pairs: Sequence[tuple[str, Any]]) -> tuple[Row, ...]:
    rows = [value_row(name, value) for name, value in pairs[:ROWS]]
    if len(pairs) > ROWS:
        rows.append(Row("", f"… {len(pairs) - ROWS:,} more"))
    return tuple(rows)
