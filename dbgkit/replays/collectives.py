"""Tasks of a collective, which all wait for each other: one runs in its own collective.

``xgboost.dask`` starts a tracker, and gives its address to one task on each worker. The
tracker is gone once the training has failed, and asking it again waits in C, which
cannot be interrupted. So the task is given a tracker of its own, or, if it is not
XGBoost's, no address at all: then it makes a collective of one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from dbgkit import advice
from dbgkit.errors import NotHere
from dbgkit.model import Failure
from dbgkit.remote.common.calls import module_of
from dbgkit.replays.collectives_lightgbm import may_train
from dbgkit.replays.material import Material, Row
from dbgkit.replays.nodes import with_function

ALONE = (
    "it is part of a collective that is gone: it runs in one of its own, as rank 0 of "
    "1, on its own part of the data"
)
_TRACKER = ("dmlc_tracker_uri", "dmlc_tracker_port")


def run_alone(material: Material, keys: Iterable[Any]) -> bool:
    """Have tasks that would ask a tracker run in collectives of their own.

    Returns whether there is such a task.
    """
    found = False
    for key in keys:
        row = material.rows.get(key)
        if row is not None and _may_ask(row) and _asks(node := row.as_node()):
            row.replace(with_function(node, Alone(node.func)))
            found = True
    return found


def refuse_collective(
    failure: Failure, material: Material, keys: Iterable[Any]
) -> None:
    """Raise where one of some tasks is part of a collective: not on a worker.

    Raises
    ------
    NotHere
    """
    for key in keys:
        if _may_ask(material.rows[key]) or may_train(material.rows[key]):
            raise NotHere(
                f"{failure.key!r} is part of a collective that is gone: on a worker it "
                "would wait for the others, and that could not be interrupted",
                f"{advice.option('where', 'here')} and "
                f"{advice.option('where', 'process')} run it in a collective of its "
                "own",
                key=failure.key,
            )


def _may_ask(row: Row) -> bool:
    """Whether a task may have a tracker's address among its literals; reads nothing."""
    if row.spec is None:
        return row.node is not None and _asks(row.node)
    spec = row.spec.lower()
    return all(name.encode() in spec for name in _TRACKER)


def _asks(node: Any) -> bool:
    from dask._task_spec import Task

    if type(node) is not Task:
        return False
    values = (*node.args, *node.kwargs.values())
    return any(_replaced(value, {}) is not value for value in values)


class Alone:
    """A task's function, which is given the address of another tracker, or none."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = getattr(_innermost(function), "__name__", "")
        self.__module__ = getattr(_innermost(function), "__module__", "") or ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _tracker_for(self.function) as address:
            args = tuple(_replaced(value, address) for value in args)
            kwargs = {name: _replaced(each, address) for name, each in kwargs.items()}
            return self.function(*args, **kwargs)


@contextmanager
def _tracker_for(function: Callable[..., Any]) -> Iterator[Mapping[str, Any]]:
    """The address of a tracker for one; empty for what is not XGBoost's.

    ``xgboost.tracker.RabitTracker``; ``collective.CommunicatorContext`` insists on one.
    """
    if module_of(_innermost(function)).split(".")[0] != "xgboost":
        yield {}
        return
    tracker = import_module("xgboost.tracker").RabitTracker(
        n_workers=1, host_ip="127.0.0.1"
    )
    tracker.start()
    try:
        yield tracker.worker_args()
    finally:
        tracker.free()


def _innermost(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _replaced(value: Any, address: Mapping[str, Any]) -> Any:
    """A value with another tracker's address in it; itself where it has none."""
    if type(value) is not dict:
        return value
    names = {str(name).lower() for name in value}
    if names.issuperset(_TRACKER):
        kept = {k: v for k, v in value.items() if str(k).lower() not in _TRACKER}
        return {**kept, **address}
    new = {name: _replaced(item, address) for name, item in value.items()}
    return value if all(new[name] is value[name] for name in new) else new
