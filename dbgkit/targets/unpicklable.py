"""Exceptions of what cannot be pickled: before anything was sent, and of results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dbgkit.remote.common.calls import steps_of
from dbgkit.remote.common.texts import safe_str
from dbgkit.targets.graphs import materialise
from dbgkit.targets.naming import prefix_of
from dbgkit.targets.tracebacks import live_places
from dbgkit.targets.unpicklable_part import (
    Clock,
    Culprit,
    TimeUp,
    find_culprit,
    first_unpicklable,
    in_one_line,
    joined,
)
from dbgkit.targets.without_task_kind import Kind

_SAID = "Could not serialize object of type"
_MAKE_INSIDE = (
    "create it inside the task, or leave it out in __getstate__ of the object that "
    "holds it"
)
_TRACEBACK = re.compile(r"^(?P<last>\w[\w.]*(?:Error|Exception)?: .*)$", re.MULTILINE)


def of_unsent(error: BaseException) -> Kind | None:
    """What this process could not pickle to send it, or could not hash."""
    places = live_places(error)
    serialized = [
        frame.f_locals
        for place, frame in places
        if place in _PICKLING and "x" in frame.f_locals
    ]
    # A wrapped error: Dask raises its own from what the pickling raised, whose frames
    # begin within.
    if serialized and places[0][0] not in _PICKLING:
        value = serialized[0]["x"]
        return Kind("unsent", error, *_notes_of(getattr(value, "data", value), places))
    hashed = [
        frame.f_locals["o"]
        for place, frame in places
        if place == ("dask", "tokenize.py", "normalize_object")
        and "o" in frame.f_locals
    ]
    if hashed and type(error).__module__ == "dask.tokenize":
        return Kind("unsent", error, *_notes_of_unhashed(hashed[-1], places))
    return None


# ``serialize`` and ``dumps`` call what they pickle ``x``.
_PICKLING = (
    ("distributed", "serialize.py", "serialize"),
    ("distributed", "pickle.py", "dumps"),
)


def of_result(error: BaseException) -> Kind | None:
    """A result that its worker could not pickle.

    ``serialization_error_loads`` (distributed/protocol/serialize.py) raises it here.
    """
    if not isinstance(error, TypeError) or _SAID not in safe_str(error):
        return None
    places = live_places(error)
    if not any(place[2] == "serialization_error_loads" for place, _ in places):
        return None
    text = safe_str(error)
    kind = text.split(_SAID, 1)[1].split("\n")[0].strip()
    said = _TRACEBACK.findall(text)
    why = f" ({said[-1][:200]})" if said else ""
    key = _key_waited_for(places)
    whose = f"the result of {key!r}" if key is not None else "a result"
    return Kind(
        "result",
        error,
        f"{whose}, a {kind}, cannot be pickled, so its worker cannot send it{why}: the "
        "task itself has not failed",
        "have the task return what can be pickled, or go on with the result in a task "
        "on the same worker",
    )


def _key_waited_for(places: list[Any]) -> Any:
    for place, frame in places:
        keys = frame.f_locals.get("keys")
        if place == ("dask", "base.py", "compute") and keys and len(keys) == 1:
            return keys[0]
        if place[:2] == ("distributed", "client.py"):
            for name in ("self", "future"):
                key = getattr(frame.f_locals.get(name), "key", None)
                if key is not None:
                    return key
    return None


# --- what it is that cannot be pickled ----------------------------------------


def _notes_of(value: Any, places: list[Any]) -> tuple[str, ...]:
    clock = Clock()
    graph = _graph_of(value)
    whose, found = "", None
    try:
        if graph is not None:
            whose, found = find_in_graph(graph, clock)
    except TimeUp as up:
        whose, found = "the graph", Culprit("", value, up, complete=False)
    if found is None:
        whose = _whose(value, places)
        # What client.run takes is sent as these.
        start = "args" if type(value) is tuple else ""
        found = find_culprit(value, clock, start)
    return _in_words(whose, found, "cannot be pickled")


def _notes_of_unhashed(value: Any, places: list[Any]) -> tuple[str, ...]:
    """For what Dask was to hash to make a key: it pickles that to do so."""
    clock = Clock()
    local = _call_of(places)
    name = _function_name(local)
    for argument in _ARGUMENTS:
        if argument in local and (
            found := find_culprit(local[argument], clock, argument)
        ):
            return _in_words(name, found, "cannot be pickled, and so cannot be hashed")
    name = name or repr(getattr(value, "__name__", type(value).__name__))
    return (
        f"{_UNSENT}: an argument of {name} cannot be hashed in the same way each time",
        "give its class __dask_tokenize__, or pass key= or pure=False",
    )


_UNSENT = "nothing was sent, and no task ran"
# Of what makes tasks of a function: client.map, map_partitions, delayed, …
_ARGUMENTS = ("func", "function", "obj", "iterables", "args", "kwargs")


def _call_of(places: list[Any]) -> dict[str, Any]:
    """Locals of the first of Dask's frames that has a function and arguments."""
    for place, frame in places:
        if place[0] in ("dask", "distributed"):
            local = frame.f_locals
            if any(callable(local.get(name)) for name in _ARGUMENTS[:3]):
                return dict(local)
    return {}


