"""Run specs (``dask._task_spec.GraphNode``): read, copied, renamed, called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain, repeat
from typing import Any

from dbgkit import advice
from dbgkit.cluster.packed import NeverRead
from dbgkit.errors import (
    BundleUnreadable,
    InputNotCopyable,
    RunSpecUnreadable,
    WaitTimedOut,
)
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.calls import call_of, parameter_names, steps_of
from dbgkit.remote.common.texts import safe_str
from dbgkit.remote.recording.steps import function_name, is_container
from dbgkit.remote.values.summarize import Budget, summarize
from dbgkit.replays.by_value import dumps_by_value
from dbgkit.source import Reader

# _shuffle.py and _merge.py of dask/dataframe/dask_expr.
P2P_WRAPPERS = ("_shuffle_transfer", "assign_index_merge_transfer")


def read_spec(data: bytes, key: Any, reader: Reader) -> Any:
    """A run spec from its pickle: new objects each time, literals too.

    Its functions have their files again, and no class of this process changes.

    Raises
    ------
    RunSpecUnreadable
        A module is missing here, or differs from the cluster's.
    WaitTimedOut
        Unpickling it waits for something.
    """
    try:
        return reader.loads(data)
    except NeverRead as error:
        raise WaitTimedOut(
            f"the task {key!r} was not unpickled here within {error.limit:g} s: "
            "reading it waits for something",
            f"{advice.option('where', 'worker')} has a worker read it",
            key=key,
        ) from None
    except BundleUnreadable as error:  # there are no workers that could read it
        raise RunSpecUnreadable(
            f"the task {key!r} cannot be read here: {error.message}",
            error.hint,
            key=key,
        ) from error
    except Exception as error:  # unpickling runs anybody's code
        missing = getattr(error, "name", None) if isinstance(error, ImportError) else ""
        there = advice.option("where", "worker")
        if missing:
            why = f"no module {missing!r}"
            hint = (
                f"install {missing.split('.')[0]!r} here, as on the workers, or have "
                f"a worker run it: {there}"
            )
        else:
            why = safe_str(error)
            hint = f"the code here may differ from the workers'; {there} runs theirs"
        message = f"the task {key!r} cannot be read here: {why}"
        raise RunSpecUnreadable(
            message, hint, key=key, missing=missing or ""
        ) from error


def write(value: Any, what: str, key: Any = None) -> bytes:
    """Pickle a value, by value where it must be: see `dumps_by_value`."""
    try:
        return dumps_by_value(value)
    except Exception as error:  # pickling runs anybody's code
        raise InputNotCopyable(
            f"{what} cannot be copied: {safe_str(error)}",
            f"{advice.option('where', 'process')} runs it in a copy of this process",
            key=key,
        ) from error


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


def bind_plainly(
    node: Any, data: Mapping[Any, Any]
) -> tuple[Callable[..., Any] | None, tuple[Any, ...], dict[str, Any]]:
    """As `bind` if that runs no user code; otherwise nothing is bound."""
    from dask._task_spec import Task

    plain = isinstance(node, Task) and not any(
        isinstance(each, Task) and not is_container(each)
        for each in (*node.args, *node.kwargs.values())
    )
    if not plain or steps_of(node) or not node.dependencies <= data.keys():
        return None, (), {}
    return bind(node, data)


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


def with_function(node: Any, function: Callable[..., Any]) -> Any:
    """A task that calls another function with the same arguments."""
    from dask._task_spec import Task

    return Task(node.key, function, *node.args, **node.kwargs)


def is_p2p(node: Any) -> bool:
    """Whether a node is part of a P2P shuffle, which knows its tasks by their keys."""
    if any(is_p2p(step) for step in steps_of(node).values()):
        return True
    function = getattr(node, "func", None)
    modules = (type(node).__module__, getattr(function, "__module__", "") or "")
    if any(module.startswith("distributed.shuffle") for module in modules):
        return True
    # Around those of distributed.shuffle (dask/dataframe/dask_expr).
    return (
        modules[1].startswith("dask.dataframe")
        and getattr(function, "__name__", "") in P2P_WRAPPERS
    )


def without_p2p(node: Any) -> tuple[Any, dict[Any, Any]]:
    """A fused task without its steps that take from a P2P shuffle, and those steps.

    They ask the worker's shuffle for their part, so they run nowhere else; the task
    then has them as inputs. Any other task is returned as it is.
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
    """Steps of a fused task; a fused step with P2P in it counts as its steps."""
    from dask._task_spec import Alias

    flat: dict[Any, Any] = {}
    for key, step in steps_of(node).items():
        inner = steps_of(step)
        if not inner or not is_p2p(step):
            flat[key] = step
            continue
        # Task(key, _execute_subgraph, steps, outkey, inkeys, *refs)
        _, outkey, inkeys, *refs = step.args
        flat.update(_flat_steps(step))
        if outkey != key:
            flat[key] = Alias(key, outkey)
        for name, ref in zip(inkeys, refs, strict=True):
            if name != ref.key:
                flat[name] = Alias(name, ref.key)
    return flat


def describe_call(node: Any) -> str:
    """The call that a node stands for, in a bounded text; inputs by their keys."""
    from dask._task_spec import Alias, GraphNode, Task, TaskRef

    budget = Budget(secret_names=secret_names())

    def text(name: str, argument: Any) -> str:
        if isinstance(argument, (Alias, TaskRef)):
            return f"<{getattr(argument, 'target', argument.key)}>"
        if isinstance(argument, GraphNode):
            keys = ", ".join(
                f"<{key}>" for key in sorted(map(str, argument.dependencies))
            )
            return f"{type(argument).__name__}({keys[:200]})"
        return summarize(argument, name=name, budget=budget)["text"]

    if not isinstance(node, Task) or steps_of(node):
        return function_name(node)
    call = call_of(node)
    assert call is not None
    function, args, kwargs = call
    # Not shown, but a value is hidden by its name where it is given by its place too.
    names = chain(parameter_names(function), repeat(""))
    parts = [text(name, argument) for name, argument in zip(names, args, strict=False)]
    parts += [f"{name}={text(name, value)}" for name, value in kwargs.items()]
    return f"{function_name(node)}({', '.join(parts)})"
