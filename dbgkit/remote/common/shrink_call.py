"""What of a task can be shrunk, and the task as it is run on less.

Its inputs; its own literals; and what a step has read that takes nothing from others:
the rest of the task is what is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dask._task_spec import Alias, DataNode, GraphNode, NestedContainer, Task, TaskRef

from .calls import (
    call_of,
    is_parameter,
    name_of_function,
    parameter_names,
    steps_of,
    target_of,
)
from .shrink_parts import axes_of, is_option, parts_in

# What a slot is: ``("input", key)``, ``("step", key)`` or ``("literal", place)``.
Name = tuple[str, Any]
Compute = Callable[[Any, Any], Any]  # of a key and a node without inputs: its value

_GETTERS = ("getter", "getter_nofancy", "getter_inline")
_MANY = 50  # parts of a literal beside inputs: fewer are options of the call


@dataclass
class Slots:
    """What is shrunk, by name, and what is run on it.

    If a step raises that takes nothing from others, it is the one that is tested.
    """

    key: Any
    node: Any
    values: dict[Name, Any]
    origins: dict[Name, Any] = field(default_factory=dict)  # steps that have read

    def on(self, values: Mapping[Name, Any]) -> tuple[Any, dict[Any, Any]]:
        """The run spec, and its inputs, with these values."""
        inputs = {name[1]: value for name, value in values.items() if _is(name)}
        rest = {name: value for name, value in values.items() if not _is(name)}
        return with_values(self.node, rest), inputs


def _is(name: Name) -> bool:
    return name[0] == "input"


def slots_of(key: Any, node: Any, data: Mapping[Any, Any], compute: Compute) -> Slots:
    """What of a task can be shrunk; steps that have read are run once."""
    node, sliced = _without_getters(node, data)
    ordered = sorted(node.dependencies, key=str)  # a set, whose order varies
    inputs = {("input", name): data[name] for name in ordered}
    found = Slots(key, node, dict(inputs))
    for name, each in [*sliced, *_leaves(node)]:
        try:
            value = each.value if type(each) is DataNode else compute(name[1], each)
        except KeyboardInterrupt:  # whoever waits for it
            raise
        except BaseException:  # the step's own, SystemExit too
            if name[0] == "step" and not inputs:
                return slots_of(name[1], each, {}, compute)
            return Slots(key, node, dict(inputs))
        try:
            value = list(value) if hasattr(value, "__next__") else value
        except KeyboardInterrupt:
            raise
        except BaseException:  # of a step that reads as it is asked for more
            continue
        found.values[name], found.origins[name] = value, each
    parted = any(_parts(value) for value in found.values.values())
    for name, value in _literals(node):
        if _parts(value) >= (_MANY if parted else 1):
            found.values[name] = value
    return found


def _without_getters(
    node: Any, data: Mapping[Any, Any]
) -> tuple[Any, list[tuple[Name, Any]]]:
    """A fused task without what it takes slices of, and the slices in its place.

    A slice of a smaller array would be another one (``dask.array.from_array``).
    """
    steps = steps_of(node)
    if not steps:
        return node, []
    # Task(key, _execute_subgraph, steps, outkey, inkeys, *refs)
    _, outkey, inkeys, *refs = node.args
    known = dict(data)
    known.update(
        {name: step.value for name, step in steps.items() if type(step) is DataNode}
    )
    for name, ref in zip(inkeys, refs, strict=True):
        if issubclass(type(ref), (TaskRef, Alias)):
            known[name] = data.get(target_of(ref))
        else:
            known[name] = ref({}) if issubclass(type(ref), GraphNode) else ref
    slices = {
        name: step({key: known[key] for key in step.dependencies})
        for name, step in steps.items()
        if _is_getter(step) and name != outkey and step.dependencies <= known.keys()
    }
    found: list[tuple[Name, Any]] = [
        (("step", name), DataNode(name, value)) for name, value in slices.items()
    ]
    return with_values(node, {name: None for name, _ in found}), found


def _is_getter(step: Any) -> bool:
    return _is_task(step) and name_of_function(step.func) in _GETTERS


def _parts(value: Any) -> int:
    """How many parts the largest axis of a value has; of an empty frame none."""
    axes = axes_of(value)
    if is_option(value):
        return 0
    if not axes:  # a tuple of some other class, maybe
        return parts_in(value)
    return max((each.size for each in axes), default=0) if axes and axes[0][1] else 0


def _leaves(node: Any) -> Iterator[tuple[Name, Any]]:
    """Steps, or tasks within arguments, that take nothing from others."""
    steps = steps_of(node)
    for name, step in steps.items():
        if _is_task(step) and not step.dependencies and name != node.args[1]:
            yield ("step", name), step
    if steps or type(node) is not Task:
        return
    for place, value in _arguments(node):
        if _is_task(value) and not value.dependencies and not _is_plain(value):
            yield ("literal", place), value


def _is_task(value: Any) -> bool:
    return issubclass(type(value), Task)


def _is_plain(value: Any) -> bool:
    """Whether a node is a container of literals alone."""
    return issubclass(type(value), NestedContainer) and not any(
        _is_task(each) and not _is_plain(each) for each in value.args
    )


def _arguments(node: Any) -> Iterator[tuple[Any, Any]]:
    """Arguments of a task by their place, or their name."""
    yield from enumerate(node.args)
    yield from node.kwargs.items()


def _literals(node: Any) -> Iterator[tuple[Name, Any]]:
    """The task's own literals, in Dask's wrappers or out of them."""
    steps = steps_of(node)
    for name, step in steps.items():
        if type(step) is DataNode and not is_parameter(name):
            yield ("step", name), step.value
    if steps or type(node) is not Task:
        return
    for place, value in _arguments(node):
        if type(place) is str and place.startswith("_"):
            continue  # Dask's own: the function, what its result is like
        if type(value) is DataNode:
            yield ("literal", place), value.value
        elif issubclass(type(value), NestedContainer) and not value.dependencies:
            if _is_plain(value):
                yield ("literal", place), value({})
        elif not issubclass(type(value), (GraphNode, TaskRef)):
            yield ("literal", place), value


def with_values(node: Any, values: Mapping[Name, Any]) -> Any:
    """A task with some literals, and what some steps give, replaced."""
    if not values:
        return node
    steps = steps_of(node)
    if steps:
        given = {
            name: DataNode(name, values["step", name])
            for name in steps
            if ("step", name) in values
        }
        return _pruned(node, {**steps, **given})
    args = tuple(
        values.get(("literal", index), argument)
        for index, argument in enumerate(node.args)
    )
    kwargs = {
        name: values.get(("literal", name), argument)
        for name, argument in node.kwargs.items()
    }
    return Task(node.key, node.func, *args, **kwargs)


def _pruned(node: Any, steps: Mapping[Any, Any]) -> Any:
    """A fused task with other steps, without those that nothing needs any more."""
    _, outkey, inkeys, *refs = node.args
    used: set[Any] = set()
    waiting = [outkey]
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            step = steps.get(name)
            waiting += step.dependencies if step is not None else ()
    rest = {name: step for name, step in steps.items() if name in used}
    kept = [
        ref if name in used else None for name, ref in zip(inkeys, refs, strict=True)
    ]
    return Task(node.key, node.func, rest, outkey, inkeys, *kept, **node.kwargs)


def words_of(name: Name, node: Any) -> str:
    """What a slot is, in words: an input's key, a parameter, a step."""
    kind, what = name
    if kind == "input":
        return str(what)
    if kind == "step":
        return f"step {what}"
    call = call_of(node)
    function = name_of_function(node.func if call is None else call[0])
    names = parameter_names(node.func)
    if type(what) is int:
        what = names[what] if what < len(names) else f"{what}"
    return f"argument {what} of {function}"
