"""Steps that had begun when a task failed, and the values they were called with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from time import perf_counter
from types import CodeType, FrameType, FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.calls import (
    Call,
    call_of,
    is_dasks,
    literal,
    name_of_function,
    named_arguments,
    plain_function,
    plain_name,
    steps_of,
    user_call,
)
from ..common.codes import file_of_frame
from ..common.frames import is_machinery, is_own, package_of, walk
from ..values.summarize import Budget, summarize

if TYPE_CHECKING:
    from ..common.wire_recordings import ValueForm
    from ..common.wire_replays import StepForm

MOST_STEPS = 12  # of a run, whose inputs are kept for the user to see
MOST_VALUES = 12  # of one step, that are kept, as their summaries
SECONDS = 0.5  # for the summaries of all steps of a run

# A task that has begun: its key, its run spec, and its inputs.
BegunTask = tuple[Any, Any, Mapping[Any, Any]]


class BegunStep(NamedTuple):
    """A step that has begun; ``label`` is empty where the function is Dask's own."""

    key: Any
    function: str
    label: str
    inputs: Mapping[Any, Any]
    arguments: tuple[tuple[str, Any], ...]
    failed: bool


def steps_of_run(
    begun: Iterable[BegunTask], exception: BaseException | None
) -> tuple[BegunStep, ...]:
    """The steps up to the end of a run: tasks of a graph, those of fused ones apart."""
    fused = failed_steps(exception) if exception is not None else ()
    steps = [_step(key, node, data, failed=False) for key, node, data in begun]
    if steps and exception is not None:
        last = steps.pop()._replace(failed=True)
        return (*steps, *(fused or ([last] if steps else [])))
    return (*steps, *fused)


def _step(key: Any, node: Any, data: Mapping[Any, Any], *, failed: bool) -> BegunStep:
    return BegunStep(
        key=key,
        function=function_name(node, data),
        label=_own_label(node, data),
        inputs={name: data[name] for name in node.dependencies if name in data},
        arguments=tuple(_arguments(node, data)),
        failed=failed,
    )


# --- wire form ------------------------------------------------------------------


def steps_wire(
    steps: Iterable[BegunStep], secret_names: tuple[str, ...] = ()
) -> list[StepForm]:
    """Steps in wire form, their values as summaries, within a bounded time."""
    deadline = perf_counter() + SECONDS

    def describe(value: Any, name: str = "") -> ValueForm:
        left = min(Budget.seconds, max(0.0, deadline - perf_counter()))
        budget = Budget(seconds=left, secret_names=secret_names)
        return summarize(value, name=name, budget=budget)

    def form(step: BegunStep) -> StepForm:
        shown = {id(value) for _, value in step.arguments}
        rest = [each for each in step.inputs.items() if id(each[1]) not in shown]
        arguments = step.arguments[:MOST_VALUES]
        return {
            "key": plain_key(step.key),
            "function": step.function,
            "label": step.label,
            "failed": step.failed,
            "arguments": [(name, describe(value, name)) for name, value in arguments],
            "inputs": [(plain_key(k), describe(v)) for k, v in rest[:MOST_VALUES]],
        }

    last = reversed([*steps][-MOST_STEPS:])  # the one that failed comes first
    return [form(step) for step in last][::-1]


def plain_key(key: Any) -> Any:
    """A key as JSON has it; a tuple becomes a list."""
    if isinstance(key, tuple):
        return [plain_key(part) for part in key]
    return key if type(key) in (str, int, float) else str(key)


# --- the user's own call ----------------------------------------------------------


def function_name(node: Any, known: Mapping[Any, Any] = MappingProxyType({})) -> str:
    """Name of the function that a node calls: the user's, where Dask wraps it."""
    if steps_of(node):
        return "fused steps"
    call = call_of(node, known)
    if call is None:
        return type(node).__name__
    name = name_of_function(call[0]).rpartition(".")[2]
    return "lambda" if name == "<lambda>" else name


def _own_label(node: Any, known: Mapping[Any, Any]) -> str:
    """Name of the user's function; empty where it is Dask's own, or has none."""
    call = call_of(node, known)
    name = function_name(node, known)
    return "" if call is None or is_dasks(call[0]) or name == "lambda" else name


