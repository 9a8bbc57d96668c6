"""What other processes hand over: an answer, or one clear error, whatever it is."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
import threading
import time
from types import SimpleNamespace

import msgpack
import pytest
from dask._task_spec import Task, TaskRef
from distributed import Client, wait
from distributed.protocol.pickle import dumps
from fuzzing import (
    WRONG,
    bounded,
    damaged,
    examples,
    places,
    takes_no_room_for_its_memo,
    with_wrong,
)
from hypothesis import given
from hypothesis import strategies as st
from tasks import boom
from watching import wait_until

import dbgkit
from dbgkit import render
from dbgkit.cluster.replay import replay_on
from dbgkit.cluster.shipping import recorder_name
from dbgkit.errors import AnswerUnreadable, DbgkitError, RunSpecUnreadable
from dbgkit.model import MALFORMED, Failure
from dbgkit.remote.scheduler.recordings_store import recording_event
from dbgkit.replays import on_worker
from dbgkit.replays.child import RESULT, run_nodes
from dbgkit.replays.inputs import Inputs
from dbgkit.replays.inputs_compared import InputComparison
from dbgkit.replays.nodes import read_spec
from dbgkit.replays.on_worker import readable, replay_from_wire
from dbgkit.replays.process import end_from_wire
from dbgkit.replays.steps import steps_from_wire
from dbgkit.source import Reader

LIMIT = 2.0  # seconds for anything to be unpickled

# -- pickles: run specs, inputs, exceptions ------------------------------------


def ratio(one, other=2):
    return one / other


def made():
    """A run spec with a class that travels by value."""

    class Model:
        def fit(self, x):
            return x

    Model.__module__ = "__main__"
    return Task("a-1", ratio, Model(), TaskRef("b-1"), other=[1, {"x": 2.5}])


SPEC = dumps(made())


@examples(200)
@given(
    (damaged(SPEC) | st.binary(max_size=100)).filter(takes_no_room_for_its_memo),
)
def test_a_run_spec_of_any_bytes_is_read_or_refused(data):
    with bounded():
        try:
            read_spec(data, "a-1", Reader(limit=LIMIT))
        except DbgkitError as error:
            assert "'a-1'" in str(error)


class Raises:
    """Whose pickle raises as it is read."""

    def __init__(self, kind, *args):
        self.call = kind, *args

    def __reduce__(self):
        return raise_it, self.call


def raise_it(kind, *args):
    raise kind(*args)


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("not to be shown")

    __repr__ = __str__


class OwnBase(BaseException):
    pass


ENDS = [
    (SystemExit, 3),
    (KeyboardInterrupt,),
    (GeneratorExit,),
    (asyncio.CancelledError,),
    (OwnBase, "no"),
    (StopIteration, 1),
    (MemoryError,),
    (RecursionError, "too deep"),
    (ImportError, "no"),
    (EOFError,),
    (pickle.UnpicklingError, "\x1b[31m\u202e"),
    (Unprintable,),
    (BaseException,),
]


@pytest.mark.parametrize("ends", ENDS, ids=lambda ends: ends[0].__name__)
def test_a_run_spec_may_raise_anything_as_it_is_read(ends):
    with pytest.raises(RunSpecUnreadable) as caught:
        read_spec(pickle.dumps(Raises(*ends)), "a-1", Reader(limit=LIMIT))
    assert "'a-1'" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_run_spec_that_waits_costs_its_limit():
    with bounded(5.0), pytest.raises(DbgkitError, match="not unpickled here within"):
        read_spec(pickle.dumps(Raises(Waits)), "a-1", Reader(limit=0.1))


class Waits(Exception):
    def __init__(self):
        time.sleep(3)


class TwoArguments(Exception):
    """It pickles, and is not to be read again: as so many exceptions."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


@pytest.mark.parametrize(
    "value", [TwoArguments(1, 2), *(Raises(*ends) for ends in ENDS)]
)
def test_inputs_that_cannot_be_read_again_are_named(value):
    inputs = Inputs({"good": 1, "bad": value}, True, Reader(limit=LIMIT))
    with pytest.raises(DbgkitError, match="input 'bad' cannot be copied"):
        inputs.fresh(last=True)


