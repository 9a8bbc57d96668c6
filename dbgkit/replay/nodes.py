"""Run specs (``dask._task_spec.GraphNode``): read, copied, renamed, called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from dbgkit.errors import InputNotCopyable, RunSpecUnreadable
from dbgkit.locate.naming import name_of, prefix_of
from dbgkit.model import Step
from dbgkit.remote.frames import package_of, walk
from dbgkit.remote.summarize import summarize
from dbgkit.remote.texts import safe_str


def read_spec(data: bytes, key: Any) -> Any:
    """A run spec out of its pickle: new objects each time, literals too.

    Raises
    ------
    RunSpecUnreadable
        A module is missing here, or is another one than on the cluster.
    """
    from distributed.protocol.pickle import loads

    try:
        return loads(data)
    except Exception as error:  # unpickling runs anybody's code
        missing = getattr(error, "name", None) if isinstance(error, ImportError) else ""
        if missing:
            message = f"the task {key!r} cannot be read here: no module {missing!r}"
            hint = f"install {missing.split('.')[0]!r} here, as on the workers"
        else:
            message = f"the task {key!r} cannot be read here: {safe_str(error)}"
            hint = "is the code here that of the workers?"
        raise RunSpecUnreadable(
            message, hint, key=key, missing=missing or ""
        ) from error


def write(value: Any, what: str, key: Any = None) -> bytes:
    """Pickle a value, by value where it must be (``distributed.protocol.pickle``)."""
    from distributed.protocol.pickle import dumps

    try:
        data: bytes = dumps(value)
    except Exception as error:  # pickling runs anybody's code
        raise InputNotCopyable(
            f"{what} cannot be copied: {safe_str(error)}",
            "where='process' runs it in a copy of this process",
            key=key,
        ) from error
    return data


def bind(
    node: Any, data: Mapping[Any, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The call that a node stands for, with its inputs put in.

    Does what ``Task.__call__`` (dask/_task_spec.py) does before it calls
    ``Task.func``; other nodes are called with the inputs as they are.
    """
    from dask._task_spec import GraphNode, Task, TaskRef

    if not isinstance(node, Task):
        return node, (data,), {}

    def value(argument: Any) -> Any:
        if isinstance(argument, GraphNode):
            return argument({key: data[key] for key in argument.dependencies})
        if isinstance(argument, TaskRef):
            return data[argument.key]
        return argument

    args = tuple(value(argument) for argument in node.args)
    kwargs = {name: value(argument) for name, argument in node.kwargs.items()}
    return node.func, args, kwargs


def rename(node: Any, names: Mapping[Any, Any], key: Any) -> Any:
    """A node under another key, with some of its dependencies renamed.

    ``GraphNode.substitute`` does the most; ``Alias`` and the containers among the
    nodes do not take the new key (dask/_task_spec.py).
    """
    from dask._task_spec import Alias

    if isinstance(node, Alias):
        return Alias(key, names.get(node.target, node.target))
    renamed = node.substitute(names, key=key)
    renamed.key = key
    return renamed


def subgraph(node: Any) -> Mapping[Any, Any]:
    """Steps of a fused task, by key; empty for others (``GraphNode.fuse``)."""
    function = getattr(node, "func", None)
    if getattr(function, "__name__", "") == "_execute_subgraph" and node.args:
        steps = node.args[0]
        if isinstance(steps, Mapping):
            return steps
    return {}


def is_p2p(node: Any) -> bool:
    """Whether a node is part of a P2P shuffle, which knows its tasks by their keys."""
    if any(is_p2p(step) for step in subgraph(node).values()):
        return True
    function = getattr(node, "func", None)
    modules = (type(node).__module__, getattr(function, "__module__", "") or "")
    return any(module.startswith("distributed.shuffle") for module in modules)


def without_p2p(node: Any) -> tuple[Any, dict[Any, Any]]:
    """A fused task without its steps that take from a P2P shuffle, and those steps.

    They ask the worker's shuffle for their part, so that they run nowhere else; the
    task then has them as inputs. Any other task comes back as it is.
    """
    from dask._task_spec import GraphNode

    steps = _flat_steps(node)
    taken = {key: step for key, step in steps.items() if is_p2p(step)}
    rest = {key: step for key, step in steps.items() if key not in taken}
    # A step that gives to a shuffle needs what comes before it in this task.
    gives = any(rest.keys() & set(step.dependencies) for step in taken.values())
    if not taken or not rest or gives:
        return node, {}
    return GraphNode.fuse(*rest.values(), key=node.key), taken


