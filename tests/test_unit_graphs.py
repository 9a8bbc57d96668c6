"""Graphs out of expressions: the keys, and the nodes, that Dask itself would run."""

from __future__ import annotations

import dask
import pytest
from dask import delayed
from dask._expr import FinalizeCompute
from dask._task_spec import convert_legacy_graph
from dask.base import collections_to_expr

from dbgkit.targets.graphs import expression_of, graphs_to_cull, materialise


def tree():
    leaves = [delayed(abs)(number) for number in range(6)]
    return delayed(sum)(leaves)


def several():
    leaves = [delayed(abs)(number) for number in range(6)]
    return [delayed(sum)(leaves[:4]), delayed(max)(leaves[2:]), leaves[0]]


def bag():
    import dask.bag as db

    return db.from_sequence(range(6), npartitions=3).map(abs).sum()


def array():
    import dask.array as da

    return (da.ones(6, chunks=2) + 1).sum()


def frame():
    import dask.dataframe as dd
    import pandas as pd

    return dd.from_pandas(pd.DataFrame({"a": range(6)}), npartitions=3).a.sum()


MAKERS = [tree, several, bag, array, frame, lambda: [tree(), bag()]]


def listed(made):
    return made if isinstance(made, list) else [made]


@pytest.mark.parametrize("make", MAKERS)
def test_the_graph_is_what_dask_makes(make):
    collections = listed(make())
    expression = FinalizeCompute(collections_to_expr(collections, True)).optimize()
    ours = materialise(expression)
    theirs = convert_legacy_graph(dict(expression.__dask_graph__()))
    assert ours.keys() == theirs.keys()
    for key, node in theirs.items():
        assert ours[key].dependencies == node.dependencies


def test_what_leads_nowhere_is_culled():
    from dask.delayed import Delayed
    from dask.highlevelgraph import HighLevelGraph

    graph = HighLevelGraph.from_collections(
        "both", {"wanted": (abs, -1), "other": (abs, -2)}, dependencies=()
    )
    ours = materialise(expression_of([Delayed("wanted", graph, layer="both")]))
    assert set(ours) == {"wanted"}


# Contracts with Dask: which expressions are only culled.


@pytest.mark.parametrize("make", [tree, several])
def test_delayed_is_only_culled(make):
    assert graphs_to_cull(expression_of(listed(make()))) is not None


@pytest.mark.parametrize("make", [bag, array, frame])
def test_other_collections_are_optimised(make):
    assert graphs_to_cull(expression_of([make()])) is None


def test_delayed_that_is_to_be_fused_is_left_to_dask():
    expression = expression_of([tree()])
    with dask.config.set({"optimization.fuse.delayed": True}):
        assert graphs_to_cull(expression) is None
