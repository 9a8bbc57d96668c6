"""What an exception's traceback still holds."""

from __future__ import annotations

import itertools
import sys

import dask
import pytest

from dbgkit.targets.tracebacks import chain, exception_at_hand, shown_chain, trace


def divide(a, b):
    half = a / 2
    return half / b


def failed(scheduler):
    with pytest.raises(ZeroDivisionError) as caught:
        dask.delayed(divide)(7, 0, dask_key_name="the-key").compute(scheduler=scheduler)
    return caught.value


def test_causes_and_contexts_are_followed():
    first, second, third = ValueError(1), ValueError(2), ValueError(3)
    third.__cause__ = second
    second.__context__ = first
    assert list(chain(third)) == [third, second, first]


def test_a_suppressed_context_is_not_followed():
    first, second = ValueError(1), ValueError(2)
    second.__context__ = first
    second.__suppress_context__ = True
    assert list(chain(second)) == [second]


def test_a_cycle_ends():
    first, second = ValueError(1), ValueError(2)
    first.__context__ = second
    second.__context__ = first
    assert list(chain(first)) == [first, second]


def test_a_long_chain_ends():
    errors = [ValueError(number) for number in range(3000)]
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    assert len(list(chain(errors[0]))) == 1_000


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_members_of_a_group_are_followed():
    inner = ExceptionGroup("inner", [ValueError(1)])  # noqa: F821
    outer = ExceptionGroup("outer", [KeyError(2), inner])  # noqa: F821
    kinds = [type(error).__name__ for error in chain(outer)]
    assert kinds == ["ExceptionGroup", "KeyError", "ExceptionGroup", "ValueError"]


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_task_of_this_process_is_found_with_its_node(scheduler):
    found = trace(failed(scheduler))
    key, node, data = found.local_task
    assert key == "the-key"
    assert node.func is divide
    assert data == {}


def test_a_failed_compute_is_found_behind_another_exception():
    try:
        try:
            raise failed("sync")
        except ZeroDivisionError as error:
            raise RuntimeError("the job failed") from error
    except RuntimeError as error:
        found = trace(error)
    assert found.local_task[0] == "the-key"
    assert isinstance(found.exception, ZeroDivisionError)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_failed_compute_is_found_within_a_group():
    group = ExceptionGroup("jobs", [ValueError(1), failed("sync")])  # noqa: F821
    assert trace(group).local_task[0] == "the-key"


def test_what_compute_was_computing_is_found():
    found = trace(failed("sync"))
    assert found.expression is not None
    assert len(found.collections) == 1
    assert found.client is None


def test_meta_inference_that_failed_gives_the_users_own_error():
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(pd.DataFrame({"x": [1, 2]}), npartitions=1)
    with pytest.raises(ValueError) as caught:
        frame.map_partitions(lambda part: part.no_such_column)
    found = trace(caught.value)
    assert isinstance(found.meta, AttributeError)


def test_an_exception_that_has_nothing_to_do_with_dask():
    with pytest.raises(ZeroDivisionError) as caught:
        divide(1, 0)
    found = trace(caught.value)
    assert not found.found
    assert found.exception is caught.value


def test_an_exception_that_was_never_raised():
    assert not trace(ValueError("x")).found


def test_the_exception_being_handled_comes_before_the_last_one(monkeypatch):
    last = ValueError("at the prompt")
    monkeypatch.setattr(sys, "last_value", last, raising=False)
    monkeypatch.setattr(sys, "last_exc", last, raising=False)
    assert exception_at_hand() is last
    try:
        raise KeyError("now")
    except KeyError as error:
        assert exception_at_hand() is error


@pytest.mark.parametrize("exceptions", [("a", "b"), 3, property(lambda self: 1 / 0)])
def test_exceptions_of_the_users_own_need_be_no_group(exceptions):
    kind = type("Own", (Exception,), {"exceptions": exceptions})
    error = kind("text")
    error.__cause__ = KeyError("cause")
    assert list(chain(error)) == [error, error.__cause__]
    assert [how for how, _ in shown_chain(error)] == ["cause"]
    assert not trace(error).found


def test_causes_that_are_properties_are_not_asked():
    kind = type("Own", (Exception,), {"__cause__": property(lambda self: 1 / 0)})
    error = kind("text")
    assert list(chain(error)) == [error]
    assert list(shown_chain(error)) == []
