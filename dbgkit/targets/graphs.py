"""Graphs that the client still has: in a traceback, or in a collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dbgkit.errors import NoTask


def materialise(expression: Any) -> dict[Any, Any]:
    """``{key: GraphNode}`` of an expression, a graph or a collection.

    The expression of ``dask.base.compute`` is optimised already, so that its keys
    are those that the scheduler had. `convert_legacy_graph` (dask/_task_spec.py)
    makes nodes of the old tuples, as the scheduler does itself.
    """
    from dask._task_spec import convert_legacy_graph
    from dask.utils import ensure_dict

    if isinstance(expression, Mapping):
        return dict(convert_legacy_graph(dict(expression)))
    layers = graphs_to_cull(expression)
    if layers is None:
        return dict(convert_legacy_graph(dict(expression.__dask_graph__())))
    nodes: dict[Any, Any] = {}
    for graph in layers:
        nodes.update(convert_legacy_graph(ensure_dict(graph, copy=True)))
    return closure(nodes, output_keys(expression))


def graphs_to_cull(expression: Any) -> list[Any] | None:
    """The graphs of an expression that Dask would only cull; None if it does more.

    ``HighLevelGraph.cull`` takes the square of the number of layers, and `Delayed` has
    one for each task: seconds at 10,000 of them. Culling is all that
    ``dask.delayed.optimize`` does, unless it is asked to fuse, and `closure` does the
    same. Reads ``hlg`` and ``low_level_optimizer`` of ``HLGExpr`` (dask/_expr.py).
    """
    import dask
    from dask._expr import HLGExpr, _HLGExprSequence
    from dask.delayed import optimize

    if dask.config.get("optimization.fuse.delayed", False):
        return None
    parts = [expression]
    if isinstance(expression, _HLGExprSequence):
        parts = list(expression.operands)
    if not all(
        isinstance(part, HLGExpr) and part.low_level_optimizer is optimize
        for part in parts
    ):
        return None
    return [part.hlg for part in parts]


def expression_of(collections: Iterable[Any]) -> Any:
    """The optimised expression that ``dask.compute`` makes of collections.

    Follows ``dask.base.compute``: ``collections_to_expr``, then
    ``FinalizeCompute``, then ``optimize``.
    """
    from dask._expr import FinalizeCompute
    from dask.base import collections_to_expr

    return FinalizeCompute(collections_to_expr(list(collections), True)).optimize()


def output_keys(expression: Any) -> list[Any]:
    """Keys of what an expression was computed for, flat."""
    from dask.core import flatten

    return list(flatten(expression.__dask_keys__()))


def closure(graph: Mapping[Any, Any], keys: Iterable[Any]) -> dict[Any, Any]:
    """The part of a graph that leads to some keys."""
    part: dict[Any, Any] = {}
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key in part or key not in graph:
            continue
        part[key] = graph[key]
        stack.extend(graph[key].dependencies)
    return part


def barriers_after(graph: Mapping[Any, Any], key: Any) -> dict[Any, Any]:
    """Barriers of the P2P shuffles that a task puts something in, without their inputs.

    ``distributed.shuffle._core.P2PBarrierTask``, whose ``spec`` is the shuffle's.
    """
    names = {key, *(name for name, node in graph.items() if _stands_for(node, key))}
    return {
        name: node
        for name, node in graph.items()
        if str(name).startswith("shuffle-barrier-")
        and not names.isdisjoint(node.dependencies)
    }


def _stands_for(node: Any, key: Any) -> bool:
    return is_alias(node) and bool(node.target == key)


def is_alias(node: Any) -> bool:
    """Whether a node is only an alias (dask._task_spec.Alias)."""
    from dask._task_spec import Alias

    return isinstance(node, Alias)


def follow_aliases(graph: Mapping[Any, Any], key: Any) -> Any:
    """The key that a key is an alias of, or itself."""
    seen = set()
    while key in graph and key not in seen:
        seen.add(key)
        target = getattr(graph[key], "target", None)
        if target is None:
            return key
        key = target
    if key in seen:
        raise NoTask(f"key {key!r} is an alias of itself", key=key)
    return key
