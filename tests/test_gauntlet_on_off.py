"""The recorder on and off, whoever else does it: always whole or gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import dask
import pytest
from conftest import RECORDER_OFF, own_cluster
from deaths_tasks import leave, workers
from distributed import Client, wait
from distributed.diagnostics.plugin import WorkerPlugin
from on_off_looks import is_gone, is_whole, other_version, parts
from recorder_tasks import only, ratio, told, waits_for
from watching import started_again, wait_until

import dbgkit
from dbgkit.api.record import record_off
from dbgkit.cluster import recordings as switches
from dbgkit.cluster.shipping import deaths_name, recorder_name
from dbgkit.errors import RecorderBroken

pytestmark = pytest.mark.usefixtures("recorder_off")


@pytest.fixture(scope="module")
def shared():
    """A cluster of worker processes with nannies, for users that all want it."""
    # Made before `recorder_off` holds, which is a test's.
    with (
        dask.config.set(RECORDER_OFF),
        own_cluster(n_workers=2, threads_per_worker=1) as client,
    ):
        yield client


@pytest.fixture
def client(shared):
    assert is_gone(parts(shared))
    yield shared
    dbgkit.record(client=shared).off()
    assert is_gone(parts(shared))


@contextmanager
def user(client):
    """Somebody else, on the same cluster."""
    with Client(client.scheduler.address, set_as_default=False) as other:
        yield other


def recorded(client, *args, **options):
    """What the recorder has of a task that has just failed."""
    future = client.submit(ratio, *args, pure=False, **options)
    wait(future)
    return dbgkit.recordings(future, client=client)


# -- several users ---------------------------------------------------------------------


@pytest.mark.parametrize("how", ["off", "block", "address"])
def test_one_users_off_takes_nothing_from_another(client, how):
    mine = dbgkit.record(client=client)
    assert len(recorded(client, 1, 0, key="mine")) == 1
    with user(client) as other:
        if how == "block":
            with dbgkit.record(client=other):
                pass
        elif how == "off":
            off = dbgkit.record(client=other).off()
            assert off.others == 1
            assert str(off) == "The recorder stays on, as another client wants it."
        else:
            dbgkit.record(client=client.scheduler.address)
            record_off(client=client.scheduler.address)
        assert is_whole(parts(client))
        assert len(dbgkit.recordings("mine", client=other)) == 1
    assert str(mine.off()) == "The recorder is off."
    assert is_gone(parts(client))


def test_it_goes_with_the_last_who_wants_it_in_either_order(client):
    with user(client) as other:
        first, second = dbgkit.record(client=client), dbgkit.record(client=other)
        assert first.off().others == 1
        assert is_whole(parts(client))
        assert second.off().others == 0
    assert is_gone(parts(client))


def test_whoever_has_left_wants_nothing_any_more(client):
    with user(client) as other:
        dbgkit.record(client=other)
    # It is there for whoever comes next: the job may have ended, and be looked at.
    assert is_whole(parts(client))
    with dbgkit.record(client=client):
        pass
    assert is_whole(parts(client))
    assert dbgkit.record(client=client).off().others == 0
    assert is_gone(parts(client))


def test_secret_names_of_all_who_want_it_are_hidden(client):
    with user(client) as other:
        dbgkit.record(client=client, secret_names=["a"])
        dbgkit.record(client=other, secret_names=["pair"])
        hidden = told(recorded(client, 1, 0).recordings[0], "ratio")
        assert (hidden["a"], hidden["b"], hidden["pair"]) == (
            "<hidden>",
            "0",
            "<hidden>",
        )
        dbgkit.record(client=other).off()


def test_blocks_in_threads_of_one_client_each_have_it_to_their_end(client):
    entered, leave_it = threading.Event(), threading.Event()
    found = []

    def inner():
        with dbgkit.record(client=client):
            entered.set()
            assert leave_it.wait(30)
            found.append(len(recorded(client, 1, 0)))

    thread = threading.Thread(target=inner)
    with dbgkit.record(client=client):
        thread.start()
        assert entered.wait(30)
    assert is_whole(parts(client))
    leave_it.set()
    thread.join(30)
    assert found == [1]
    assert is_gone(parts(client))


def test_off_ends_all_that_one_client_has_turned_on(client):
    for _ in range(3):
        kept = dbgkit.record(client=client)
    kept.off()
    assert is_gone(parts(client))


# -- several versions ------------------------------------------------------------------


@pytest.mark.parametrize("first_off", ["ours", "theirs"])
def test_a_versions_off_takes_nothing_from_another(client, monkeypatch, first_off):
    ours = (recorder_name(), deaths_name())
    mine = dbgkit.record(client=client)
    with user(client) as other, other_version(monkeypatch) as theirs:
        assert not set(theirs) & set(ours)
        other_one = dbgkit.record(client=other)
        assert is_whole(parts(client), theirs) and is_whole(parts(client), ours)
        if first_off == "theirs":
            assert other_one.off().others == 0
    if first_off == "ours":
        mine.off()
    left = theirs if first_off == "ours" else ours
    found = parts(client)
    assert is_whole(found, left)
    gone = ours if first_off == "ours" else theirs
    names = [
        name for there in found.values() for each in there.values() for name in each
    ]
    assert not [name for name in names if name.startswith(gone)]
    if first_off == "ours":
        with user(client) as other, other_version(monkeypatch):
            assert len(recorded(other, 1, 0)) == 1
            dbgkit.record(client=other).off()
    else:
        assert len(recorded(client, 1, 0)) == 1
        mine.off()
    assert is_gone(parts(client))


@pytest.mark.parametrize("theirs_first", [True, False])
def test_a_death_is_told_though_another_version_went(monkeypatch, theirs_first):
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        own_cluster(n_workers=1, threads_per_worker=1) as client,
    ):
        ((worker, pid),) = workers(client).items()
        with user(client) as other:
            if not theirs_first:
                dbgkit.record(client=client)
            with other_version(monkeypatch):
                theirs = dbgkit.record(client=other)
            if theirs_first:
                dbgkit.record(client=client)
            with other_version(monkeypatch):
                theirs.off()
        wait(client.submit(leave, 3, key="left"))
        (death,) = dbgkit.deaths(client=client)
        assert (death.worker, death.pid, death.exit_code) == (worker, pid, 3)
        assert death.keys == ("left",)
        client.wait_for_workers(1, timeout=60)
        dbgkit.record(client=client).off()
        wait_until(lambda: is_gone(parts(client)), "it is gone")


# -- what somebody else has taken off --------------------------------------------------


def take_plugin(client):
    client.unregister_scheduler_plugin(recorder_name())


def take_deaths(client):
    client.unregister_scheduler_plugin(deaths_name())


def take_from_workers(client):
    client.unregister_worker_plugin(recorder_name())


def take_from_nannies(client):
    client.unregister_worker_plugin(deaths_name(), nanny=True)


def take_from_one_worker(client):
    name = recorder_name()
    where = next(iter(client.scheduler_info(n_workers=-1)["workers"]))

    async def take(dask_worker):
        await dask_worker.plugin_remove(name)

    client.run(take, workers=[where])


def take_handlers(client):
    names = (recorder_name(), deaths_name())

    def take(dask_scheduler):
        for name in list(dask_scheduler.handlers):
            if name.startswith(names):
                del dask_scheduler.handlers[name]

    client.run_on_scheduler(take)


def take_plugin_and_handlers(client):
    take_plugin(client)
    take_handlers(client)


HALVES = [
    take_plugin,
    take_deaths,
    take_from_workers,
    take_from_nannies,
    take_from_one_worker,
    take_handlers,
    take_plugin_and_handlers,
]


@pytest.mark.parametrize("take", HALVES)
def test_a_half_is_made_whole_by_turning_it_on(client, take):
    dbgkit.record(client=client)
    take(client)
    assert not is_whole(parts(client))
    dbgkit.record(client=client)
    assert is_whole(parts(client))
    assert len(recorded(client, 1, 0)) == 1


@pytest.mark.parametrize("take", HALVES)
def test_a_half_goes_as_it_is_turned_off(client, take):
    recorder = dbgkit.record(client=client)
    take(client)
    recorder.off()
    assert is_gone(parts(client))


# -- workers that hang, come late, or come back ----------------------------------------


@contextmanager
def stopped(client, worker, tmp_path):
    pid = workers(client)[worker]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def deaf(client, worker, tmp_path):
    """The loop of a worker is blocked."""
    go, begun = tmp_path / "go", tmp_path / "begun"

    def block(begun, go):
        Path(begun).touch()
        waits_for(go)

    options = {"workers": [worker], "on_error": "ignore"}
    arguments = (block, str(begun), str(go))
    blocking = threading.Thread(target=client.run, args=arguments, kwargs=options)
    blocking.start()
    try:
        wait_until(begun.exists, "the worker is deaf")
        yield
    finally:
        go.touch()
        blocking.join(30)
        begun.unlink()
        go.unlink()


@pytest.mark.parametrize("hang", [stopped, deaf])
def test_a_worker_that_hangs_keeps_it_from_nobody(client, tmp_path, hang):
    silent, answering = workers(client)
    with hang(client, silent, tmp_path):
        start = time.monotonic()
        with pytest.warns(RuntimeWarning, match=f"{silent}: no answer") as warned:
            recorder = dbgkit.record(client=client, timeout="3s")
        assert time.monotonic() - start < 3
        assert warned[0].filename == __file__
        assert list(recorder.without) == [silent]
        assert silent in repr(recorder)
        assert len(recorded(client, 1, 0, workers=[answering])) == 1
    # It has it as soon as it answers.
    wait_until(lambda: is_whole(parts(client)), "the silent one has it")
    assert len(recorded(client, 1, 0, workers=[silent])) == 1
    with hang(client, silent, tmp_path):
        start = time.monotonic()
        with pytest.warns(RuntimeWarning, match=f"{silent}: no answer"):
            off = recorder.off()
        assert time.monotonic() - start < 3
        assert list(off.without) == [silent]
        assert silent in str(off)
        assert "off" in dbgkit.recordings(client=client).notes[0]
    wait_until(lambda: is_gone(parts(client)), "the silent one has lost it")


def test_a_worker_that_hangs_meanwhile_has_what_was_wanted_last(client, tmp_path):
    silent, answering = workers(client)
    with stopped(client, silent, tmp_path), pytest.warns(RuntimeWarning, match=silent):
        for _ in range(3):
            dbgkit.record(client=client, timeout="0.5s").off()
        dbgkit.record(client=client, timeout="0.5s", secret_names=["pair"])
    wait_until(lambda: is_whole(parts(client)), "the silent one has it")
    (one,) = recorded(client, 1, 0, workers=[silent]).recordings
    assert told(one, "ratio")["pair"] == "<hidden>"
    assert len(recorded(client, 1, 0, workers=[answering])) == 1


def test_a_worker_that_hangs_and_dies_leaves_nothing(tmp_path):
    with own_cluster(n_workers=2, threads_per_worker=1) as client:
        silent, pid = next(iter(workers(client).items()))
        mine = dbgkit.record(client=client)
        mine._timeout = "1s"
        os.kill(pid, signal.SIGSTOP)
        with pytest.warns(RuntimeWarning, match=silent):
            mine.off()
        os.kill(pid, signal.SIGKILL)
        started_again(client, silent, 2)
        wait_until(lambda: is_gone(parts(client)), "it is gone")


def test_workers_that_come_late_or_come_back_have_it_or_have_lost_it():
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        mine = dbgkit.record(client=client)
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=60)
        wait_until(lambda: is_whole(parts(client)), "the late one has it")
        late = list(workers(client))[-1]
        assert len(recorded(client, 1, 0, workers=[late])) == 1
        client.restart(timeout=60)
        wait_until(lambda: is_whole(parts(client)), "those that came back have it")
        # WHEN it goes while workers join
        client.cluster.scale(3)
        mine.off()
        client.wait_for_workers(3, timeout=60)
        assert is_gone(parts(client))
        # and comes and goes as they do
        client.cluster.scale(4)
        for _ in range(100):
            dbgkit.record(client=client).off()
            if len(client.scheduler_info(n_workers=-1)["workers"]) == 4:
                break
        client.wait_for_workers(4, timeout=60)
        wait_until(lambda: is_gone(parts(client)), "none has it", 5)


class Fails(WorkerPlugin):
    def setup(self, worker):
        raise ValueError("not on this one")


def test_where_it_fails_as_it_starts_it_is_off_again(client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(switches, "_worker_part", lambda settings: Fails())
        with pytest.raises(RecorderBroken, match=r"start on tcp.*not on this one"):
            dbgkit.record(client=client)
    assert is_gone(parts(client))


# -- at once ---------------------------------------------------------------------------


def at_once(*jobs, limit=90):
    """Run jobs in threads of their own; raises what one of them has raised."""
    errors = []

    def run(job):
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    end = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def test_four_clients_of_five_threads_turn_it_on_and_off_and_look(client):
    """Who is within a block has it, whatever all others do."""

    def blocks(who, number):
        for turn in range(4):
            with dbgkit.record(client=who):
                key = f"of-{who.id}-{number}-{turn}"
                future = who.submit(ratio, 1, 0, key=key)
                wait(future)
                assert len(dbgkit.recordings(future, client=who)) == 1, key

    def toggles(who):
        """Another user with no block: on and off as it comes."""
        with user(client) as other:
            for _ in range(8):
                dbgkit.record(client=other)
                assert dbgkit.recordings(client=other).since is not None
                record_off(client=other)

    def looks(who):
        for _ in range(8):
            dbgkit.failures(client=who)
            dbgkit.tasks(client=who)
            dbgkit.recordings(client=who)
            dbgkit.deaths(client=who)

    def jobs(who):
        yield from (lambda n=n: blocks(who, n) for n in range(2))
        yield lambda: toggles(who)
        yield from (lambda: looks(who) for _ in range(2))

    with user(client) as one, user(client) as two, user(client) as three:
        everyone = [client, one, two, three]
        at_once(*(job for who in everyone for job in jobs(who)))
        assert is_gone(parts(client))


@pytest.mark.parametrize("last", ["on", "off"])
def test_whoever_is_last_decides(client, last):
    """Plain calls of one client's threads, with nobody's block around."""

    def toggles():
        for _ in range(6):
            dbgkit.record(client=client)
            record_off(client=client, keep=False)

    at_once(*[toggles] * 5)
    assert is_gone(parts(client))
    if last == "on":
        dbgkit.record(client=client)
        assert is_whole(parts(client))


DIES = r"""
import os, sys, threading
import dbgkit
from distributed import Client

