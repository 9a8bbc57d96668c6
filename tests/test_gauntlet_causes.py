"""Causes are compared too where this client never had the task's future."""

from __future__ import annotations

from contextlib import contextmanager

import commands
import dask
import pytest
import verdict_tasks as tasks
from distributed import Client, wait
from watching import unchanged

import dbgkit
from dbgkit.remote.common.pickles import small_pickle_of

NOT_COMPARED = "the causes were not compared"
CAUSED = ["explicit", "implicit", "hidden", "deep"]


@pytest.fixture
def otherwise(monkeypatch):
    """This process is another one than the workers' for the tasks."""
    monkeypatch.setenv(tasks.HERE, "1")


def failed(client, function, *args):
    future = client.submit(function, *args, pure=False)
    wait(future, timeout=30)
    assert future.status == "error"
    return future


@contextmanager
def replayed(client, function, **options):
    """The replay of a failure by a client that did not submit the task."""
    future = failed(client, function, "rows")
    with (
        Client(client.scheduler.address, set_as_default=False) as other,
        unchanged(client),
        dbgkit.replay(future.key, client=other, **options) as again,
    ):
        yield again


def command(client, verb, function, *options, **variables):
    """What a command says of a failure, without a terminal."""
    future = failed(client, function, "rows")
    address = client.scheduler.address
    args = (verb, future.key, "--scheduler", address, *options)
    return commands.ended(commands.start(*args, env=variables))


def said_not_compared(replay):
    return any(NOT_COMPARED in note for note in replay.notes)


# -- from another client -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "where"),
    [
        *((name, where) for name in [*CAUSED, "alike"] for where in ("here", "worker")),
        ("hidden", "process"),
    ],
)
def test_the_same_causes_are_the_same_failure(processes_client, name, where):
    with replayed(processes_client, getattr(tasks, name), where=where) as again:
        assert (again.outcome, again.runs[0].detail) == ("same", "")
        assert not said_not_compared(again)


@pytest.mark.parametrize(
    ("name", "where"),
    [*((name, "here") for name in CAUSED), ("hidden", "process")],
)
def test_other_causes_are_another_failure(processes_client, otherwise, name, where):
    with replayed(processes_client, getattr(tasks, name), where=where) as again:
        assert again.outcome == "different"
        assert again.runs[0].detail == (
            "with another cause: before KeyError: 'rows', now "
            "PermissionError: no access to rows"
        )


def test_another_message_of_the_cause_is_another_failure(processes_client, otherwise):
    with replayed(processes_client, tasks.other_message) as again:
        assert again.outcome == "different"
        assert again.runs[0].detail == (
            "with another cause: before LookupError: no such row, now "
            "LookupError: disk full"
        )


def test_within_one_process_they_are_compared_too(inproc_client):
    with replayed(inproc_client, tasks.explicit) as again:
        assert again.outcome == "same"
        assert not said_not_compared(again)


def test_of_several_runs_each_is_compared(processes_client, otherwise):
    with replayed(processes_client, tasks.explicit, times=3) as again:
        assert [run.outcome for run in again.runs] == ["different"] * 3


# -- a cause that cannot be read here ----------------------------------------------


def test_a_cause_of_a_class_that_is_missing_here_is_told_apart(
    processes_client, otherwise
):
    with replayed(processes_client, tasks.of_lost) as again:
        assert again.outcome == "different"
        told = "with another cause: before Lost, now LookupError"
        assert again.runs[0].detail == told


def test_of_a_class_that_is_missing_here_it_is_said_what_was_not_compared(
    processes_client,
):
    with replayed(processes_client, tasks.of_lost, where="worker") as again:
        assert again.outcome == "same"
        # but where a recording has it as text
        recorded = dask.config.get("distributed.scheduler.preload")
        assert said_not_compared(again) is not bool(recorded)


def test_a_recording_tells_the_causes_that_cannot_be_read_here(processes_client):
    with (
        dbgkit.record(client=processes_client),
        replayed(processes_client, tasks.of_lost, where="worker") as again,
    ):
        assert (again.outcome, again.runs[0].detail) == ("same", "")
        assert not said_not_compared(again)


@pytest.mark.parametrize("where", ["here", "process"])
def test_a_recording_tells_another_message_of_a_cause(
    processes_client, otherwise, where
):
    with (
        dbgkit.record(client=processes_client),
        replayed(processes_client, tasks.of_lost_elsewhere, where=where) as again,
    ):
        assert again.outcome == "different"
        assert again.runs[0].detail == (
            "with another cause: before Lost: no such row, now Lost: disk full"
        )


def test_what_is_too_large_is_not_sent_and_that_is_said(processes_client):
    with replayed(processes_client, tasks.of_large) as again:
        assert again.outcome == "same"
        assert not again.failure.evidence.pickled
        assert said_not_compared(again)


def test_a_recorded_cause_that_was_cut_is_no_other_one(processes_client):
    with (
        dbgkit.record(client=processes_client),
        replayed(processes_client, tasks.of_large) as again,
    ):
        assert again.outcome == "same"


def test_an_exception_comes_with_run_specs_alone(processes_client):
    future = failed(processes_client, tasks.explicit, "rows")
    assert not dbgkit.locate(future.key).evidence.pickled


@pytest.mark.parametrize(("size", "kept"), [(2**18, True), (2**18 + 1, False)])
def test_a_pickle_is_sent_up_to_a_size(size, kept):
    assert bool(small_pickle_of(b"x" * size)) == kept


# -- from a terminal ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("debug", "explicit"),
        ("replay", "explicit"),
        ("replay", "implicit"),
        ("replay", "hidden"),
    ],
)
def test_a_command_knows_the_causes(processes_client, verb, name):
    done = command(processes_client, verb, getattr(tasks, name))
    assert done.code == 1 and "BadInput: cannot load" in done.out, done
    assert "different" not in done.out
    assert NOT_COMPARED not in done.out + done.err


@pytest.mark.parametrize("verb", ["replay", "debug"])
def test_a_command_tells_another_cause(processes_client, verb):
    done = command(processes_client, verb, tasks.explicit, **{tasks.HERE: "1"})
    said = " ".join((done.out + done.err).split())
    assert "with another cause: before KeyError: 'rows', now PermissionError" in said


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_secrets_in_messages_of_causes_are_never_printed(processes_client, options):
    variables = {tasks.HERE: "1"}
    done = command(processes_client, "replay", tasks.of_secret, *options, **variables)
    said = done.out + done.err
    assert "with another cause: before IndexError" in " ".join(said.split()), said
    assert "hunter" not in said
