"""A computation inside an optimisation: its graph, built again and not run.

``set_index``, ``sort_values`` and ``repartition(partition_size=)`` compute while the
expression that they are part of is optimised. Dask cuts the frames of that inner
computation out of the traceback (``admin.traceback.shorten``), so what leads to it is
called again, up to where it would compute.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from dbgkit.targets.graphs import expression_of
from dbgkit.targets.tracebacks import live_places

_COMPUTES = ("compute", "persist")


class _Computed(BaseException):
    """Its argument is what would be computed; Dask never catches it."""


def inner_expression(error: BaseException) -> Any:
    """What was computed within an optimisation when it failed; None if nothing was.

    Runs no task: it stops where something would be computed.
    """
    again = _what_computed(error)
    try:
        return None if again is None else _up_to_computing(again)[1]
    except Exception:  # it fails before it computes: then there is no graph
        return None


def expression_here(collections: Iterable[Any]) -> Any:
    """`expression_of` collections; of what that would compute first, if it would.

    Runs no task either.
    """
    whole, inner = _up_to_computing(lambda: expression_of(collections))
    return whole if inner is None else inner


def futures_here(collection: Any) -> list[Any]:
    """Futures that a collection holds: its outputs, or what it is built on.

    Runs no task; gives none for a collection that has to compute to know its graph.
    """
    from distributed import futures_of

    return _up_to_computing(lambda: list(futures_of(collection)))[0] or []


def _up_to_computing(call: Callable[[], Any]) -> tuple[Any, Any]:
    """What a call returns, and what it would compute first: one of them is None."""
    try:
        with computing_refused():
            return call(), None
    except _Computed as computed:
        return None, computed.args[0]


def _what_computed(error: BaseException) -> Callable[[], Any] | None:
    """What to call to get to the innermost computation again."""
    again: Callable[[], Any] | None = None
    for place, frame in live_places(error):
        if place[:2] == ("dask", "base.py") and place[2] in _COMPUTES:
            if "keys" in frame.f_locals:
                again = None  # this one's expression was optimised already
        elif place[0] == "dask":
            again = _called(place[2], frame) or again
    return again


def _called(name: str, frame: FrameType) -> Callable[[], Any] | None:
    """The call of a frame of an expression's, to be made again.

    Methods and properties of ``dask.Expr`` and of collections that take nothing but
    their object, or ``fuse`` (dask/_expr.py, dask/dataframe/dask_expr).
    """
    from dask._expr import Expr
    from dask.base import is_dask_collection

    local, code = frame.f_locals, frame.f_code
    owner = local.get("self")
    if not isinstance(owner, Expr) and not is_dask_collection(owner):
        return None
    taken = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    if not hasattr(type(owner), name) or not set(taken) <= {"fuse"}:
        return None
    options = {each: local[each] for each in taken if each in local}

    def call() -> Any:
        found = getattr(owner, name)
        return found(**options) if callable(found) else found

    return call


@contextmanager
def computing_refused() -> Iterator[None]:
    """Have Dask raise `_Computed` in place of computing anything in this thread.

    Other threads compute as before.
    """
    import dask
    from dask.base import get_scheduler

    here, before = threading.get_ident(), get_scheduler()

    def refuse(dsk: Any, keys: Any, **options: Any) -> Any:
        if threading.get_ident() == here:
            raise _Computed(dsk)
        if before is None:
            from dask.threaded import get

            return get(dsk, keys, **options)
        return before(dsk, keys, **options)

    with dask.config.set(scheduler=refuse):
        yield
