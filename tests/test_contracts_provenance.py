"""What the origins of values rely on in Dask and xarray, each by its name."""

from __future__ import annotations

import dask
import pytest
from dask._task_spec import Alias, DataNode, NestedContainer, Task, TaskRef
from distributed import wait
from distributed.spans import Span
from packaging.version import Version

import dbgkit.remote.common.calls as calls

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
da = pytest.importorskip("dask.array")
db = pytest.importorskip("dask.bag")
dd = pytest.importorskip("dask.dataframe")


NEXT = Version("2025.4.1")


def user(*args, **kwargs):
    return args, kwargs


def spec_of(collection, index=-1):
    """Run specs of a collection, as the scheduler gets them, and an output's."""
    from dbgkit.targets.graphs import expression_of, materialise

    graph = materialise(expression_of([collection]))
    return graph


def functions(graph):
    """Modules and names of all functions of run specs, nested and fused ones too."""
    found, waiting = set(), list(graph.values())
    while waiting:
        node = waiting.pop()
        if isinstance(node, DataNode):
            node = node.value
        if isinstance(node, Task):
            waiting += [*calls.steps_of(node).values(), *node.args]
            waiting += node.kwargs.values()
            node = node.func
        if callable(node):
            function = getattr(node, "func", node)
            found.add((calls.module_of(function), calls.name_of_function(function)))
    return found


@pytest.mark.parametrize("wrapper", sorted(calls._WRAPPERS))
def test_wrappers_are_where_dask_has_them(wrapper):
    import importlib

    module, name = wrapper
    if module.startswith("xarray"):
        pytest.importorskip("xarray")
        assert importlib.util.find_spec(module)  # a closure of map_blocks
        return
    if wrapper == ("dask.delayed", "_apply2") and Version(dask.__version__) >= NEXT:
        return  # the oldest releases have it
    assert hasattr(importlib.import_module(module), name)


def test_apply_and_enforce_is_called_so():
    from dask.dataframe.core import apply_and_enforce

    frame = pd.DataFrame({"a": [1]})
    given = {"_func": lambda df, by: df * by, "_meta": frame[:0], "by": 3}
    assert apply_and_enforce(frame, **given).a.tolist() == [3]
    function, args, kwargs = calls.user_call(apply_and_enforce, (frame,), given)
    assert function is given["_func"] and args == (frame,) and kwargs == {"by": 3}


def test_pass_extra_kwargs_is_called_so():
    from dask.array.core import _pass_extra_kwargs

    args = (user, ("block_info", "block_id"), "info", "id", "block")
    wanted = ("block",), {"block_info": "info", "block_id": "id"}
    assert _pass_extra_kwargs(*args) == wanted
    assert calls.user_call(_pass_extra_kwargs, args, {}) == (user, *wanted)


def test_empty_safe_apply_is_called_so():
    from dask.bag.core import empty_safe_apply

    assert empty_safe_apply(user, [1], True) == (([1],), {})
    assert calls.user_call(empty_safe_apply, (user, [1], True), {})[:2] == (
        user,
        ([1],),
    )


def test_functions_of_the_readers(tmp_path):
    (tmp_path / "0.csv").write_text("a\n1\n")
    (tmp_path / "0.txt").write_text("a\n1\n")
    found = functions(spec_of(dd.read_csv(str(tmp_path / "0.csv"))))
    assert ("dask.bytes.core", "read_block_from_file") in found
    assert ("dask.dataframe.io.csv", "_read_csv") in found
    found = functions(spec_of(db.read_text(str(tmp_path / "0.txt")).map(len)))
    assert ("dask.bag.text", "file_to_blocks") in found
    assert ("dask.bag.core", "map_chunk") in found
    assert ("dask.bag.core", "reify") in found
    array = da.from_array(np.memmap(tmp_path / "m", mode="w+", shape=4), chunks=2)
    assert ("dask.array.core", "getter") in functions(spec_of(array + 1))


def test_arguments_of_read_block_from_file():
    import inspect

    from dask.bytes.core import read_block_from_file

    names = list(inspect.signature(read_block_from_file).parameters)
    assert names == ["lazy_file", "off", "bs", "delimiter"]


def test_a_piece_of_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    from dbgkit.remote.common.origins_values import paths_in

    path = tmp_path / "0.parquet"
    pd.DataFrame({"a": [1, 2]}).to_parquet(path, row_group_size=1)
    for options in ({"split_row_groups": True}, {"filesystem": "arrow"}):
        frame = dd.read_parquet(str(path), **options)
        found, waiting = [], list(spec_of(frame).values())
        while waiting:
            node = waiting.pop()
            if isinstance(node, Task):
                waiting += [*calls.steps_of(node).values(), *node.args]
                waiting += node.kwargs.values()
            else:
                found += paths_in(node)
        assert {name for name, _ in found} == {str(path)}, options


