"""Names of one's own in the configuration are hidden wherever values are shown."""

from __future__ import annotations

import dask
import pytest
from conftest import own_cluster
from distributed import wait

import dbgkit
from dbgkit import render

OPEN = "violet-otter-9"


def opens(badge, room):
    door = {"badge": badge, "room": room}
    raise ValueError(f"{len(door)} doors")


@pytest.fixture(scope="module")
def failed():
    with (
        dask.config.set({"dbgkit.record.secret-names": ["badge"]}),
        own_cluster(n_workers=1, threads_per_worker=1) as client,
    ):
        future = client.submit(opens, OPEN, room="b-17", key="opens-1")
        wait(future)
        yield future


@pytest.mark.parametrize("scope", ["task", "ancestors"])
@pytest.mark.parametrize("where", ["here", "process", "worker"])
def test_a_replay_hides_them_wherever_it_runs(failed, where, scope):
    with dbgkit.replay(failed, where=where, scope=scope) as replay:
        assert replay.outcome == "same"
        for shown in (render.to_text(replay), render.to_html(replay)):
            assert OPEN not in shown
            assert "b-17" in shown and "badge" in shown


def test_so_does_a_plan(failed):
    plan = dbgkit.replay(failed, dry_run=True)
    assert OPEN not in render.to_text(plan)


def test_so_does_a_plan_with_the_usual_names(failed):
    def logs_in(password, hold):
        raise ValueError("no")

    (again,) = failed.client.map(logs_in, [OPEN], hold=3)
    wait(again)
    text = render.to_text(dbgkit.replay(again, dry_run=True))
    assert OPEN not in text and "hold=3" in text


def test_so_does_a_recording(failed):
    with dbgkit.record():
        again = failed.client.submit(opens, OPEN, room="b-17", key="opens-2")
        wait(again)
        (held,) = dbgkit.recordings(again)
    assert OPEN not in render.to_text(held) and "b-17" in render.to_text(held)


@pytest.mark.parametrize("names", ["badge", ["badge", 3], {"badge"}])
def test_what_is_no_name_hides_the_others_all_the_same(failed, names):
    with (
        dask.config.set({"dbgkit.record.secret-names": names}),
        dbgkit.replay(failed) as replay,
    ):
        assert OPEN not in render.to_text(replay)


@pytest.mark.parametrize("names", [None, 3, []])
def test_without_names_only_the_usual_ones_are_hidden(failed, names):
    with (
        dask.config.set({"dbgkit.record.secret-names": names}),
        dbgkit.replay(failed) as replay,
    ):
        assert OPEN in render.to_text(replay)
