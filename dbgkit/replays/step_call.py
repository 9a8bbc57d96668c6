"""The call that failed, without Dask around it, and its arguments as they were.

A task that fails may change its inputs, and a fused one makes those of its steps as it
runs. So a call is made of inputs that are fresh, handed over as it stands, and only
then run, to see whether it fails as the task did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dbgkit.model import Failure
from dbgkit.remote.common.calls import (
    module_of,
    name_of_function,
    steps_of,
    unreified,
    whole_call,
)
from dbgkit.remote.recording.raised import raised
from dbgkit.remote.recording.steps import failed_path
from dbgkit.replays.by_name import RunTask, for_each
from dbgkit.replays.calling import Call, call_graph, call_task
from dbgkit.replays.lacking import lack_in
from dbgkit.replays.nodes import bind, bind_plainly
from dbgkit.replays.outcome import run_of
from dbgkit.replays.preparing import Notify, Prepared, prepare_once
from dbgkit.replays.standin import in_place_of_worker, reading


@dataclass
class StepCall:
    """A call to be made: ``function(*args, **kwargs)``.

    ``what`` is ``"step"`` for the call that failed alone, and ``"task"`` for all that
    the task does, Dask's own wrappers included; ``node`` is what it was made of.
    """

    function: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    what: str = "step"
    node: Any = None


@dataclass
class Tried:
    """How it went: the call that was handed over last, and what it raised.

    ``outcome`` is that of a replay, or empty where nothing was run; ``lack`` is what
    the task asked of its worker, if it did.
    """

    call: StepCall
    outcome: str = ""
    exception: BaseException | None = None
    key: Any = None
    lack: str = ""


def try_call(
    prepared: Prepared, hand_over: Callable[[StepCall], None], notify: Notify
) -> Tried:
    """Hand over the call that fails as the task did, and run it here.

    It is run after it was handed over, on the very values, since these may be large.
    Where it does not fail alike, the whole task is handed over in its place. What has
    killed a worker is handed over, and not run.
    """
    plan, material = prepared.plan, prepared.material
    if plan.where == "process":
        call = _unrun(prepared)
        hand_over(call)
        return Tried(call, key=material.key)
    if plan.scope != "task":
        return _try_graph(prepared, hand_over, notify)
    fused = bool(steps_of(_node(prepared)))
    return (_try_fused if fused else _try_plain)(prepared, hand_over, notify)


def _unrun(prepared: Prepared) -> StepCall:
    """The call of a task that is not to be run here."""
    with reading(prepared.stand_in):
        data = prepared.inputs.fresh(last=True)
        node = prepared.material.rows[prepared.material.key].read()
    function, args, kwargs = bind_plainly(node, data)
    if function is None:
        return _whole(node, data)
    return StepCall(*whole_call(function, args, kwargs), node=node)


def _whole(node: Any, data: Mapping[Any, Any]) -> StepCall:
    return StepCall(RunTask(node, data), what="task", node=node)


def _node(prepared: Prepared) -> Any:
    with reading(prepared.stand_in):
        return prepared.material.rows[prepared.material.key].read()


# --- a task that calls one function ---------------------------------------------


def _try_plain(
    prepared: Prepared, hand_over: Callable[[StepCall], None], notify: Notify
) -> Tried:
    # What can be pulled again is not copied.
    again = prepared.material.link is not None
    with reading(prepared.stand_in):
        data = prepared.inputs.fresh(last=again)
    node = _node(prepared)
    try:
        call = _alone(node, data)
    except Exception:  # an argument is computed by the user's code
        call = None
    if call is not None:
        hand_over(call)
        tried = _run(prepared, call, notify)
        plainly = call.function is getattr(node, "func", None)
        if tried.outcome == "same" or tried.lack or plainly:
            return tried
        if again:
            prepared = prepare_once(prepared.failure, prepared.wanted, _silent)
        with reading(prepared.stand_in):
            data = prepared.inputs.fresh(last=again)
        node = _node(prepared)
    return _try_whole(prepared, node, data, hand_over, notify)


def _try_whole(
    prepared: Prepared,
    node: Any,
    data: Mapping[Any, Any],
    hand_over: Callable[[StepCall], None],
    notify: Notify,
) -> Tried:
    call = _whole(node, data)
    hand_over(call)
    return _run(prepared, call, notify)


def _silent(event: Any) -> None:
    """Say nothing: it was said before."""


def _alone(node: Any, data: Mapping[Any, Any]) -> StepCall | None:
    """The call that a node comes to, out of Dask's wrappers; None if it is no call.

    What calls its function with one item after the other is taken with all items.
    """
    from dask._task_spec import Task

    node = unreified(node)
    if not isinstance(node, Task):
        return None
    function, args, kwargs = bind(node, data)
    if (module_of(function), name_of_function(function)) == _MAPS and not kwargs:
        return _of_each(node, *args)
    call = whole_call(function, args, kwargs)
    values = (*call[1], *call[2].values())
    if any(isinstance(value, Iterator) for value in values):
        return None  # it would be used up as it is written
    return StepCall(*call, node=node)


_MAPS = ("dask.bag.core", "map_chunk")


def _of_each(
    node: Any, function: Any, iterables: Any, names: Any = None, given: Any = None
) -> StepCall:
    """What ``map_chunk`` is called with, as a call of `for_each`."""
    options = {"names": tuple(names or ()), "given": dict(given or {})}
    return StepCall(
        for_each,
        (function, *(list(each) for each in iterables)),
        {name: value for name, value in options.items() if value},
        node=node,
    )


def _run(prepared: Prepared, call: StepCall, notify: Notify) -> Tried:
    """Run a call in place of the task."""
    from dask._task_spec import Task

    key = prepared.material.key
    only = Task(key, call.function)  # a coroutine's surroundings differ
    surroundings = in_place_of_worker(prepared.stand_in, only, notify)
    made = call_task(Task(key, _Plainly(call)), {}, surroundings)
    return _tried(prepared.failure, call, made)


class _Plainly:
    """A call as a function: its arguments may be nodes, which Dask would run."""

    def __init__(self, call: StepCall) -> None:
        self.call = call

    def __call__(self) -> Any:
        return self.call.function(*self.call.args, **self.call.kwargs)


def _tried(failure: Failure, call: StepCall, made: Call) -> Tried:
    error = made.exception
    lack = lack_in(error)
    form = None if error is None else raised(error)
    run = run_of(failure, form, made.seconds)
    return Tried(call, run.outcome, error, made.key, "" if lack is None else lack[0])


# --- a fused task ---------------------------------------------------------------


def _try_fused(
    prepared: Prepared, hand_over: Callable[[StepCall], None], notify: Notify
) -> Tried:
    with reading(prepared.stand_in):
        data = prepared.inputs.fresh(last=False)
    node = _node(prepared)
    tried = _run(prepared, _whole(node, data), notify)
    error = tried.exception
    if error is not None and tried.outcome == "same" and not tried.lack:
        call = _of_failed_step(prepared, failed_path(error))
        if call is not None:
            hand_over(call)
            alone = _run(prepared, call, notify)
            if alone.outcome == "same":
                return alone
    with reading(prepared.stand_in):
        data = prepared.inputs.fresh(last=True)
    tried.call = _whole(_node(prepared), data)
    hand_over(tried.call)
    return tried


class _FailedLazily(Exception):
    """A step failed only as another one took what it gives, one by one."""

    def __init__(self, key: Any) -> None:
        self.key = key


def _of_failed_step(prepared: Prepared, path: Sequence[Any]) -> StepCall | None:
    """The call of the step that failed, on fresh values."""
    for _ in range(_MOST_LAZY):
        with reading(prepared.stand_in):
            data = prepared.inputs.fresh(last=False)
        try:
            return _of_step(_node(prepared), data, path)
        except _FailedLazily as failed:
            path = (*path[:-1], failed.key)
    return None


_MOST_LAZY = 10  # steps of a bag that take from each other


def _of_step(
    node: Any, data: Mapping[Any, Any], path: Sequence[Any]
) -> StepCall | None:
    """The call of a step, on what the steps before it give; None if that fails."""
    if not path:
        return None
    try:
        for key in path:
            data, steps = _inside(node, data), steps_of(node)
            node = steps[key]
            data = {name: _value(name, steps, data) for name in node.dependencies}
        return _alone(node, data)
    except _FailedLazily:
        raise
    except Exception:  # the steps are the user's code: then it is all of the task
        return None


def _inside(node: Any, data: Mapping[Any, Any]) -> dict[Any, Any]:
    """Values of a fused task's inputs, under the names that its steps have for them.

    ``Task(key, _execute_subgraph, steps, outkey, inkeys, *refs)``.
    """
    _, args, _ = bind(node, data)
    _, _, inkeys, *values = args
    return dict(zip(inkeys, values, strict=True))


def _value(key: Any, steps: Mapping[Any, Any], data: dict[Any, Any]) -> Any:
    """What a step gives; each is run once, before those that need it."""
    waiting = [key]
    while waiting:
        name = waiting[-1]
        if name in data:
            waiting.pop()
            continue
        missing = [each for each in steps[name].dependencies if each not in data]
        if missing:
            waiting.extend(missing)
            continue
        data[name] = steps[name](
            {each: data[each] for each in steps[name].dependencies}
        )
        waiting.pop()
    found = data[key]
    if isinstance(found, Iterator):
        try:
            data[key] = found = list(found)
        except Exception as error:
            raise _FailedLazily(key) from error
    return found


# --- a graph without a cluster ----------------------------------------------------


def _try_graph(
    prepared: Prepared, hand_over: Callable[[StepCall], None], notify: Notify
) -> Tried:
    """The task of a graph that fails, as all that leads to it is run here."""
    plan, material = prepared.plan, prepared.material
    with reading(prepared.stand_in):
        data = prepared.inputs.fresh(last=False)
        nodes = {key: material.rows[key].read() for key in plan.run_here}
    surroundings = in_place_of_worker(prepared.stand_in, None, notify)
    made = call_graph(nodes, list(material.roots), data, notify, surroundings)
    node = nodes.get(made.key)
    if node is None:  # an input of the graph, which nothing runs
        return _tried(prepared.failure, StepCall(None), made)
    try:
        if steps_of(node) and made.exception is not None:
            call = _of_step(node, made.data, failed_path(made.exception))
        else:
            call = _alone(node, made.data)
    except Exception:  # what is not there before it is asked for
        call = None
    call = call or _whole(node, made.data)
    tried = _tried(prepared.failure, call, made)
    hand_over(call)
    return tried
