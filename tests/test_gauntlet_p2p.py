"""The gauntlet: P2P shuffles that fail on what goes into them."""

from __future__ import annotations

import dask
import p2p_tasks as tasks
import pandas as pd
import pytest
from distributed import wait
from watching import clear_history, forgotten, unchanged

import dbgkit
from dbgkit import errors
from dbgkit.remote.scheduler.p2p import where_in_shuffle

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*P2P:UserWarning"),
]

OOPS = "Could not convert 'oops' with type str"


@pytest.fixture(autouse=True)
def p2p(request):
    """Shuffles are P2P ones, and nothing is remembered of other tests."""
    for name in ("client", "processes_client"):
        if name in request.fixturenames:
            request.getfixturevalue(name).run_on_scheduler(clear_history)
    with dask.config.set(tasks.P2P):
        yield


def failed(client, collection):
    """Compute a collection, and wait until it has failed."""
    future = client.compute(collection)
    wait(future, timeout=60)
    assert future.status == "error"
    return future


@pytest.mark.parametrize("make", [tasks.shuffled, tasks.merged])
def test_what_can_be_mended_is_told(client, make):
    # GIVEN a shuffle that a partition cannot go into
    future = failed(client, make())
    with unchanged(client):
        # WHEN it is located, counted and asked about
        failure = dbgkit.locate(future)
        (group,) = dbgkit.failures(client=client).groups
        why = dbgkit.why(future)
    # THEN each tells what the user can mend, and which partition it was
    assert (failure.exception_type, failure.shuffle) == ("ArrowInvalid", "transfer")
    assert OOPS in failure.message
    assert "on partition 1 (of 3, counted from 0)" in failure.name
    assert type(failure.exception).__name__ == "ArrowInvalid"
    assert (group.exception_type, group.count) == ("ArrowInvalid", 1)
    assert OOPS in group.message
    assert OOPS in why.summary
    assert "RuntimeError" not in why.summary
    assert any("transfer phase" in each for each in why.evidence)
    assert "it failed while this partition was sent into a P2P shuffle" in failure.notes


@pytest.mark.parametrize("make", [tasks.shuffled, tasks.merged])
@pytest.mark.parametrize("scope", ["task", "ancestors"])
def test_what_the_partition_goes_through_is_run_again(client, make, scope):
    future = failed(client, make())
    with unchanged(client):
        replay = dbgkit.replay(future, scope=scope)
        assert replay.outcome == "same"
        assert type(replay.exception).__name__ == "ArrowInvalid"
        part = replay.args[0]
        assert isinstance(part, pd.DataFrame)
        assert list(part["b"]) == [1.5, 2.5, "oops"]
        assert any("nothing is sent" in each for each in replay.plan.warnings)
        replay.close()


def test_in_a_process_of_its_own_too(processes_client):
    future = failed(processes_client, tasks.shuffled())
    with dbgkit.replay(future, where="process") as replay:
        assert replay.outcome == "same"
        assert replay.runs[0].exception_type == "ArrowInvalid"


@pytest.mark.parametrize(
    "make", [tasks.shuffled, tasks.merged, tasks.merged_by_mixed_keys]
)
def test_not_on_a_worker(client, make):
    future = failed(client, make())
    with unchanged(client), pytest.raises(errors.NotHere, match="P2P shuffle"):
        dbgkit.replay(future, where="worker")


def test_a_rechunk_of_which_a_chunk_is_of_another_shape(client):
    future = failed(client, tasks.rechunked())
    with unchanged(client):
        failure = dbgkit.locate(future)
        assert "broadcast" in failure.message or "dimension" in failure.message
        replay = dbgkit.replay(future)
        assert replay.outcome == "same"
        assert replay.failure.message == failure.message
        replay.close()