class OnceOnly:
    """It cannot be read the first time."""

    def __reduce__(self):
        return _once, ()


def _once():
    if not _seen:
        _seen.append(1)
        raise ConnectionError("lost it")
    return 1


_seen = []


def test_no_input_is_blamed_for_what_happened_once():
    _seen.clear()
    inputs = Inputs({"first": OnceOnly(), "innocent": 2}, True, Reader(limit=LIMIT))
    with pytest.raises(DbgkitError, match="cannot be copied together: lost it") as told:
        inputs.fresh(last=False)
    assert told.value.key is None


@pytest.mark.parametrize("wrong", [{"function": 5}, {"label": None}, {"key": {}}])
def test_steps_of_elsewhere_are_steps(wrong):
    wire = {"key": "a", "function": "f", "label": "", "failed": True}
    wire |= {"arguments": [], "inputs": []}
    assert steps_from_wire([wire])[0].function == "f"
    with pytest.raises(MALFORMED):
        hash(steps_from_wire([wire | wrong])[0].key)


# -- what a child leaves behind ------------------------------------------------


def failure_of(key, message):
    return Failure(key, "the task", "ValueError", message)


@pytest.fixture(scope="module")
def left():
    """What a child of a failing task, of two steps, has written."""
    steps = {
        "s": Task("s", ratio, 4),
        "t": Task("t", boom, TaskRef("s")),
    }
    task = {
        "key": None,
        "scope": "ancestors",
        "outputs": ["t"],
        "inputs": {},
        "secret_names": (),
    }
    return json.loads(json.dumps(run_nodes(steps, task, Reader(), None)))


def read_left(failure, text):
    """The end of a child, as far as it can be shown."""
    try:
        end = end_from_wire(failure, json.loads(text))
    except MALFORMED:
        return None  # which the caller tells
    for frame in end.frames:
        assert f"{frame.filename}:{frame.lineno:d} in {frame.function}".strip()
    assert "\n".join([*end.notes, *end.handed]) is not None
    assert f"{end.run.seconds:.1f} {end.run.detail}"
    return end


def test_what_a_child_left_is_read_whole(left):
    end = read_left(failure_of("t", "boom"), json.dumps(left))
    assert end.run.exception_type == left["exception"]["raised"]["type"]
    assert [step.name for step in end.steps]
    assert end.frames


def test_what_a_child_left_may_have_anything_anywhere(left):
    where = list(places(left))

    @examples(300)
    @given(st.sampled_from(where), WRONG)
    def try_one(place, wrong):
        text = json.dumps(with_wrong(left, place, wrong), default=repr, skipkeys=True)
        with bounded():
            read_left(failure_of("t", "boom"), text)

    try_one()


def test_what_a_child_left_may_be_damaged(left):
    whole = json.dumps(left).encode()

    @examples(150)
    @given(damaged(whole))
    def try_one(data):
        with bounded():
            read_left(failure_of("t", "boom"), data.decode("utf-8", "replace"))

    try_one()


def writes_over(text):
    """A task that finds the folder of its own process, and writes over the result."""
    if sys.argv[0] == "-c":  # see replays/child.py
        result = os.path.join(sys.argv[1], RESULT)

        def write():
            wait_until(lambda: os.path.exists(result), "there is a result")
            with open(result, "w") as file:
                file.write(text)

        # Not a daemon: the process waits for it.
        threading.Thread(target=write).start()
    raise ValueError("no")


def test_a_task_that_writes_over_its_own_result_is_told(inproc_client):
    # On the cluster there is no such folder, and it fails at once.
    bad = inproc_client.submit(writes_over, '{"notes": 7}')
    wait(bad)
    with pytest.raises(DbgkitError, match=r"result of the process .* cannot be read"):
        dbgkit.replay(bad, where="process")


# -- what a worker answers -----------------------------------------------------