client = Client(sys.argv[1])

def rounds():
    while True:
        recorder = dbgkit.record(client=client)
        os.write(1, b"on\n")
        recorder.off()

for _ in range(2):
    threading.Thread(target=rounds, daemon=True).start()
rounds()
"""


def test_a_client_that_dies_in_between_leaves_it_whole_or_gone(client):
    from commands import start

    address = client.scheduler.address
    for turn in range(2):
        process = start(address, command=("-c", DIES))
        try:
            for _ in range(3 + 4 * turn):
                assert process.stdout.readline() == b"on\n"
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.communicate(timeout=30)
        with user(client) as other:
            wait_until(
                lambda: is_whole(parts(client)) or is_gone(parts(client)),
                "it is whole or gone",
                10,
            )
            recorder = dbgkit.record(client=other)
            assert is_whole(parts(client))
            wait_until(
                lambda: len(client.run_on_scheduler(clients)) <= 2, "it has left"
            )
            assert recorder.off().others == 0
            assert is_gone(parts(client))


def clients(dask_scheduler):
    return [name for name in dask_scheduler.clients if name.startswith("Client-")]


def test_only_what_is_wanted_is_recorded_at_last(client):
    """An event that was under way as it went leaves no topic behind."""
    for _ in range(10):
        mine = dbgkit.record(client=client)
        futures = client.map(ratio, [1] * 20, [0] * 20, pure=False)
        mine.off(keep=False)
        wait(futures)
        assert is_gone(parts(client))
    with dbgkit.record(client=client):
        wait(client.submit(ratio, 1, 0, pure=False))
        assert only(client=client).exception_type == "ZeroDivisionError"
