"""The recorder: turned on, taken off without a trace, and what it says of itself."""

from __future__ import annotations

import asyncio
import gc

import dask
import pytest
from conftest import own_cluster
from distributed import Client, LocalCluster, wait
from on_off_looks import is_gone, other_version, parts
from recorder_tasks import (
    fails_when_there,
    late_ratio,
    only,
    ratio,
    running,
    told,
    waits_for,
)
from watching import wait_until
from why_looks import flag

import dbgkit
from dbgkit.api.record import record_off
from dbgkit.cluster.shipping import recorder_name
from dbgkit.remote.worker.recorder import Recorder as Lonely

pytestmark = pytest.mark.usefixtures("recorder_off")


def recorders_of(dask_worker):
    """How many recorders there are in a worker's process."""
    gc.collect()
    return sum(
        type(each).__name__ == "Recorder" and type(each).__module__.endswith("recorder")
        for each in gc.get_objects()
    )


def test_one_that_has_taken_other_settings_leaves_nothing_either(client):
    before = client.run(recorders_of)
    with dbgkit.record():
        dbgkit.record(hold="2 MB")
    assert client.run(recorders_of) == before


@pytest.mark.parametrize("first_off", ["ours", "the other"])
def test_two_versions_on_one_worker_leave_nothing(
    inproc_client, tmp_path, monkeypatch, first_off
):
    def kinds(dask_worker):
        specs = [ts.run_spec for ts in dask_worker.state.tasks.values()]
        return {type(spec).__name__ for spec in specs if spec is not None}

    client, go = inproc_client, tmp_path / "go"
    recorder = dbgkit.record()
    with other_version(monkeypatch):
        dbgkit.record()
    futures = [client.submit(ratio, 1, n, pure=False) for n in (0, 1)]
    wait(futures)
    assert "Watched" not in set().union(*client.run(kinds).values())
    late = client.submit(fails_when_there, str(go), pure=False)
    wait_until(lambda: running(client), "the task runs")
    if first_off == "ours":
        recorder.off()
    with other_version(monkeypatch):
        record_off()
    recorder.off()
    assert "Watched" not in set().union(*client.run(kinds).values())
    assert is_gone(parts(client))
    go.touch()
    assert isinstance(late.exception(timeout=30), ValueError)


def test_a_workers_part_that_nobody_wants_goes_by_itself(inproc_client):
    """As one that a worker was handed that joined while it was being taken off."""
    name = recorder_name()
    inproc_client.register_plugin(Lonely(name, {}), name=name)
    found = inproc_client.run(lambda dask_worker: name in dask_worker.plugins)
    assert not any(found.values())

    def take(dask_scheduler):
        del dask_scheduler.worker_plugins[name]

    inproc_client.run_on_scheduler(take)
    assert is_gone(parts(inproc_client))


@pytest.mark.parametrize("goes", ["client", "cluster"])
def test_what_leaves_the_with_block_is_not_hidden_where_the_cluster_went(goes):
    with own_cluster(n_workers=1, processes=False) as client:
        with pytest.raises(KeyError, match="my own") as caught, dbgkit.record():
            client.close() if goes == "client" else client.cluster.close()
            raise KeyError("my own")
        if hasattr(caught.value, "add_note"):
            assert "could not be turned off" in caught.value.__notes__[0]


def end(client, how):
    """Close a client, or its cluster, as a script does at its end."""
    if how == "cluster":
        client.cluster.close()
    elif how == "shutdown":
        client.shutdown()
    else:
        client.close()


@pytest.mark.parametrize("how", ["cluster", "shutdown"])
def test_a_script_that_ends_its_cluster_in_the_block_succeeds(how):
    with own_cluster(n_workers=1, processes=False) as client, dbgkit.record():
        assert client.submit(ratio, 1, 2).result() == 0.5
        end(client, how)


def test_one_that_shuts_a_cluster_down_by_its_address_succeeds():
    options = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}
    with (
        # The cluster, as it closes, still tries to reach its scheduler.
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        LocalCluster(**options) as cluster,
        Client(cluster.scheduler_address) as client,
        dbgkit.record(),
    ):
        client.shutdown()