@pytest.mark.parametrize("scope", ["task", "ancestors"])
def test_what_comes_out_cannot_be_run_again_and_says_so(client, scope):
    """It depends on the run which worker finds out first: barrier or unpack."""
    future = failed(client, tasks.merged_by_mixed_keys())
    with unchanged(client):
        failure = dbgkit.locate(future)
        assert "incompatible types" in failure.message
        with pytest.raises(errors.NotHere) as caught:
            dbgkit.replay(future, scope=scope)
    assert "P2P shuffle" in str(caught.value)
    assert "incompatible types" in str(caught.value)
    assert "dataframe.shuffle.method" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "frames", "count"),
    [
        (tasks.shuffled_of_types, [tasks.other_type], 3),
        (tasks.merged_by_mixed_keys, [tasks.mixed_keys, tasks.plain], 6),
    ],
)
def test_that_the_partition_is_not_told_is_said(client, make, frames, count):
    # GIVEN a shuffle that takes each partition, but not all of them together
    future = failed(client, make())
    with unchanged(client):
        failure = dbgkit.locate(future)
        (group,) = dbgkit.failures(client=client).groups
        why = dbgkit.why(future)
    # THEN it is said that any of those that went in may have done it: of a merge both
    # sides come together in what comes out
    count = count if failure.shuffle == "unpack" else 3
    assert failure.shuffle in ("transfer", "barrier", "unpack")
    assert failure.exception_type == "ArrowTypeError"
    (note,) = (each for each in failure.notes if "shuffle" in each)
    assert f"Dask does not report which of the {count} partitions that went in" in note
    assert note in group.example.notes
    assert any(note in each for each in why.evidence)
    # AND what is advised shows which one it is
    assert "dask.compute([part.dtypes for part in frame.to_delayed()])" in note
    frame = tasks.frame(frames[0])
    (types,) = dask.compute([part.dtypes for part in frame.to_delayed()])
    assert types[0].equals(types[2])
    assert not types[1].equals(types[0])


def test_what_another_partition_broke_is_not_laid_on_this_one():
    """A worker raises again, for each that comes after, what one has failed of."""
    frames = '  File "distributed/shuffle/_core.py", line 1, in {}\n'
    text = "OSError(28, 'No space left on device')"
    for name in ("_write_to_comm", "raise_if_closed"):
        told = where_in_shuffle("transfer", text, frames.format(name), 3)
        assert "while this partition" not in told
        assert "which of the 3 partitions" in told
        assert "dtypes" not in told
    told = where_in_shuffle("transfer", text, frames.format("_shard_partition"), 3)
    assert told == "it failed while this partition was sent into a P2P shuffle"
    told = where_in_shuffle("unpack", text, frames.format("flush_receive"), 0)
    assert "while this partition" not in told
    assert "which of the partitions that went in" in told


def test_a_compute_that_kept_nothing(client):
    with pytest.raises(RuntimeError, match="P2P") as caught:
        tasks.shuffled().compute(scheduler=client)
    failure = dbgkit.locate(caught.value, client=client)
    assert (failure.exception_type, failure.shuffle) == ("ArrowInvalid", "transfer")
    assert OOPS in failure.message
    with dbgkit.replay(caught.value, client=client) as replay:
        assert replay.outcome == "same"
        assert list(replay.args[0]["b"]) == [1.5, 2.5, "oops"]


def test_the_cause_outlives_the_task(client):
    """Of a failure that was forgotten the scheduler's history has the phase alone."""
    dbgkit.failures(client=client)  # from here on the index is kept
    future = failed(client, tasks.shuffled())
    del future
    forgotten(client)
    (group,) = dbgkit.failures(client=client).groups
    assert (group.exception_type, group.forgotten) == ("ArrowInvalid", 1)
    assert OOPS in group.message


def test_the_report_shows_what_can_be_mended(client, capsys):
    future = failed(client, tasks.shuffled())
    dbgkit.debug(future, prompt=False).close()
    said = " ".join(capsys.readouterr().out.split())
    assert "ArrowInvalid" in said
    assert "oops" in said
    assert "P2P shuffle" in said
    assert "RuntimeError" not in said


def test_ancestors_never_go_through_a_shuffle(client):
    future = failed(client, tasks.consumed())
    with unchanged(client), pytest.raises(errors.NotHere, match="P2P shuffle"):
        dbgkit.replay(future, scope="ancestors")
    assert dbgkit.locate(future).shuffle == ""
