"""Of a fused task: where the values of the step that failed came from, no other's."""

from __future__ import annotations

import operator

import dask
import pytest
from dask._task_spec import Alias, Task, TaskRef
from distributed import wait
from watching import forgotten

import dbgkit
from dbgkit import render
from dbgkit.remote.recording.steps import failed_steps
from dbgkit.targets.origins import origins_in_graph

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
db = pytest.importorskip("dask.bag")
np = pytest.importorskip("numpy")

import provenance_tasks as job  # noqa: E402

META = ("b", int)
FILE = "a,b\n0,1\n1,x\n"


def raised(collection, **options):
    with pytest.raises(Exception) as caught:
        collection.compute(**options)
    return caught.value


def told(target):
    return [origin.text for origin in dbgkit.locate(target).came_from]


@pytest.fixture(params=["cluster", "sync", "threads", "forgotten"])
def origins(request, processes_client):
    """What is told of a collection that fails: by whom, and by what is left of it."""

    def of(collection):
        if request.param in ("sync", "threads"):
            return told(raised(collection, scheduler=request.param))
        error = raised(collection)
        if request.param == "forgotten":
            forgotten(processes_client)
            assert dbgkit.locate(error).found_in == "graph"
        return told(error)

    return of


@pytest.fixture
def array():
    return da.from_array(np.arange(20.0), chunks=5)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "0.csv"
    path.write_text(FILE)
    return path


def read(csv):
    return dd.read_csv(str(csv), dtype={"b": "str"})


def from_csv(csv):
    return f"read_csv {str(csv)!r}, bytes 0 to {len(FILE)}"


# -- arrays --------------------------------------------------------------------


@pytest.mark.parametrize("reduce", ["sum", "mean", "std", "max"])
def test_of_a_reduction_the_block_that_failed(origins, array, reduce):
    blocks = array.map_blocks(job.capped, 15, dtype=float)
    assert origins(getattr(blocks, reduce)()) == ["capped(b=<ndarray>, most=15)"]


def test_three_steps_deep(origins, array):
    first = array.map_blocks(job.moved, 11, dtype=float)
    second = first.map_blocks(job.capped, 12, dtype=float)
    third = second.map_blocks(job.noted, "later", dtype=float)
    found = origins((third + 5).map_blocks(job.noted, "last", dtype=float))
    assert len(found) == 2
    assert found[0].startswith("capped(b=<") and found[0].endswith(", most=12)")
    assert found[1] == "moved(b=<ndarray>, offset=11)"


def test_the_first_of_three_steps(origins, array):
    blocks = array.map_blocks(job.capped, 15, dtype=float)
    blocks = blocks.map_blocks(job.moved, 11, dtype=float)
    found = origins(blocks.map_blocks(job.noted, "later", dtype=float))
    assert found == ["capped(b=<ndarray>, most=15)"]


def test_the_last_of_three_steps(origins, array):
    blocks = array.map_blocks(job.moved, 11, dtype=float)
    blocks = blocks.map_blocks(job.noted, "on the way", dtype=float)
    found = origins(blocks.map_blocks(job.capped, 15, dtype=float))
    assert [each.partition("(")[0] for each in found] == ["capped", "moved"]
    assert "on the way" not in str(found)


def test_a_step_of_dasks_own_that_fails_within_a_library(origins):
    texts = da.from_array(np.array(["x"]), chunks=1).astype(float)
    found = origins((texts + 7).map_blocks(job.moved, 11, dtype=float).sum())
    assert "moved" not in str(found) and "sum" not in str(found)


def test_where_steps_call_the_same_only_what_all_began_with_is_told(origins, array):
    blocks = array
    for most in (40, 30, 15, 50):
        blocks = blocks.map_blocks(job.capped, most, dtype=float)
    found = origins(blocks.map_blocks(job.noted, "later", dtype=float))
    assert found == ["capped(b=<ndarray>, most=40)"]


# -- data frames ---------------------------------------------------------------


def test_of_a_read_and_a_reduction_the_file(origins, csv):
    frame = read(csv).map_partitions(job.parse, meta=META)
    assert origins(frame.sum()) == [from_csv(csv)]


def test_of_partitions_that_are_mapped_on_the_file(origins, csv):
    frame = read(csv).map_partitions(job.noted, "before")
    frame = frame.map_partitions(job.parse, meta=META)
    frame = frame.map_partitions(job.noted, "later", meta=META)
    assert origins(frame.sum(min_count=3)) == [from_csv(csv)]