@pytest.mark.parametrize("made_with", ["cluster", "address"])
def test_where_only_the_client_was_closed_it_is_still_on_and_that_is_said(
    inproc, inproc_client, made_with
):
    place = inproc if made_with == "cluster" else inproc.scheduler_address
    with Client(place) as client:
        with pytest.warns(RuntimeWarning, match="it stays on for as long") as caught:
            with dbgkit.record():
                client.close()
            assert "Client, or pass" not in str(caught[0].message)
        assert caught[0].filename == __file__
    with inproc_client.as_current():
        assert dbgkit.recordings().since is not None
        dbgkit.record().off()
    assert dbgkit.recordings(client=inproc_client).since is None


@pytest.mark.parametrize("how", ["cluster", "shutdown", "client"])
def test_a_cluster_that_ends_in_an_asynchronous_block(how, recwarn):
    async def job():
        async with (
            LocalCluster(
                n_workers=1, processes=False, dashboard_address=":0", asynchronous=True
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
            dbgkit.record(),
        ):
            if how == "cluster":
                await cluster.close()
            else:
                await (client.shutdown() if how == "shutdown" else client.close())

    if how == "client":
        with pytest.warns(RuntimeWarning, match="it stays on for as long") as caught:
            asyncio.run(job())
        assert caught[0].filename == __file__
    else:
        asyncio.run(job())


def spoil(dask_scheduler):
    """Have what a recorder holds be nothing that can be read; how much that is."""
    held = [
        event
        for name, plugin in dask_scheduler.plugins.items()
        if name.startswith("dbgkit-recorder")
        for events in plugin.kinds.values()
        for event in events
    ]
    for event in held:
        event["packed"] = b"spoilt"
    return len(held)


def test_it_goes_off_although_what_it_holds_cannot_be_kept(inproc_client):
    recorder = dbgkit.record()
    future = inproc_client.submit(ratio, 1, 0, pure=False)
    wait(future)
    # A recording may come after what its task came to.
    wait_until(lambda: inproc_client.run_on_scheduler(spoil), "a recording came")
    recorder.off(keep=True)
    found = dbgkit.recordings(future)
    assert "off" in found.notes[0]
    assert not found.recordings


def test_it_goes_off_where_it_was_turned_on(client):
    with own_cluster(n_workers=1, processes=False):
        with dbgkit.record(client=client):
            pass
        with client.as_current():
            recorder = dbgkit.record()
        recorder.off()
    assert "off" in dbgkit.recordings(client=client).notes[0]


def test_off_leaves_no_trace(client):
    def traces(dask_scheduler):
        return [
            name
            for names in (
                dask_scheduler.handlers,
                dask_scheduler.plugins,
                dask_scheduler.worker_plugins,
                dask_scheduler._broker._topics,
            )
            for name in names
            if "recorder" in name
        ]

    def wrapped(dask_worker):
        specs = [type(ts.run_spec) for ts in dask_worker.state.tasks.values()]
        names = [*dask_worker.plugins, *dask_worker.handlers]
        plugins = [name for name in names if "recorder" in name]
        return [*plugins, *(kind.__name__ for kind in specs if kind is not None)]

    with dbgkit.record():
        future = client.submit(ratio, 1, 0)
        wait(future)
        assert len(dbgkit.recordings()) == 1
    assert client.run_on_scheduler(traces) == []
    assert "Watched" not in str(client.run(wrapped))
    assert "off" in dbgkit.recordings().notes[0]


def test_a_task_that_runs_while_it_is_taken_off_goes_on(client, tmp_path):
    with flag(tmp_path) as path, dbgkit.record():
        future = client.submit(waits_for, path)
        wait_until(lambda: any(client.run(executing).values()), "the task runs")
    assert future.result(timeout=10) == path


def executing(dask_worker):
    return bool(dask_worker.active_threads)


def test_turning_it_on_twice_keeps_what_it_holds(recorded):
    wait(recorded.submit(ratio, 1, 0))
    dbgkit.record()
    assert len(dbgkit.recordings()) == 1


def test_a_block_within_another_leaves_it_on(recorded):
    with dbgkit.record():
        pass
    wait(recorded.submit(ratio, 1, 0))
    assert len(dbgkit.recordings()) == 1


def test_one_that_is_on_takes_the_settings_that_are_given(recorded):
    running = recorded.submit(late_ratio, 4, 0)
    wait(running)
    dbgkit.record(secret_names=["pair"], hold="2 MB")
    dbgkit.record(secret_names=["a"], keep_inputs="1 MB")
    dbgkit.record()
    future = recorded.submit(ratio, 1, 0)
    wait(future)
    hidden = told(only(target=future), "ratio")
    assert (hidden["a"], hidden["b"], hidden["pair"]) == ("<hidden>", "0", "<hidden>")
    held = dbgkit.recordings()
    assert (len(held), held.hold) == (2, 2_000_000)


@pytest.mark.parametrize(
    "settings",
    [
        {"hold": -1},
        {"hold": 2**70},
        {"keep_inputs": "-1 MB"},
        {"nbytes": "lots"},
        {"time": "soon"},
        {"time": -1},
        {"secret_names": [None]},
        {"secret_names": 5},
    ],
    ids=str,
)
def test_settings_that_cannot_be_kept_to_are_refused(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"^{name}=.*: a "):
        dbgkit.record(**settings)


def test_less_room_than_what_is_held_drops_the_rest(recorded):
    wait(recorded.map(ratio, range(20), [0] * 20))
    before = dbgkit.recordings()
    dbgkit.record(hold=before.held // 2)
    held = dbgkit.recordings()
    assert held.held <= before.held // 2
    assert len(held) + held.dropped == 20 == held.failures


def test_what_was_held_is_kept_here_when_it_is_turned_off(client, capsys):
    with dbgkit.record():
        wait(client.submit(ratio, 1, 0, key="ratio-kept"))
    held = dbgkit.recordings("ratio-kept")
    assert told(only(target="ratio-kept"), "ratio")["pair"] == "[1, 0]"
    assert "it was turned off" in held.notes[0]
    dbgkit.debug(using="recording", prompt=False)
    assert "[1, 0]" in capsys.readouterr().out
    # AND nothing of it is there any more for another one
    with dbgkit.record() as recorder:
        assert len(dbgkit.recordings()) == 0
        recorder.off(keep=False)


def finding(name):
    found = [one for one in dbgkit.doctor().findings if one.check == name]
    return found[0] if found else None


def test_the_doctor_says_that_it_is_on(recorded):
    assert finding("recorder").level == "ok"


def test_the_doctor_is_silent_about_it_while_it_is_off(client):
    assert finding("recorder") is None


def test_a_recorder_that_fails_harms_no_job_and_the_doctor_tells():
    def break_it(dask_worker):
        for name, plugin in dask_worker.plugins.items():
            if name.startswith("dbgkit-recorder"):
                plugin.limits = None

    with own_cluster(n_workers=1, processes=False) as client:
        dbgkit.record()
        client.run(break_it)
        future = client.submit(ratio, 1, 0)
        with pytest.raises(ZeroDivisionError):
            future.result(timeout=10)
        assert client.submit(ratio, 1, 2).result(timeout=10) == 0.5
        found = finding("recorder")
        assert found.level == "warning"
        assert "ZeroDivisionError" in found.evidence[0]
        assert only().gap


def test_a_scheduler_can_be_started_with_it():
    with (
        dask.config.set({"distributed.scheduler.preload": ["dbgkit.preload"]}),
        own_cluster(n_workers=1, processes=False) as client,
    ):
        wait(client.submit(ratio, 1, 0))
        assert told(only(), "ratio")["pair"] == "[1, 0]"


def test_settings_are_read_from_dasks_configuration(client):
    with (
        dask.config.set({"dbgkit.record.secret-names": ["pair"]}),
        dbgkit.record(hold="2 MB"),
    ):
        wait(client.submit(ratio, 1, 0))
        assert told(only(), "ratio")["pair"] == "<hidden>"
        assert dbgkit.recordings().hold == 2_000_000