def _function_name(local: Mapping[str, Any]) -> str:
    from dask.utils import funcname

    for name in _ARGUMENTS[:3]:
        if callable(local.get(name)):
            return repr(str(funcname(local[name])))
    return ""


def _in_words(whose: str, found: Culprit | None, cannot: str) -> tuple[str, ...]:
    """What cannot be pickled, of which task; and what to do."""
    path = found.path if found is not None else ""
    what = path or whose or "something that was to be sent"
    # A function that is named there is the task's own, or says more.
    if path and whose and "of '" not in path:
        what = f"{path} of {whose}"
    if found is None:
        said = f"{what} {cannot}"
    elif found.complete:
        about = f"{_kind(found.value)}: {in_one_line(found.error)}"
        said = f"{what} {cannot} ({about})"
    else:
        said = f"something in {what} {cannot}; which part of it was not found in time"
    return f"{_UNSENT}: {said}", _MAKE_INSIDE


def _kind(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ in ("builtins", "__main__") else kind.__module__
    return f"a {module}.{kind.__qualname__}" if module else f"a {kind.__qualname__}"


def _whose(value: Any, places: list[Any]) -> str:
    """What was to be sent, in words: by the client's method that was to send it."""
    for place, frame in places:
        if place[:2] != ("distributed", "client.py"):
            continue
        method = place[2].lstrip("_")
        if method in ("run", "run_on_scheduler"):
            function = frame.f_locals.get("function")
            name = getattr(function, "__name__", "the function")
            return f"what client.{method} was to call, {name!r}"
        if method in ("scatter", "publish_dataset") or "plugin" in method:
            return f"the {type(value).__name__} handed to client.{place[2].strip('_')}"
    return f"a {type(value).__name__}"


def _graph_of(value: Any) -> Mapping[Any, Any] | None:
    """The graph that was to be sent; None if it was not a graph."""
    if not hasattr(value, "__dask_graph__"):
        return None
    try:
        return materialise(value)
    except Exception:  # it cannot be made at all: the expression has to do
        return None


def find_in_graph(graph: Mapping[Any, Any], clock: Clock) -> tuple[str, Culprit | None]:
    """Whose part of a graph cannot be pickled, and which part that is.

    Raises `TimeUp` if it was not found within the clock's limit.
    """
    keys = list(graph)
    index = first_unpicklable([graph[key] for key in keys], clock)
    if index is None:
        return "", None
    key = keys[index]
    whose = repr(prefix_of(key))
    for inner, step, part in _node_parts(graph[key], ""):
        found = find_culprit(part, clock, step)
        if found is not None:
            return (repr(prefix_of(inner)) if inner is not None else whose), found
    return whose, find_culprit(graph[key], clock)


def _node_parts(node: Any, path: str) -> Iterator[tuple[Any, str, Any]]:
    """Function and arguments of a task, and of tasks among these.

    Gives the key of the inner task, where that has one of its own; the path; the part.
    """
    from dask._task_spec import DataNode, GraphNode, NestedContainer, Task

    if isinstance(node, DataNode):
        yield None, path or "value", node.value
        return
    if not isinstance(node, Task):
        return
    steps = steps_of(node)
    for key, step in steps.items():
        for inner, where, part in _node_parts(step, ""):
            yield (key if inner is None else inner), where, part
    if steps:
        return
    nested = isinstance(node, NestedContainer)
    if not nested:
        yield None, joined(path, ".func"), node.func
    named = [
        *((f"[{i}]" if nested else f".args[{i}]", a) for i, a in enumerate(node.args)),
        *((_option_step(name), a) for name, a in (node.kwargs or {}).items()),
    ]
    for step, argument in named:
        where = joined(path, step)
        if isinstance(argument, GraphNode):
            yield from _node_parts(argument, where)
        else:
            yield None, where, argument


def _option_step(name: str) -> str:
    """Calls of Delayed may have all their options in one (dask 2025.4)."""
    return ".kwargs" if name == "dask_kwargs" else f".kwargs[{name!r}]"