@pytest.fixture(scope="module")
def answered(inproc):
    """What a worker has answered of a task, as it comes over a wire."""
    found = {}
    with Client(inproc) as client, pytest.MonkeyPatch.context() as patched:

        def listen(link, address, job, limit):
            found["answer"] = replay_on(link, address, job, limit)
            return found["answer"]

        patched.setattr(on_worker, "replay_on", listen)
        bad = client.submit(boom, 1, key="answered-1")
        wait(bad)
        replay = dbgkit.replay(bad, where="worker")
    wire = msgpack.unpackb(msgpack.packb(found["answer"]), strict_map_key=False)
    return SimpleNamespace(answer=wire, plan=replay.plan, failure=replay.failure)


def read_answer(answered, answer):
    comparison = InputComparison(None)
    try:
        with readable(answered.failure, answered.plan):
            replay = replay_from_wire(
                answered.failure, answered.plan, answer, comparison
            )
    except DbgkitError as error:
        assert str(error)
        return None
    assert render.to_text(replay)
    return replay


def test_what_a_worker_answered_is_read_whole(answered):
    assert read_answer(answered, answered.answer).outcome == "same"


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0, 1e300, "x"])
def test_a_run_takes_a_time_that_there_is(answered, wrong):
    answer = with_wrong(answered.answer, ("runs", 0, "seconds"), wrong)
    assert read_answer(answered, answer) is None


def test_what_a_worker_answered_may_have_anything_anywhere(answered):
    where = list(places(answered.answer))

    @examples(300)
    @given(st.sampled_from(where), WRONG)
    def try_one(place, wrong):
        with bounded():
            read_answer(answered, with_wrong(answered.answer, place, wrong))

    try_one()


@pytest.fixture
def worker_says(answered_task, monkeypatch):
    """Replays a task on a worker that answers what is handed in."""

    def replay(answer):
        monkeypatch.setattr(on_worker, "replay_on", lambda *args: answer)
        return dbgkit.replay(answered_task, where="worker")

    return replay


@pytest.fixture
def answered_task(inproc):
    with Client(inproc) as client:
        bad = client.submit(boom, 1, key="answered-2")
        wait(bad)
        yield bad


@pytest.mark.parametrize("said", [None, 5, [], "x", Exception(b"\x80\x05.")])
def test_an_answer_that_is_none_is_not_what_the_worker_failed_in(worker_says, said):
    with pytest.raises(AnswerUnreadable, match="answered about 'answered-2' cannot be"):
        worker_says(said)


def test_what_the_function_raised_on_the_worker_is_told_as_such(worker_says):
    with pytest.raises(DbgkitError, match=r"could not be run on .* ValueError\('no"):
        worker_says(ValueError("no"))


def test_an_error_of_our_own_is_not_called_the_workers(
    answered, worker_says, monkeypatch
):
    def broken(self, keys, began):
        raise KeyError("a bug")

    monkeypatch.setattr(on_worker.Submissions, "stored_among", broken)
    with pytest.raises(KeyError, match="a bug"):
        worker_says(answered.answer)


# -- what anybody can log as an event ------------------------------------------

EVENT = {
    "key": "real",
    "worker": "tcp://127.0.0.1:1",
    "pid": 1,
    "exception_type": "ValueError",
    "message": "no",
    "kind": "a kind",
    "gap": "",
    "left_out": 0,
    "carried": False,
    "packed": b"",
}


def test_a_forged_event_is_taken_for_no_recording():
    assert recording_event(EVENT) == EVENT
    for name in EVENT:
        for wrong in ({}, [{}], {"a": 1}):
            assert recording_event({**EVENT, name: wrong}) is None
    for wrong in (None, 1, "x", [EVENT], {}, {"key": "x", "packed": None}):
        assert recording_event(wrong) is None


def test_forged_events_hide_no_recording(recorded):
    for wrong in (7, [], {}, {"key": "forged", "packed": None}, {**EVENT, "pid": "x"}):
        recorded.log_event(recorder_name(), wrong)
    wait(recorded.submit(boom, 1, key="real-1"))
    (found,) = dbgkit.recordings().recordings
    assert found.key == "real-1" and found.frames
