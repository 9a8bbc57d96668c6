"""Private names by which it is told what an exception is, that no task raised."""

from __future__ import annotations

import inspect
from multiprocessing import spawn

import distributed.client
import pytest
from dask import tokenize
from dask._expr import Expr
from distributed.core import Server
from distributed.protocol.pickle import dumps
from distributed.protocol.serialize import serialization_error_loads, serialize


def names_of(function):
    return set(inspect.unwrap(function).__code__.co_varnames)


def test_what_is_pickled_is_called_x():
    assert "x" in names_of(serialize)
    assert "x" in names_of(dumps)
    assert serialize.__code__.co_filename.endswith("serialize.py")
    assert callable(serialization_error_loads)


def test_what_is_hashed_is_called_o():
    source = inspect.getsource(tokenize)
    assert "def normalize_object(o" in source


def test_methods_of_a_client():
    client = distributed.client.Client
    assert {"responses", "key"} <= names_of(client._run)
    assert "function" in names_of(client._run_on_scheduler)
    for name in ("_register_worker_plugin", "_register_scheduler_plugin"):
        assert {"plugin", "name"} <= names_of(getattr(client, name))
    assert "responses" in names_of(client._register_worker_plugin)
    source = inspect.getsource(distributed.client.Future.add_done_callback)
    assert "def execute_callback(fut)" in source


def test_reasons_of_cancelled_futures():
    source = inspect.getsource(distributed.client.Client)
    assert 'reason="scheduler-connection-lost"' in source
    assert 'reason="scheduler-restart"' in source
    error = distributed.client.FutureCancelledError("key", "why")
    assert (error.key, error.reason) == ("key", "why")


def test_what_does_not_start_says_so():
    assert "failed to start." in inspect.getsource(Server.start)


def test_frames_that_tblib_makes():
    from tblib import Traceback

    from dbgkit.targets.tracebacks import is_rebuilt

    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        rebuilt = Traceback(error.__traceback__).as_traceback()
        assert not is_rebuilt(error.__traceback__.tb_frame)
    assert is_rebuilt(rebuilt.tb_frame)


def test_an_expression_is_optimised_by_these_options():
    assert set(inspect.signature(Expr.optimize).parameters) == {"self", "fuse"}


def test_what_a_new_process_is_told():
    """A dict of names, and what is in it besides is left alone."""
    assert list(inspect.signature(spawn.get_preparation_data).parameters) == ["name"]
    assert spawn.prepare({"dbgkit": None}) is None


def test_how_joblib_carries_exceptions():
    joblib = pytest.importorskip("joblib")
    from joblib._dask import DaskDistributedBackend
    from joblib._utils import _TracebackCapturingWrapper

    from dbgkit.remote.common.carried import carried_by, is_carrier

    result = _TracebackCapturingWrapper({}.pop)(key=1)
    assert type(carried_by(result)) is TypeError
    assert is_carrier(f"{type(result).__module__}.{type(result).__name__}")
    assert carried_by(carried_by(result)) is None
    assert DaskDistributedBackend.__name__ == "DaskDistributedBackend"
    assert inspect.getfile(joblib.Parallel).endswith("parallel.py")
