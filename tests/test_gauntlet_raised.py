"""What Python can raise: exceptions that come home as others, in groups, as copies."""

from __future__ import annotations

import asyncio
import copy
import pickle
import sys

import dask
import pytest
from dask import delayed
from distributed import Client, as_completed, wait
from watching import forgotten

import dbgkit
from dbgkit import errors

groups = pytest.mark.skipif(sys.version_info < (3, 11), reason="no exception groups")


def ratio(a, b):
    return a / b


def first_of(values):
    return next(iter(values))


def stopped(value):
    raise StopIteration(value)


def stopped_async(value):
    raise StopAsyncIteration(value)


def own_generator(value):
    """Its RuntimeError is its own: Python raises it on the worker."""

    def numbers():
        yield next(iter(()))

    return list(numbers())


def cancelled(value):
    raise asyncio.CancelledError("upstream went away")


def from_none(value):
    try:
        return {}[value]
    except KeyError:
        raise RuntimeError("hidden") from None


def several(value):
    raise ExceptionGroup("many", [ValueError(value), KeyError("a")])  # noqa: F821


RAISED = {
    first_of: ([], "StopIteration"),
    stopped: (1, "StopIteration"),
    stopped_async: (1, "StopAsyncIteration"),
    own_generator: (1, "RuntimeError"),
    cancelled: (1, "CancelledError"),
    from_none: (1, "RuntimeError"),
}

WAYS = {
    "compute": lambda client, work: work.compute(),
    "below another": lambda client, work: delayed(str)(work).compute(),
    "with another": lambda client, work: dask.compute(delayed(str)(1), work),
    "result": lambda client, work: client.compute(work).result(),
    "gather": lambda client, work: client.gather([client.compute(work)]),
}


def raised(call, *args):
    with pytest.raises(BaseException) as caught:
        call(*args)
    return caught.value


def located_and_same(target, key, kind):
    failure = dbgkit.locate(target)
    assert (failure.key, failure.exception_type) == (key, kind)
    assert failure.kind == "task"
    with dbgkit.replay(target) as replay:
        assert (replay.outcome, replay.failure.key) == ("same", key)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("function", RAISED)
def test_whatever_a_task_raises_is_located(client, function, way):
    if function is cancelled and sys.version_info < (3, 11):
        pytest.skip("a client waits for ever for what raises CancelledError")
    value, kind = RAISED[function]
    key = f"the-{function.__name__}"
    work = delayed(function, pure=False)(value, dask_key_name=key)
    located_and_same(raised(WAYS[way], client, work), key, kind)


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
@pytest.mark.parametrize("function", RAISED)
def test_without_a_cluster_too(function, scheduler):
    value, kind = RAISED[function]
    work = delayed(function)(value)
    exception = raised(lambda: work.compute(scheduler=scheduler))
    with dbgkit.replay(exception) as replay:
        assert replay.outcome == "same"
        assert type(replay.exception).__name__ == kind


def test_a_replay_in_an_except_block_comes_of_nothing_around_it():
    """What the caller is handling is no cause, and hides none."""
    exception = raised(lambda: delayed(from_none)(1).compute(scheduler="processes"))
    try:
        raise exception
    except RuntimeError:
        with dbgkit.replay(exception) as replay:
            assert replay.outcome == "same"
            assert repr(replay.exception.__context__) == "KeyError(1)"
            assert replay.exception.__context__.__context__ is None


@groups
def test_a_group_and_its_members_are_targets(client):
    future = client.submit(several, 1, key="grouped")
    exception = raised(future.result)
    for target in (exception, *exception.exceptions, copy.copy(exception)):
        located_and_same(target, "grouped", "ExceptionGroup")


@groups
@pytest.mark.parametrize("way", ["compute", "result"])
def test_what_except_star_makes_of_a_group(client, way, monkeypatch):
    """``except*`` handles a group of its own, of the members that it names."""
    work = delayed(several)(1, dask_key_name="starred")
    exception = raised(WAYS[way], client, work)
    part, rest = exception.split(ValueError)
    assert len(part.exceptions) == len(rest.exceptions) == 1
    for target in (part, rest):
        located_and_same(target, "starred", "ExceptionGroup")
    # As at a prompt, after the cell has failed.
    monkeypatch.setattr(sys, "last_value", exception, raising=False)
    located_and_same(exception.exceptions[0], "starred", "ExceptionGroup")


def test_a_copy_that_was_pickled_is_told_by_its_text(client):
    work = delayed(ratio)(1, 0, dask_key_name="copied")
    future = client.compute(work)
    copied = pickle.loads(pickle.dumps(raised(future.result)))
    # Where tblib's support for pickles is installed it comes with frames, but these
    # have no locals.
    exception = copied.with_traceback(None)
    located_and_same(exception, "copied", "ZeroDivisionError")
    (note,) = dbgkit.locate(exception).notes
    assert "with this text" in note


def test_a_copy_of_what_nobody_raised_is_no_tasks(client):
    future = client.submit(ratio, 1, 0)
    wait(future)
    failure = dbgkit.locate(ZeroDivisionError("another text"))
    assert (failure.kind, failure.key) == ("remote", None)
    with pytest.raises(errors.NoTask):
        dbgkit.replay(ZeroDivisionError("another text"))


def test_what_as_completed_raises(client):
    future = client.submit(cancelled, 1, key="completed")
    exception = raised(lambda: list(as_completed([future], with_results=True)))
    located_and_same(exception, "completed", "CancelledError")


def test_an_asynchronous_client(processes):
    async def located():
        address = processes.scheduler_address
        async with Client(address, asynchronous=True) as client:
            kinds = {}
            for function, (value, kind) in RAISED.items():
                future = client.submit(function, value, key=f"a-{function.__name__}")
                try:
                    await future
                except BaseException as error:
                    failure = await dbgkit.locate(error, client=client)
                    kinds[failure.key] = (failure.exception_type, kind)
            return kinds

    found = asyncio.run(located())
    assert list(found) == [f"a-{function.__name__}" for function in RAISED]
    assert all(one == other for one, other in found.values())


# -- one failure that is like an earlier one -----------------------------------


@pytest.mark.parametrize("held", [True, False], ids=["held", "forgotten"])
def test_an_equal_failure_before_is_not_what_it_had_submitted(client, held):
    before = client.submit(ratio, 1, 0, key="before")
    wait(before)
    if not held:
        del before
        forgotten(client)
    exception = raised(delayed(ratio)(1, 0, dask_key_name="after").compute)
    forgotten(client, but=["before"]) if held else forgotten(client)
    failure = dbgkit.locate(exception)
    assert (failure.key, failure.through) == ("after", ())
    assert not any("submitted" in note for note in failure.notes)
