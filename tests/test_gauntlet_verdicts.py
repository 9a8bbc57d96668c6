"""The gauntlet: *same* is the same, causes included, and nothing else is."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
import verdict_tasks as tasks
from distributed import wait
from watching import unchanged

import dbgkit

WHERE = ["here", "process", "worker"]


@pytest.fixture
def otherwise(monkeypatch):
    """This process is another one than the workers' for the tasks."""
    monkeypatch.setenv(tasks.HERE, "1")


def failed(client, function, *args):
    future = client.submit(function, *args, pure=False)
    wait(future, timeout=30)
    assert future.status == "error"
    return future


# -- the causes count ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("explicit", "here"),
        ("implicit", "here"),
        ("hidden", "here"),
        ("deep", "here"),
        ("deep", "process"),
    ],
)
def test_another_cause_is_another_failure(processes_client, otherwise, name, where):
    future = failed(processes_client, getattr(tasks, name), "rows")
    with unchanged(processes_client):
        again = dbgkit.replay(future, where=where)
    assert again.outcome == "different"
    assert "KeyError" in again.runs[0].detail
    assert "PermissionError: no access to rows" in again.runs[0].detail


def test_another_message_of_the_cause_is_another_failure(processes_client, otherwise):
    again = dbgkit.replay(failed(processes_client, tasks.other_message, "rows"))
    assert again.outcome == "different"
    assert (
        "with another cause: before LookupError: no such row, now"
        in again.runs[0].detail
    )


def test_no_cause_where_there_was_one_is_another_failure(processes_client, otherwise):
    again = dbgkit.replay(failed(processes_client, tasks.uncaused, "rows"))
    assert again.outcome == "different"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with 3.11")
def test_another_member_of_a_group_is_another_failure(processes_client, otherwise):
    future = failed(processes_client, tasks.grouped, "rows")
    assert dbgkit.replay(future).outcome == "different"


@pytest.mark.parametrize("where", ["here", "worker"])
@pytest.mark.parametrize("name", ["explicit", "implicit", "hidden", "deep", "alike"])
def test_the_same_causes_are_the_same_failure(client, name, where):
    future = failed(client, getattr(tasks, name), "rows")
    again = dbgkit.replay(future, where=where)
    assert (again.outcome, again.runs[0].detail) == ("same", "")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with 3.11")
@pytest.mark.parametrize("where", WHERE)
def test_a_group_of_the_same_members_is_the_same_failure(client, where):
    future = failed(client, tasks.grouped, "rows")
    assert dbgkit.replay(future, where=where).outcome == "same"


def test_what_a_script_handles_as_it_computes_is_no_cause(client):
    try:
        raise OSError("of the script's own")
    except OSError:
        future = failed(client, tasks.implicit, "rows")
        with pytest.raises(tasks.BadInput) as caught:
            future.result()
        assert dbgkit.replay(caught.value).outcome == "same"


# -- one failure, told in many ways ----------------------------------------------

ALIKE = {
    "in_list": [0],
    "in_nested": [0],
    "in_dict": [0],
    "in_generator": [0],
    "over_lines": [0],
    "decorated": [0],
    "with_set": [0],
    "with_uuid": [0],
    "with_temporary": [0],
    "with_address": [0],
    "with_code": [7],
    "too_long": [0],
    "long_repr": [0],
    "too_long_of_strict": [0],
    "mixed_quotes": [0],
}


@pytest.mark.parametrize("where", ["here", "worker"])
@pytest.mark.parametrize("name", ALIKE)
def test_what_is_told_in_another_way_is_the_same_failure(processes_client, name, where):
    future = failed(processes_client, getattr(tasks, name), ALIKE[name])
    again = dbgkit.replay(future, where=where)
    assert (again.outcome, again.runs[0].detail) == ("same", "")


def test_a_static_method_behind_a_decorator_a_lambda_and_a_property(processes_client):
    future = failed(processes_client, tasks.Meter.read, [0])
    assert dbgkit.replay(future).outcome == "same"


FRAME = pd.DataFrame({"it's": ["1", "oops"], 'a "b"': [1, 2], "x": [1, 2]})
DATED = pd.Series([1], index=pd.DatetimeIndex(["2020-01-01"]))
PANDAS = {
    "column": (pd.DataFrame.__getitem__, FRAME, "a"),
    "column of both quotes": (pd.DataFrame.__getitem__, FRAME, 'it\'s "y"'),
    "columns": (pd.DataFrame.__getitem__, FRAME, ["x", 'it\'s "y"', "b"]),
    "no columns": (pd.DataFrame.__getitem__, FRAME, ["p", "q's"]),
    "drop": (pd.DataFrame.drop, FRAME, ["no's"]),
    "to_numeric": (pd.to_numeric, FRAME["it's"]),
    "astype": (pd.Series.astype, FRAME["it's"], float),
    "timestamps": (pd.Timestamp, "oops"),
    "merge": (pd.merge, FRAME, FRAME, "left", "y"),
    "concat": (pd.concat, []),
    "set_index": (pd.DataFrame.set_index, FRAME, "y"),
    "query": (pd.DataFrame.query, FRAME, "y > 1"),
    "groupby": (pd.DataFrame.groupby, FRAME, "y"),
    "timestamp": (pd.Series.__getitem__, DATED, pd.Timestamp("2021")),
    "insert": (pd.DataFrame.insert, FRAME, 0, "x", 1),
}


@pytest.mark.parametrize("where", ["here", "worker"])
@pytest.mark.parametrize("name", PANDAS)
def test_what_a_library_alone_raises_is_the_same_failure(processes_client, name, where):
    future = failed(processes_client, *PANDAS[name])
    again = dbgkit.replay(future, where=where)
    assert (again.outcome, again.runs[0].detail) == ("same", "")