def test_of_partitions_that_were_made_the_call(origins):
    frame = dd.from_map(job.load, ["x"], extra=3)
    frame = frame.map_partitions(job.parse, meta=META)
    frame = frame.map_partitions(job.noted, "later", meta=META)
    assert origins(frame.sum()) == ["load(item='x', extra=3)"]


# -- bags ----------------------------------------------------------------------


@pytest.fixture
def bag():
    return db.from_sequence(["x", "4"], npartitions=1)


def test_what_a_bag_maps_fails_as_it_is_folded(origins, bag):
    numbers = bag.map(job.to_number, scale=3).filter(bool)
    found = origins(numbers.fold(job.added, initial=55))
    assert found == ["from_sequence ['x', '4']"]


def test_what_a_bag_filters_by_fails_as_it_is_folded(origins, bag):
    found = origins(bag.filter(job.is_positive).fold(job.added, initial=""))
    assert found == ["from_sequence ['x', '4']"]


def test_what_a_bag_is_folded_with_fails(origins, bag):
    noted = bag.map(job.noted, note="before").filter(bool)
    found = origins(noted.fold(job.added_as_text, initial=55))
    assert found == ["from_sequence ['x', '4']"]


def test_what_a_bag_takes_in_turn_fails(origins, bag):
    found = origins(bag.map(job.to_number, scale=3).reduction(job.total, sum))
    assert found == ["from_sequence ['x', '4']"]


# -- delayed -------------------------------------------------------------------


@pytest.fixture
def fused():
    with dask.config.set({"optimization.fuse.delayed": True}):
        yield


def chain(first, second, third):
    """Calls that Dask fuses, each with a literal of its own."""
    value = dask.delayed(first)("x", 11)
    value = dask.delayed(second)(value, 12)
    return dask.delayed(third)(value, 13)


def test_the_first_of_delayed_calls(origins, fused):
    found = origins(chain(job.to_number, job.noted, job.noted))
    assert found == ["to_number(text='x', scale=11)"]


def test_one_of_delayed_calls_in_between(origins, fused):
    found = origins(chain(job.noted, job.to_number, job.moved))
    assert found[0].startswith("to_number(text=<") and found[0].endswith("scale=12)")
    assert found[1:] == ["noted(value='x', note=11)"]


def test_the_last_of_delayed_calls(origins, fused):
    found = origins(chain(job.noted, job.noted, job.to_number))
    assert found[0].startswith("to_number(text=<") and found[0].endswith("scale=13)")
    assert found[1:] == ["noted(value='x', note=11)"]


def test_of_what_leaves_no_frames_only_what_all_began_with_is_told(origins, fused):
    found = origins(chain(job.noted, int, job.moved))
    assert found == ["noted(value='x', note=11)"]


# -- in every view -------------------------------------------------------------


def test_what_the_step_was_called_with_are_its_inputs_in_a_replay(
    processes_client, array
):
    blocks = array.map_blocks(job.capped, 15, dtype=float)
    with dbgkit.replay(raised(blocks.sum())) as again:
        assert again.outcome == "same"
        header = render.header(again, width=300)
    assert "from    sum(" not in header and "_.0>" not in header
    assert "most       = 15" in header or "most = 15" in header


def test_failures_tell_it_of_their_example(processes_client, array):
    blocks = array.map_blocks(job.capped, 15, dtype=float)
    held = processes_client.persist(blocks.sum())
    wait(held, timeout=30)
    groups = dbgkit.failures().groups
    texts = [one.text for group in groups for one in group.example.came_from]
    assert texts == ["capped(b=<ndarray>, most=15)"]


def test_a_recording_has_it_too(recorded, array):
    raised(array.map_blocks(job.capped, 15, dtype=float).sum())
    (found,) = dbgkit.recordings()
    texts = [one.text for one in found.came_from]
    assert texts == ["capped(b=<ndarray>, most=15)"]


def test_without_a_traceback_no_step_is_guessed(array):
    blocks = array.map_blocks(job.capped, 15, dtype=float).sum()
    (blocks,) = dask.optimize(blocks)
    graph = dict(blocks.__dask_graph__())
    for key in graph:
        texts = [one.text for one in origins_in_graph(key, graph)]
        assert not any(text.startswith("sum(") for text in texts)


def test_another_name_of_a_step_is_no_step():
    graph = {
        "read": Task("read", float, 0),
        "named": Alias("named", "read"),
        "ratio": Task("ratio", operator.truediv, 1, TaskRef("named")),
    }
    fused = Task.fuse(*graph.values())
    with pytest.raises(ZeroDivisionError) as raised:
        fused()
    steps = failed_steps(raised.value)
    assert [step.function for step in steps] == ["float", "truediv"]