def _arguments(node: Any, data: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    """The arguments of the user's own call, by name; none if it is Dask's own.

    What is made of inputs only as the task runs is left out.
    """
    from dask._task_spec import Alias, GraphNode, TaskRef

    call = call_of(node, data)
    if call is None or is_dasks(call[0]):
        return []
    found = []
    for name, value in named_arguments(*call):
        if isinstance(value, (Alias, TaskRef)):
            key = value.target if isinstance(value, Alias) else value.key
            if key in data:
                found.append((name, data[key]))
        elif not isinstance(value, GraphNode):
            found.append((name, value))
        elif is_container(value) and value.dependencies <= data.keys():
            found.append((name, value({key: data[key] for key in value.dependencies})))
    return found


def is_container(node: Any) -> bool:
    """Whether a node only puts inputs and literals into a list, a tuple or a dict."""
    from dask._task_spec import Alias, NestedContainer, Task

    if not isinstance(node, Task):
        return isinstance(node, Alias)
    # A list is Task(None, _identity_cast, *items, typ=list) (dask/_task_spec.py).
    cast = getattr(node.func, "__name__", "") == "_identity_cast"
    return (cast or isinstance(node, NestedContainer)) and all(
        not isinstance(each, Task) or is_container(each) for each in node.args
    )


# --- fused tasks ------------------------------------------------------------------


def failed_steps(exception: BaseException) -> tuple[BegunStep, ...]:
    """Steps of fused tasks that had begun, out of a traceback with live frames.

    The frames of ``execute_graph`` (dask/_task_spec.py) have ``dsk``,
    ``priorities``, ``key``, ``node`` and ``cache`` in their locals. What bags map is
    run by a later step, which takes one item after the other: the step that failed is
    the one whose function it is.
    """
    steps: list[BegunStep] = []
    frames = [frame for frame, _ in walk(exception.__traceback__)]
    for place, frame in enumerate(frames):
        if is_execute_graph(frame):
            # A fused step of a fused task: its own steps say more.
            if steps:
                steps.pop()
            steps.extend(_begun(frame.f_locals, frames[place + 1 :]))
    return tuple(steps)


def failed_path(exception: BaseException) -> tuple[Any, ...]:
    """Keys that lead to the step that failed: of a fused task, of one within it.

    Empty if it is no fused task.
    """
    frames = [frame for frame, _ in walk(exception.__traceback__)]
    path = [frame.f_locals["key"] for frame in frames if is_execute_graph(frame)]
    failed = next((step for step in failed_steps(exception) if step.failed), None)
    return (*path[:-1], failed.key) if path and failed is not None else ()


def is_execute_graph(frame: FrameType) -> bool:
    code = frame.f_code
    return (
        code.co_name == "execute_graph"
        and package_of(code.co_filename) == "dask"
        and {"key", "node", "cache", "dsk"} <= set(code.co_varnames)
        and "node" in frame.f_locals
    )


def _begun(local: Mapping[str, Any], below: list[FrameType]) -> Iterator[BegunStep]:
    from dask._task_spec import Alias, DataNode

    graph, order = local["dsk"], local.get("priorities") or {}
    # What no later step needs is no longer in the cache; literals are in the graph.
    # An alias is another name of a step, and none itself.
    given = {key: node for key, node in graph.items() if isinstance(node, DataNode)}
    data = {**{key: literal(node) for key, node in given.items()}, **local["cache"]}
    begun = [
        key
        for key in sorted(graph, key=lambda key: order.get(key, 0))
        if order.get(key, 0) < order.get(local["key"], 0)
        and key not in given
        and type(graph[key]) is not Alias
    ]
    begun.append(local["key"])
    own = _outermost_own(below)
    of_frame = [key for key in begun if own and _runs(graph[key], data, own.f_code)]
    failed = of_frame[0] if len(of_frame) == 1 else local["key"]
    for key in begun:
        step = _step(key, graph[key], data, failed=key == failed)
        if step.failed and own is not None:
            step = _as_called(step, graph[key], data, own, of_frame == [key])
        yield step


def _outermost_own(frames: list[FrameType]) -> FrameType | None:
    """The first frame of the user's own, as long as no task's graph is within."""
    for frame in frames:
        if is_execute_graph(frame):
            return None
        filename = file_of_frame(frame)
        if not is_machinery(filename) and is_own(filename):
            return frame
    return None


def _runs(node: Any, data: Mapping[Any, Any], code: CodeType) -> bool:
    """Whether a step is the one that runs some code."""
    call = call_of(node, data)
    if call is None:
        return False
    function, _ = plain_function(call[0])
    return type(function) is FunctionType and function.__code__ is code


def _as_called(
    step: BegunStep, node: Any, data: Mapping[Any, Any], own: FrameType, surely: bool
) -> BegunStep:
    """The step that failed, named for the user's own function; of a bag, the item."""
    call = call_of(node, data)
    label = plain_name(own.f_code.co_name)
    if label and (call is None or is_dasks(call[0])):
        return step._replace(function=label, label=label)
    mapped = mapped_call(own.f_back) if surely else None
    if mapped is None or step.arguments:
        return step
    return step._replace(arguments=tuple(named_arguments(*mapped)))


def mapped_call(frame: FrameType | None) -> Call | None:
    """The call of a bag's function: ``_MapChunk.__next__`` (dask/bag/core.py).

    Pinned by tests/test_contracts_provenance.py.
    """
    if frame is None or frame.f_code.co_name != "__next__":
        return None
    chunk: Any = frame.f_locals.get("self")
    values = frame.f_locals.get("vals")
    if type(chunk).__name__ != "_MapChunk" or not isinstance(values, list):
        return None
    names = tuple(chunk.kwarg_keys)
    count = len(values) - len(names)
    named = dict(zip(names, values[count:], strict=True))
    return user_call(chunk.f, values[:count], named)