def _flat_steps(node: Any) -> dict[Any, Any]:
    """Steps of a fused task; where one with P2P in it is fused too, its own."""
    from dask._task_spec import Alias

    flat: dict[Any, Any] = {}
    for key, step in subgraph(node).items():
        inner = subgraph(step)
        if not inner or not is_p2p(step):
            flat[key] = step
            continue
        # Task(key, _execute_subgraph, steps, outkey, inkeys, *refs)
        _, outkey, inkeys, *refs = step.args
        flat.update(_flat_steps(step))
        if outkey != key:
            flat[key] = Alias(key, outkey)
        flat.update(
            {
                name: Alias(name, ref.key)
                for name, ref in zip(inkeys, refs, strict=True)
                if name != ref.key
            }
        )
    return flat


def function_name(node: Any) -> str:
    """Name of the function that a node calls."""
    from dask.utils import funcname

    function = getattr(node, "func", None)
    if subgraph(node):
        return "fused steps"
    return str(funcname(function)) if function is not None else type(node).__name__


def step_label(key: Any, node: Any) -> str:
    """The user's function, or what Dask calls the step where it is Dask's own."""
    function = getattr(node, "func", None)
    module = getattr(function, "__module__", "") or ""
    name = function_name(node)
    own = module.split(".")[0] == "dask" or name in ("lambda", "fused steps")
    return prefix_of(key) if own else name


def describe_call(node: Any) -> str:
    """The call that a node stands for, in a bounded text; inputs by their keys."""
    from dask._task_spec import Alias, GraphNode, Task, TaskRef

    def text(name: str, argument: Any) -> str:
        if isinstance(argument, (Alias, TaskRef)):
            return f"<{getattr(argument, 'target', argument.key)}>"
        if isinstance(argument, GraphNode):
            keys = ", ".join(
                f"<{key}>" for key in sorted(argument.dependencies, key=str)
            )
            return f"{type(argument).__name__}({keys[:200]})"
        told: str = summarize(argument, name=name)["text"]
        return told

    if not isinstance(node, Task) or subgraph(node):
        return function_name(node)
    parts = [text("", argument) for argument in node.args]
    parts += [f"{name}={text(name, value)}" for name, value in node.kwargs.items()]
    return f"{function_name(node)}({', '.join(parts)})"


def failed_steps(exception: BaseException) -> tuple[Step, ...]:
    """Steps of fused tasks that had begun, out of a traceback with live frames.

    The frames of ``execute_graph`` (dask/_task_spec.py) have ``dsk``,
    ``priorities``, ``key``, ``node`` and ``cache`` in their locals.
    """
    steps: list[Step] = []
    for frame, _ in walk(exception.__traceback__):
        if _is_execute_graph(frame):
            # A fused step of a fused task: its own steps say more.
            if steps:
                steps.pop()
            steps.extend(_begun(frame.f_locals))
    return tuple(steps)


def _is_execute_graph(frame: FrameType) -> bool:
    code = frame.f_code
    return (
        code.co_name == "execute_graph"
        and package_of(code.co_filename) == "dask"
        and {"key", "node", "cache", "dsk"} <= set(code.co_varnames)
        and "node" in frame.f_locals
    )


def _begun(local: Mapping[str, Any]) -> list[Step]:
    graph, cache = local["dsk"], local["cache"]
    order = local.get("priorities") or {}
    from dask._task_spec import DataNode

    done = [
        key
        for key in sorted(graph, key=lambda key: order.get(key, 0))
        if order.get(key, 0) < order.get(local["key"], 0)
        and not isinstance(graph[key], DataNode)
    ]
    return [
        Step(
            key=key,
            name=name_of(key, step=step_label(key, graph[key])),
            function=function_name(graph[key]),
            label=step_label(key, graph[key]),
            inputs={
                name: cache[name] for name in graph[key].dependencies if name in cache
            },
            failed=key == local["key"],
        )
        for key in [*done, local["key"]]
    ]