def test_a_list_of_references_is_cast():
    part = dask.delayed(abs)(1)
    graph = spec_of(dask.delayed(sum)([part, part]))
    (node,) = (node for node in graph.values() if getattr(node, "func", None) is sum)
    (listed,) = node.args
    assert isinstance(listed, Task)
    cast = listed.func.__name__ == "_identity_cast"
    assert cast or isinstance(listed, NestedContainer)
    assert listed({part.key: 5}) == [5, 5]


def test_parameters_of_fused_tasks_are_called_so():
    array = da.arange(4, chunks=2).map_blocks(lambda b, c: b, 3, dtype=int) + 1
    names, waiting = set(), list(spec_of(array).values())
    while waiting:
        node = waiting.pop()
        waiting += calls.steps_of(node).values()
        for value in getattr(node, "args", ()):
            if isinstance(value, (TaskRef, Alias)):
                names.add(calls.target_of(value))
    assert any(calls.is_parameter(name) for name in names)


def test_keys_of_shared_parts_are_fractions():
    array = da.from_array(np.arange(8), chunks=4)
    shared = da.overlap.overlap(array, depth=1, boundary="none")
    keys = {key for node in spec_of(shared).values() for key in node.dependencies}
    places = {key[1] for key in keys if isinstance(key, tuple)}
    assert {round(place) for place in places if place != int(place)} == {0, 1}


@pytest.mark.parametrize("options", [{}, {"pure": False}])
def test_the_last_part_of_a_priority_is_the_index_of_a_map(inproc_client, options):
    futures = inproc_client.map(user, range(50), **options)
    inproc_client.gather(futures)
    tasks = inproc_client.cluster.scheduler.tasks
    found = [tasks[future.key].priority for future in futures]
    assert [priority[2] for priority in found] == list(range(50))
    assert len({priority[:2] for priority in found}) == 1


def test_what_xarray_reads_from(tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("scipy")
    from dbgkit.remote.common.origins_values import file_of

    path = tmp_path / "0.nc"
    xarray.Dataset({"v": ("t", np.arange(4.0))}).to_netcdf(path, engine="scipy")
    with xarray.open_dataset(path, engine="scipy", chunks={"t": 2}) as data:
        graph = data.v.data.__dask_graph__()
        values = [getattr(node, "value", node) for node in dict(graph).values()]
        assert (str(path), "v") in [file_of(value) for value in values]


def test_what_a_bag_maps_is_called_by_its_chunk():
    from dask.bag.core import map_chunk

    def fail(item, *, bad):
        raise ValueError(item)

    with pytest.raises(ValueError) as caught:
        list(map_chunk(fail, [[13]], (), {"bad": 13}))
    frame = caught.tb.tb_next.tb_frame
    assert frame.f_code.co_name == "__next__"
    chunk = frame.f_locals["self"]
    assert (type(chunk).__name__, chunk.kwarg_keys) == ("_MapChunk", ())
    assert frame.f_locals["vals"] == [13]
    assert calls.user_call(chunk.f, [13], {}) == (fail, (13,), {"bad": 13})


def test_a_span_tells_what_its_groups_were_submitted_as(inproc_client):
    scheduler = inproc_client.cluster.scheduler

    def kinds_with(futures):
        wait(futures)
        span_id = scheduler.tasks[futures[0].key].group.span_id
        found = scheduler.extensions["spans"].spans[span_id].metadata
        return {each["type"] for each in (found or {}).get("collections", ())}

    def other(x):
        return x

    mapped = inproc_client.map(user, range(3))
    # 2025.4 goes by the addresses of what it has added, and adds no other there.
    loses = hasattr(Span, "_metadata_seen")
    assert kinds_with(mapped) in ({"Future"}, *[set()] * loses)
    parts = [dask.delayed(other, pure=True)(n) for n in range(3)]
    assert "Delayed" in kinds_with(inproc_client.compute(parts)) or loses


def test_what_is_submitted_at_once_has_one_generation(inproc_client):
    futures = inproc_client.map(user, range(4), batch_size=2)
    inproc_client.gather(futures)
    tasks = inproc_client.cluster.scheduler.tasks
    assert [tasks[future.key].priority[2] for future in futures] == [0, 1, 0, 1]
    group = tasks[futures[0].key].group
    assert sum(group.states.values()) == 4
