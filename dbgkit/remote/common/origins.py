"""Where a task's values came from: the literals that lead to it.

Read off run specs: of the task, of tasks nested in its arguments, of fused steps, and
of what it takes from others. Nothing is run, no value is copied, the work is
bounded, and what is returned is builtin types.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from dask._task_spec import Alias, DataNode, GraphNode, NestedContainer, Task, TaskRef
from dask.utils import key_split

from .calls import (
    Call,
    call_of,
    is_dasks,
    is_parameter,
    literal,
    module_of,
    name_of_function,
    named_arguments,
    steps_of,
    target_of,
    unreified,
    user_call,
)
from .origins_steps import Candidate, Frame, failed_step
from .origins_values import SHORT, file_of, is_plain, paths_in, tell, tell_index

if TYPE_CHECKING:
    from .wire_failures import OriginForm

MOST = 4  # origins that are listed
VISITS = 300  # nodes that are looked at
_LINKS = 3_000  # their arguments: those of so many take some 5 ms
_WIDE = 500  # arguments of one call
_STEP_LINKS = 600  # arguments of all steps of a task, of which one failed
_DEEPEST = 20  # references from name to name
_GETTERS = ("getter", "getter_nofancy", "getter_inline", "getitem")

_Names = Mapping[Any, Any]  # of a fused task: name -> (node, its own names)
# A node, the names it knows, the key it belongs to, and the calls it is within.
_Place = tuple[Any, _Names, Any, tuple[Any, ...]]


def origins_of(
    key: Any,
    node: Any,
    spec_of: Callable[[Any], Any],
    *,
    frames: Sequence[Frame] = (),
    visits: int = VISITS,
) -> list[OriginForm]:
    """The literals that lead to a task, the nearest first.

    Of a task with several steps, those that lead to the one that failed; where that
    is not certain, those that any of them began with.

    ``node`` is its run spec, and ``spec_of`` gives that of another key, if known. The
    frames are those of its traceback, outermost first: they show which step failed. At
    most ``visits`` run specs are looked at.
    """
    search = _Search(spec_of, visits)
    search.run(key, node, frames)
    return search.listed()


class _Search:
    def __init__(self, spec_of: Callable[[Any], Any], visits: int) -> None:
        self.spec_of = spec_of
        self.left = visits
        self.links = _LINKS
        self.found: dict[tuple[Any, ...], OriginForm] = {}
        self.seen: set[Any] = set()
        self.wide = False
        self.waiting: deque[_Place] = deque()
        self.failed: Any = None  # the node whose own literals are listed in any case
        self.whole: tuple[Any, Any] = (None, None)  # of a step, and its task's key

    def run(self, key: Any, node: Any, frames: Sequence[Frame]) -> None:
        self.seen.add(key)
        self.waiting.append(self.start(key, node, frames))
        while self.waiting and self.left > 0 and self.links > 0:
            self.left -= 1
            place: _Place | None = self.waiting.popleft()
            for _ in range(_DEEPEST):
                if place is None or not _is(place[0], (TaskRef, Alias)):
                    break
                place = self.follow(*place)
            if place is not None:
                self.look(*place)

    def start(self, key: Any, node: Any, frames: Sequence[Frame]) -> _Place:
        """The step that failed; the whole task where that is not certain."""
        whole: _Place = (node, {}, key, ())
        steps = self.steps(whole)
        step = steps[0] if len(steps) == 1 else failed_step(steps, frames)
        if step is None:
            return whole
        place: _Place = step.place
        self.failed = place[0]
        self.whole = place[2], key
        return place if len(steps) > 1 else whole

    def steps(self, place: _Place) -> list[Candidate]:
        """All that a task calls: steps of fused ones, and those nested in arguments.

        Empty if there are more than can be looked at.
        """
        found: list[Candidate] = []
        waiting, left = [place], _STEP_LINKS
        while waiting:
            node, names, key, outer = waiting.pop()
            if not _is(node, Task):
                continue
            fused = steps_of(node)
            if fused:
                inner = _inner(node, fused, names)
                for name, step in fused.items():
                    own = key if is_parameter(name) else name
                    waiting.append((step, inner, own, outer))
                continue
            bare = unreified(node)
            arguments = [*bare.args[:_WIDE], *bare.kwargs.values()]
            left -= len(arguments) + 1
            if left < 0:
                return []
            call = self.call(bare, arguments, names)
            if call is not None:
                found.append(Candidate((node, names, key, outer), call, bare.func))
            within = (*outer, (key, call))
            waiting += [(each, names, key, within) for each in arguments]
        return found

    def listed(self) -> list[OriginForm]:
        found: list[OriginForm] = list(self.found.values())
        more = len(found) - MOST
        cut = self.wide or bool(self.waiting)
        if not found or (more <= 0 and not cut):
            return found
        return [*found[:MOST], {"more": max(0, more), "least": cut}]

    def add(self, key: Any, **wire: Any) -> None:
        step, whole = self.whole
        key = whole if key == step else key
        found: Any = {"path": "", "place": "", "args": [], "key": key, **wire}
        name = (found["what"], found["path"], found["place"], str(found["args"]))
        self.found.setdefault(name, found)

    def look(self, node: Any, names: _Names, key: Any, outer: tuple[Any, ...]) -> None:
        """Note what a node says, or go on to what it takes."""
        if _is(node, DataNode):
            self.look_at_value(node.value, key)
        elif _is(node, Task):
            self.look_at_task(node, names, key, outer)

    def follow(
        self, reference: Any, names: _Names, key: Any, outer: tuple[Any, ...]
    ) -> _Place | None:
        """What a reference stands for; None where it is not known, or seen before."""
        target = target_of(reference)
        if target in names:
            node, inner = names[target]
            return node, inner, key if is_parameter(target) else target, outer
        if target in self.seen:
            return None
        self.seen.add(target)
        node = self.spec_of(target)
        return None if node is None else (node, {}, target, ())

    def look_at_task(self, node: Any, names: _Names, key: Any, outer: Any) -> None:
        steps = steps_of(node)
        if steps:
            inner, outkey = _inner(node, steps, names), node.args[1]
            if outkey in steps:
                self.waiting.append((steps[outkey], inner, key, outer))
            return
        arguments = [*node.args[:_WIDE], *node.kwargs.values()]
        self.wide |= len(node.args) > _WIDE
        self.links -= len(arguments)
        within = (*outer, (key, self.call(node, arguments, names)))
        if self.read(node, arguments, names, key, within):
            return
        takes = [each for each in arguments if self.leads_on(each, names)]
        if not takes:
            self.look_at_call(within[-1][1], key, outer)
        elif node is self.failed:
            self.look_at_call(within[-1][1], key, outer, first=True)
        for argument in takes:
            self.waiting.append((argument, names, key, within))

    def call(self, node: Any, arguments: list[Any], names: _Names) -> Call | None:
        """The user's own call that a task stands for."""
        if _is(node, NestedContainer):
            return None
        known = {
            target_of(argument): literal(self.resolve(argument, names, ask=False)[0])
            for argument in arguments
            if _is(argument, (TaskRef, Alias)) and is_parameter(target_of(argument))
        }
        # Of those whose value is not a literal, the name stays.
        nodes = (GraphNode, TaskRef)
        return call_of(node, {n: v for n, v in known.items() if not _is(v, nodes)})

    def leads_on(self, argument: Any, names: _Names) -> bool:
        """Whether an argument is more than a literal of the call."""
        if _is(argument, (TaskRef, Alias)) and not is_parameter(target_of(argument)):
            return True
        resolved, _ = self.resolve(argument, names, ask=False)
        if _is(resolved, NestedContainer):
            return bool(resolved.dependencies) or any(
                _is(each, GraphNode) for each in resolved.args
            )
        if _is(resolved, DataNode):
            return file_of(resolved.value) is not None
        return _is(resolved, (GraphNode, TaskRef))

    def resolve(self, argument: Any, names: _Names, ask: bool) -> tuple[Any, Any]:
        """What an argument refers to, and the key that has it."""
        key = None
        for _ in range(_DEEPEST):
            if not _is(argument, (TaskRef, Alias)):
                break
            target = target_of(argument)
            if target in names:
                argument, names = names[target]
            elif ask and (spec := self.spec_of(target)) is not None:
                argument, names, key = spec, {}, target
            else:
                break
        return argument, key

    # -- what a task reads -------------------------------------------------------

    def read(
        self, node: Any, arguments: list[Any], names: _Names, key: Any, outer: Any
    ) -> bool:
        """Note what a task reads from; False if it reads nothing."""
        if name_of_function(node.func) in _GETTERS and len(node.args) > 1:
            return self.read_slice(node, names, key)
        found = (self.resolve(argument, names, ask=False) for argument in arguments)
        values = [literal(value) for value, _ in found]
        paths = [found for value in values for found in paths_in(value)]
        if not paths:
            return False
        what = _reader_name(outer)
        place = ""
        if name_of_function(node.func) == "read_block_from_file":
            place = _bytes(values)
        for path, within in paths:
            self.add(key, what=what, path=path, place=place or within)
        return True

    def read_slice(self, node: Any, names: _Names, key: Any) -> bool:
        """A slice of what ``from_array`` was given."""
        source, owner = self.resolve(node.args[0], names, ask=True)
        source = literal(source)
        if _is(source, (GraphNode, TaskRef)):
            return False  # of what other tasks make
        if owner is not None:
            self.seen.add(owner)
        index = literal(self.resolve(node.args[1], names, ask=False)[0])
        file = file_of(source)
        if file is None and not name_of_function(node.func).startswith("getter"):
            return True  # a chunk's own part: it is shown as an input
        what = "open_dataset" if "xarray" in module_of(source) else "from_array"
        what = _OPENED.get(_prefix(key), what)
        place = tell_index(index)
        if file is None:
            place = f"{tell(source)}{place}"
        path, within = file or ("", "")
        self.add(key, what=what, path=path, place=f"{within} {place}".strip())
        return True

    def look_at_value(self, value: Any, key: Any) -> None:
        file = file_of(value)
        if file is not None:
            self.add(key, what="from_array", path=file[0], place=file[1])
        elif is_plain(value):
            prefix = _prefix(key)
            what = "" if prefix == name_of_function(type(value)) else prefix
            self.add(key, what=what, args=[["", tell(value)]], value=True)

    def look_at_call(
        self, call: Call | None, key: Any, outer: Any, first: bool = False
    ) -> None:
        """A call that takes nothing from others; ``first``: the failed task's own."""
        if call is None:
            return
        function, args, kwargs = call
        if function is repeat:
            self.look_at_repeated(args, key, outer)
            return
        own = not is_dasks(function)
        pairs = named_arguments(function, args[:_WIDE], kwargs)
        described = [
            [name if own else "", tell(value)] for name, value in pairs[:SHORT]
        ]
        if len(pairs) > SHORT:
            described.append(["", "…"])
        scalars = [is_plain(value) for _, value in pairs]
        if first and not (own and any(scalars)):
            return
        if not own and not (described and all(scalars)):
            return
        what = name_of_function(function) if own else _prefix(key)
        self.add(key, what=what, args=described, call=True)

    def look_at_repeated(self, args: tuple[Any, ...], key: Any, outer: Any) -> None:
        """What ``Bag.map`` hands to each call besides the item (dask/bag/core.py)."""
        calls = [call for _, call in outer if call is not None]
        own = [call[0] for call in calls if not is_dasks(call[0])]
        if own and args and is_plain(args[0]):
            described = [["", "…"], ["", tell(args[0])]]
            self.add(key, what=name_of_function(own[-1]), args=described, call=True)


