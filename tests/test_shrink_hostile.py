"""What places answer of a shrink: a result, or one clear error, whatever it is."""

from __future__ import annotations

import os
import pickle
import sys
from types import SimpleNamespace

import msgpack
import pytest
import shrink_tasks as tasks
from distributed import Client, wait
from fuzzing import WRONG, bounded, examples, places, with_wrong
from hypothesis import given
from hypothesis import strategies as st

import dbgkit
from dbgkit import render
from dbgkit.errors import DbgkitError
from dbgkit.replays import shrink_on_worker
from dbgkit.replays.on_worker import readable
from dbgkit.replays.shrinking import result
from dbgkit.source import Reader


@pytest.fixture(scope="module")
def answered(inproc):
    """What a worker has answered last, as it comes over a wire."""
    found = {}
    look_at, watch = shrink_on_worker.look_at, shrink_on_worker._Watch
    with Client(inproc) as client, pytest.MonkeyPatch.context() as patched:

        def listen(*args):
            found["answer"] = look_at(*args)
            return found["answer"]

        def note(failure, worker, link, *rest):
            found["watch"] = watch(failure, worker, link, *rest)
            return found["watch"]

        patched.setattr(shrink_on_worker, "look_at", listen)
        patched.setattr(shrink_on_worker, "_Watch", note)
        frame = client.submit(tasks.table, amount="n/a", key="frame")
        bad = client.submit(tasks.amounts_as_floats, frame, key="answered-1")
        wait(bad)
        shrunk = dbgkit.shrink(bad, where="worker", all=True)
    wire = msgpack.unpackb(msgpack.packb(found["answer"]), strict_map_key=False)
    return SimpleNamespace(answer=wire, watch=found["watch"], shrunk=shrunk)


def read_answer(answered, answer):
    """The result of an answer, as far as it can be shown."""
    original = answered.shrunk.original
    plan = SimpleNamespace(worker="tcp://10.0.0.7:1")
    material = SimpleNamespace(reader=Reader(), rows={}, key="answered-1")
    try:
        with readable(original, plan):
            form = answered.watch._read(answer)
            if form is None:
                return None  # it goes on
            form = {**form, "values": b""}  # what is pickled runs anybody's code
            found = result(original, material, form, where="worker")
    except DbgkitError as error:
        assert str(error)
        return None
    assert render.to_text(found) and found.to_json()
    return found


def test_an_answer_is_read_whole(answered):
    found = read_answer(answered, answered.answer)
    assert found.verdict == "one" and found.rows == answered.shrunk.rows


def test_an_answer_may_have_anything_anywhere(answered):
    where = list(places(answered.answer))

    @examples(150)
    @given(st.sampled_from(where), WRONG)
    def try_one(place, wrong):
        with bounded():
            read_answer(answered, with_wrong(answered.answer, place, wrong))

    try_one()


def write_over(rows, data):
    """Fails; in a process that shrinks it, it leaves another result in its folder."""
    if sys.argv[0] == "-c" and os.path.isdir(sys.argv[1]):
        from dbgkit.replays import shrink_child

        folder = sys.argv[1]
        with open(os.path.join(folder, f"{shrink_child.FORM}.part"), "wb") as file:
            file.write(data)
        # It cannot be replaced any more.
        os.mkdir(os.path.join(folder, shrink_child.FORM))
    raise ValueError("no")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it has no forks")
@pytest.mark.parametrize("data", [b"", pickle.dumps({"status": 7})])
def test_a_task_that_writes_over_the_result_is_told(processes_client, data):
    future = processes_client.submit(write_over, [*range(10)], data)
    wait(future)
    with pytest.raises(DbgkitError, match=r"result of the process|without a result"):
        dbgkit.shrink(future, where="process")


class Odd(list):
    """A list that raises whenever it is asked for anything."""

    def __len__(self):
        raise RuntimeError("odd")

    __iter__ = __getitem__ = __eq__ = __len__
    __hash__ = None


def test_values_of_a_users_own_class_are_not_asked_for_anything():
    import dask

    try:
        dask.delayed(refuse)([1, 2, 3], Odd()).compute(scheduler="sync")
    except ValueError as error:
        found = dbgkit.shrink(error)
    assert [each.position for each in found.culprits] == [1]


def refuse(rows, odd):
    if 2 in rows:
        raise ValueError("two")


@pytest.mark.parametrize(
    "rows", [[1, [2, 3]], [float("nan"), -1], [None] * 5 + [-1], [[[[[-1]]]]]]
)
def test_odd_data_comes_to_an_end(rows):
    import dask

    try:
        dask.delayed(fail_always)(rows).compute(scheduler="sync")
    except ValueError as error:
        with bounded(10.0):
            assert dbgkit.shrink(error).verdict == "none"


def fail_always(rows):
    raise ValueError("always")
