"""``dbgkit deaths``, and what ``--json`` hides."""

from __future__ import annotations

import json
import os

import dask
import pytest
from commands import in_process
from conftest import own_cluster
from distributed import wait
from test_render_states import words_in
from watching import wait_until

import dbgkit
from dbgkit.cluster import recordings
from dbgkit.errors import NotRecorded


@pytest.fixture
def command(capsys):
    return lambda *args: in_process(capsys, *args)


def leave(code):
    os._exit(code)


def no_access(user):
    raise PermissionError(f"no access for {user} with password='hunter2-secret'")


@pytest.fixture(scope="module")
def mourning():
    """A cluster on which a task has taken its worker with it, and one has failed."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        own_cluster(n_workers=1) as client,
        dbgkit.record(),
    ):
        killer = client.submit(leave, 3, key="leave-1")
        wait(killer, timeout=60)
        client.wait_for_workers(1, timeout=60)
        denied = client.submit(no_access, "ann", key="denied-1")
        wait(denied, timeout=60)
        wait_until(lambda: dbgkit.deaths().total, "the death is known")
        yield client


def test_a_death_is_1_and_says_what_ran(mourning, command):
    done = command("deaths", "--scheduler", mourning.scheduler.address)
    assert done.code == 1, done
    assert "exit" in done.out and "leave-1" in done.out


def test_a_report_tells_the_deaths(mourning, command, tmp_path):
    page = tmp_path / "report.html"
    there = ("--scheduler", mourning.scheduler.address)
    done = command("report", *there, "--output", page, "--exit-code")
    assert done.code == 1, done
    told = words_in(page.read_text("utf-8"))
    assert "Workers that went away" in told and "leave-1" in told
    done = command("report", *there, "--json")
    (death,) = json.loads(done.out)["deaths"]["deaths"]
    assert death["exit_code"] == 3


def test_recordings_are_listed_and_one_is_shown(mourning, command):
    there = ("--scheduler", mourning.scheduler.address)
    done = command("recordings", *there)
    assert done.code == 1, done
    assert "denied-1" in done.out and "no access for ann" in done.out
    done = command("recordings", "denied-1", *there)
    assert "user = 'ann'" in done.out and "hunter2" not in done.out
    done = command("recordings", "denied-1", "--json", *there)
    (recording,) = json.loads(done.out)["recordings"]
    assert recording["frames"][-1]["locals"]["user"]["text"] == "'ann'"


def test_a_key_without_a_recording_is_2_and_named(mourning, command):
    there = ("--scheduler", mourning.scheduler.address)
    done = command("recordings", "no-such-key", *there)
    assert done.code == 2, done
    assert done.out.strip() == "no recording of 'no-such-key'"
    done = command("recordings", "no-such-key", "--json", *there)
    assert (done.code, json.loads(done.out)["unknown"]) == (2, ["no-such-key"])


def test_a_task_that_was_killed_has_no_recording_but_a_death(mourning, command):
    there = ("--scheduler", mourning.scheduler.address)
    done = command("recordings", "leave-1", *there)
    assert done.code == 2, done
    assert "no recording of 'leave-1'" in done.out
    assert "KilledWorker" in done.out and "dbgkit deaths --scheduler" in done.out
    with pytest.raises(NotRecorded, match=r"dbgkit\.deaths\(\) says why"):
        dbgkit.debug("leave-1", client=mourning, using="recording", prompt=False)


def test_where_the_recorder_is_off_there_are_no_recordings(
    processes_client, command, monkeypatch
):
    monkeypatch.setattr(recordings, "_left", {})  # of other tests in this process
    dbgkit.record(client=processes_client).off(keep=False)
    done = command("recordings", "--scheduler", processes_client.scheduler.address)
    assert done.code == 0
    there = processes_client.scheduler.address
    assert f"dbgkit record on --scheduler {there} turns it on" in done.out


def test_deaths_as_json(mourning, command):
    done = command("deaths", "--scheduler", mourning.scheduler.address, "--json")
    (death,) = json.loads(done.out)["deaths"]
    assert death["verdict"] == "exit"


def test_json_hides_secrets(mourning, command):
    done = command("failures", "--scheduler", mourning.scheduler.address, "--json")
    assert "hunter2-secret" not in done.out
    assert "denied-1" in done.out and "<hidden>" in done.out


def test_where_nobody_died_it_is_0(command):
    with own_cluster(n_workers=1, processes=False, protocol="tcp") as client:
        done = command("deaths", "--scheduler", client.scheduler.address)
    assert (done.code, done.err) == (0, "")