def _inner(node: Any, steps: Mapping[Any, Any], names: _Names) -> _Names:
    """The names that the steps of a fused task know."""
    # Task(key, _execute_subgraph, steps, outkey, inkeys, *refs)
    _, _, inkeys, *refs = node.args
    inner: dict[Any, Any] = {}
    inner.update({name: (ref, names) for name, ref in zip(inkeys, refs, strict=False)})
    inner.update({name: (step, inner) for name, step in steps.items()})
    return inner


def _is(value: Any, kinds: Any) -> bool:
    """As ``isinstance``, which would ask the value itself."""
    return issubclass(type(value), kinds)


def _bytes(values: list[Any]) -> str:
    """``read_block_from_file(file, start, length, delimiter)`` (dask/bytes/core.py)."""
    numbers = [value for value in values if type(value) is int]
    if len(numbers) < 2:
        return ""
    start, length = numbers[:2]
    return f"bytes {start:,} to {start + length:,}"


def _reader_name(outer: tuple[Any, ...]) -> str:
    """What the user called that reads, by what the reading task is within."""
    for _, call in reversed(outer):
        name = "" if call is None else _called(*_mapped(call))
        if name:
            return name
    for key, _ in reversed(outer):
        prefix = _prefix(key)
        if prefix.startswith("read_") and not prefix.startswith("read_block"):
            return prefix
    return "read_bytes"


def _called(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """What the user called that has this function run; empty if that is unknown."""
    module, name = module_of(function), name_of_function(function)
    if module == "dask.dataframe.io.csv":
        # _read_csv(…, reader=pandas.read_csv), or read_table, or read_fwf
        reader = kwargs.get("reader")
        return "read_csv" if reader is None else name_of_function(reader)
    if module == "dask.dataframe.io.json":
        return "read_json"
    if module.startswith("dask.bag.text"):
        return "read_text"
    if "parquet" in module or name == "_load_multiple_files":
        return "read_parquet"
    return "" if is_dasks(function) else name


def _mapped(call: Call) -> Call:
    """What ``map`` maps: ``read_text(…, files_per_partition=…)`` reads so."""
    function, args, kwargs = call
    if function is map and args:
        return user_call(args[0], (), {})
    return function, args, kwargs


# By what a key begins with: what made it, where its source does not say that.
_OPENED = {"from-zarr": "from_zarr", "open_rasterio": "open_rasterio"}


def _prefix(key: Any) -> str:
    return str(key_split(key))[:60].replace("read-", "read_")
