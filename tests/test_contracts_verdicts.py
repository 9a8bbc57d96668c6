"""What verdicts rely on in Dask and tblib: what a release changes fails here first."""

from __future__ import annotations

import dask
import pandas as pd
import pytest
import verdict_tasks as tasks
from distributed import get_worker, wait
from distributed.core import clean_exception, error_message

from dbgkit.model import Failure
from dbgkit.remote.recording.raised import raised
from dbgkit.replays.outcome import contexts_travel, difference


def failed(function, *args, **options):
    with pytest.raises(Exception) as caught:
        function(*args, **options)
    return caught.value


def come_home(function, *args):
    """What a worker sends of an exception, as the client has it."""
    try:
        function(*args)
    except Exception as error:
        sent = error_message(error)
    _, home, _ = clean_exception(
        sent["exception"].data, sent["traceback"] and sent["traceback"].data
    )
    return sent, home


@pytest.mark.parametrize("name", ["explicit", "implicit", "hidden", "deep"])
def test_causes_and_contexts_travel_with_an_exception(name):
    _, home = come_home(getattr(tasks, name), "rows")
    before = raised(failed(getattr(tasks, name), "rows"))["chain"]
    assert contexts_travel()
    assert raised(home)["chain"] == before
    assert [row[0] for row in before][-1] == "KeyError"


@pytest.mark.parametrize("name", ["too_long", "too_long_of_strict"])
def test_a_long_message_is_cut_and_says_so(name):
    sent, _ = come_home(getattr(tasks, name), [0])
    kind, _, message = sent["exception_text"].partition("(")
    assert "Long error message" in message
    there = Failure("k", "k", kind, message[:-1], sent["traceback_text"])
    assert difference(there, raised(failed(getattr(tasks, name), [0]))) is None
    assert difference(there, raised(failed(tasks.in_list, [0]))) is not None


@pytest.mark.parametrize("scheduler", ["threads", "sync", "processes"])
def test_frames_around_a_task_are_told_from_its_own(scheduler):
    job = dask.delayed(pd.DataFrame.__getitem__)(pd.DataFrame(), "a")
    options = {"num_workers": 1} if scheduler == "processes" else {}
    frames = raised(failed(job.compute, scheduler=scheduler, **options))["frames"]
    assert frames
    assert all("pandas" in filename for filename, _, _ in frames)


def test_frames_of_a_client_that_waited_are_told_from_the_task_s(client):
    future = client.submit(pd.DataFrame.__getitem__, pd.DataFrame(), "a", pure=False)
    wait(future, timeout=30)
    for waited in (future.result, lambda: client.gather([future])):
        frames = raised(failed(waited))["frames"]
        assert frames
        assert all("pandas" in filename for filename, _, _ in frames)


def test_outside_of_a_worker_there_is_none_to_get():
    assert str(failed(get_worker)) == "No worker found"
