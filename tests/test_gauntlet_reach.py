"""A cluster at the far end of a line: what a look costs, and what does not get through.

Waits are counted, see ``slow_link``: each is one that comes after another one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import contextmanager

import dask
import live_tasks
import pytest
import tasks
from commands import in_process
from conftest import own_cluster
from distributed import Client, wait
from distributed.security import Security
from live_sessions import entered, nothing_left, stop_of
from peek_tasks import wait_there
from slow_link import far_cluster
from watching import remove_extension, unchanged, wait_until

import dbgkit
from dbgkit.cluster import pulls, reach, talk
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link
from dbgkit.cluster.pulls import PASSED_ON
from dbgkit.cluster.workers import run_on

DELAY = 0.05
# Dask's own messages in between would be counted too.
QUIET = {
    "distributed.client.heartbeat": "1h",
    "distributed.client.scheduler-info-interval": "1h",
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A far cluster of two workers, its client, and what a look is at."""
    with far_cluster(tmp_path_factory.mktemp("far"), workers=2) as far:
        far.files, far.settings = [], {}
        yield from _with_tasks(far, None)


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """As `plain`, with TLS and one worker; the files are those of a client."""
    security = Security.temporary()
    folder = tmp_path_factory.mktemp("far-tls")
    options = []
    for name, option in (("ca_file", "ca-file"), ("cert", "cert"), ("key", "key")):
        path = folder / f"{name}.pem"
        path.write_text(security.get_tls_config_for_role("client")[name])
        options += [f"--tls-{option}", str(path)]
    with far_cluster(folder, scheme="tls", options=options) as far:
        far.files = options
        far.settings = {
            f"distributed.comm.tls.{name}": path
            for name, path in zip(
                ("ca-file", "client.cert", "client.key"), options[1::2], strict=True
            )
        }
        yield from _with_tasks(far, security)


def _with_tasks(far, security):
    far.security = security
    with client_of(far) as client:
        client.wait_for_workers(len(far.worker_ports), timeout=60)
        zero = client.submit(int, 0, key="zero", workers=["far-0"])
        failed = client.submit(tasks.ratio, 5, zero, key="failed", workers=["far-0"])
        stuck = client.submit(tasks.inc, 1, key="stuck", resources={"GPU": 1})
        wait_until(failed.done, "it is done")
        far.held = [zero, failed, stuck]
        yield far


@pytest.fixture(params=["plain", "secured"])
def far(request):
    """Each of the far clusters."""
    return request.getfixturevalue(request.param)


@contextmanager
def client_of(far, **options):
    with (
        dask.config.set(QUIET),
        Client(
            far.address,
            security=far.security,
            timeout=30,
            set_as_default=False,
            **options,
        ) as client,
    ):
        yield client


@contextmanager
def counted(far, delay=DELAY):
    """How many waits one after the other, and seconds."""
    count = {}
    far.link.delay = delay
    trips, start = far.link.trips, time.perf_counter()
    try:
        yield count
    finally:
        count["seconds"] = time.perf_counter() - start
        count["trips"] = far.link.trips - trips
        far.link.delay = 0.0


@contextmanager
def cut_off(far):
    """Nothing gets through to the workers, though the scheduler reaches them."""
    far.cut()
    try:
        yield
    finally:
        far.mend()


def first_and_again(far, look):
    """Waits of a client's first look, and of the next one."""
    with client_of(far) as client:
        with counted(far) as first:
            look(client)
        with counted(far) as again:
            look(client)
    return first["trips"], again["trips"]


# -- how often a look waits ---------------------------------------------------------


def test_a_replay(far):
    def look(client):
        again = dbgkit.replay("failed", client=client)
        assert again.outcome == "same"
        assert again.inputs == {"zero": 0}

    first, again = first_and_again(far, look)
    assert first <= (5 if far.security else 4)
    assert again <= 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: dbgkit.failures(client=client).groups,
        lambda client: dbgkit.why("failed", client=client).graph,
        lambda client: dbgkit.why("stuck", client=client).graph,
        lambda client: dbgkit.why(client=client).others,
        lambda client: dbgkit.locate("failed", client=client),
        lambda client: dbgkit.tasks(client=client).rows,
        lambda client: dbgkit.story("failed", client=client).moments,
    ],
    ids=["failures", "why-failed", "why-stuck", "why", "locate", "tasks", "story"],
)
def test_a_look(far, ask):
    def look(client):
        assert ask(client)

    first, again = first_and_again(far, look)
    assert first <= 2
    assert again <= 1


def test_why_asks_the_worker_of_what_runs_in_the_same_visit(plain):
    with client_of(plain) as client:
        runs = client.submit(time.sleep, 600, key="sleeps", workers=["far-1"])
        after = client.submit(str, runs, key="after-it")
        wait_until(lambda: executing(client, "sleeps"), "it runs")
        for target in (runs, after):
            with counted(plain) as count:
                told = dbgkit.why(target, client=client)
            assert told.cause in ("running", "waiting-on")
            assert "sleep" in str(told.evidence)  # the line that it is at
            assert count["trips"] <= 2
            with counted(plain) as count:
                assert dbgkit.why(target, client=client) is not None
            assert count["trips"] == 1
        client.cancel([runs, after], force=True)


def executing(client, key):
    return any(key in keys for keys in client.processing().values())


def test_with_the_recorder_on_it_is_no_more(plain):
    with client_of(plain) as client, dbgkit.record(client=client):
        held = client.submit(tasks.boom, 8, key="recorded")
        wait_until(held.done, "it is done")
        wait_until(
            lambda: dbgkit.recordings("recorded", client=client).recordings,
            "it was recorded",
        )
        dbgkit.replay(held)
        with counted(plain) as count:
            again = dbgkit.replay(held)
        assert again.outcome == "same"
        # Without an input there is nothing to be brought.
        assert count["trips"] == 1
        with counted(plain) as count:
            groups = dbgkit.failures(client=client).groups
        assert count["trips"] == 1
        assert any(group.recording is not None for group in groups)
        with counted(plain) as count:
            dbgkit.why(held, client=client)
        assert count["trips"] == 1


def test_the_newest_failure_of_any_client_takes_one_visit(far):
    with client_of(far) as client:
        dbgkit.tasks(client=client)
        with counted(far) as count:
            found = dbgkit.locate(client=client)
        assert count["trips"] == 1
        assert "it may be another client's failure" in found.notes


@pytest.mark.parametrize("command", ["failures", "why", "story"])
def test_from_a_terminal(far, capsys, command):
    # GIVEN what it costs Dask to connect and to close
    with dask.config.set(QUIET):
        with counted(far) as bare, client_of(far):
            pass
        # WHEN a command connects by the address
        target = [] if command == "failures" else ["failed"]
        with counted(far) as count:
            done = in_process(
                capsys, command, *target, "--scheduler", far.address, *far.files
            )
    # THEN its own waits are no more than those of a call
    assert (done.code, done.err) == (1, "")  # something has failed
    assert "failed" in done.out
    assert count["trips"] - bare["trips"] <= 2


def test_a_replay_by_an_address(far):
    with dask.config.set({**QUIET, **far.settings}):
        with counted(far) as bare, client_of(far):
            pass
        with counted(far) as count:
            again = dbgkit.replay("failed", client=far.address)
    assert again.outcome == "same"
    assert count["trips"] - bare["trips"] <= 5


def test_what_another_client_took_off_is_put_on_again(plain):
    with client_of(plain) as client, client_of(plain) as other:
        for each in (client, other):
            dbgkit.tasks(client=each)
        remove_extension(other)
        with counted(plain) as count:
            assert dbgkit.failures(client=client).groups
        # Asked in vain, and then with the extension ahead of the question.
        assert count["trips"] == 2


def test_looks_from_afar_change_nothing(far):
    with client_of(far) as client, unchanged(client):
        dbgkit.replay("failed", client=client)
        dbgkit.failures(client=client)
        dbgkit.why("failed", client=client)
        dbgkit.doctor(client=client)


def test_an_extension_that_may_not_be_put_on_says_so(tmp_path):
    refused = {"distributed.scheduler.blocked-handlers": ["register_scheduler_plugin"]}
    with dask.config.set(refused), own_cluster(processes=False) as client:
        with pytest.raises(ValueError, match="register_scheduler_plugin"):
            dbgkit.failures(client=client)
        # The connection that it was asked on is good for others.
        assert client.submit(tasks.inc, 1).result() == 2
        assert client.nthreads()


def test_several_threads_ask_first_at_the_same_time(plain):
    with client_of(plain) as client:

        async def all_at_once():
            asking = Link(client, 30)
            looks = [asyncio.to_thread(asking.visit, keys=["failed"]) for _ in range(5)]
            return await asyncio.gather(*looks)

        answers = asyncio.run(all_at_once())
    assert [each["asked"][0]["state"] for each in answers] == ["erred"] * 5


# -- workers that are out of reach --------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    """Whether a worker is out of reach is found out sooner."""
    monkeypatch.setattr(pulls, "CONNECT_LIMIT", 1.0)


def replayed(far, client, key="failed", **options):
    """A replay, and how many connections were tried in vain."""
    before = far.link.swallowed
    again = dbgkit.replay(key, client=client, **options)
    assert again.outcome == "same"
    return again, far.link.swallowed - before


def test_who_cannot_reach_the_workers_waits_once(far):
    told = []
    with client_of(far) as client, cut_off(far):
        start = time.perf_counter()
        first, tried = replayed(far, client, notify=told.append)
        # Not as long as Dask tries, 30 s.
        assert time.perf_counter() - start < 15
        assert tried  # with TLS, Dask does so more than once
        for _ in range(2):
            again, tried = replayed(far, client)
            assert not tried
            assert again.inputs == {"zero": 0}
            assert PASSED_ON in again.notes
    assert PASSED_ON in first.notes
    assert sum("the scheduler passes" in str(each) for each in told) == 1


def without_waiting(client, key, monkeypatch):
    """A replay of which trying to reach a worker would be noticed."""
    monkeypatch.setattr(pulls, "CONNECT_LIMIT", 60.0)
    start = time.perf_counter()
    again = dbgkit.replay(key, client=client, timeout=240)
    assert time.perf_counter() - start < 30
    return again


def test_other_workers_are_not_waited_for_either(plain, impatient, monkeypatch):
    with client_of(plain) as client, cut_off(plain):
        replayed(plain, client)
        null = client.submit(int, 0, key="null", workers=["far-1"])
        other = client.submit(tasks.ratio, 5, null, key="elsewhere", workers=["far-1"])
        wait_until(other.done, "it is done")
        again = without_waiting(client, "elsewhere", monkeypatch)
        assert PASSED_ON in again.notes
        assert again.inputs == {"null": 0}


def test_peek_goes_through_the_scheduler(far, tmp_path):
    path = tmp_path / "go"
    with client_of(far) as client, cut_off(far):
        future = client.submit(wait_there, str(path), key="peek-far", workers=["far-0"])
        before = far.link.swallowed
        wait_until(lambda: client.processing(), "it is there")
        found = dbgkit.peek(future, client=client, times=3, every=0.05)
        assert found[0].frames[0].function == "wait_there"
        assert found.samples == 3
        assert far.link.swallowed == before  # no worker was tried
        with counted(far) as count:
            assert dbgkit.peek(future, client=client)[0].key == "peek-far"
        assert count["trips"] <= 2
        path.touch()
        future.result()


def test_a_prompt_goes_through_the_scheduler(far, monkeypatch):
    """Of `live` and `break_at`; that the worker is out of reach is found out once."""
    monkeypatch.setattr(talk, "CONNECT_LIMIT", 1.0)
    with client_of(far) as client, cut_off(far):
        with dbgkit.live(client=client), dbgkit.break_at("broken-far", client=client):
            keys = {"prompt-far": live_tasks.doubled, "broken-far": live_tasks.plain}
            there = {"workers": ["far-0"]}
            futures = [client.submit(f, 3, key=k, **there) for k, f in keys.items()]
            for number, key in enumerate(keys):
                found = stop_of(client, key)
                before = far.link.swallowed
                with entered(client, found) as session:
                    assert session.type("p x").strip().endswith("3")
                    assert session.talk.through
                    session.type("c")
                    assert session.ended.how in ("continued", "finished")
                assert (far.link.swallowed > before) == (number == 0)
            assert client.gather(futures) == [7, 4]
        nothing_left(client)


def test_where_only_some_are_out_of_reach(plain, impatient, monkeypatch):
    near = plain.worker_ports[0]
    with client_of(plain) as client, cut_off(plain):
        plain.link.closed.discard(near)
        zeros = [
            client.submit(int, 0, key=f"zero-of-{n}", workers=[f"far-{n}"])
            for n in (0, 1)
        ]
        # The one that runs it has a copy of the other's.
        both = client.submit(tasks.ratio, *zeros, key="of-both", workers=["far-1"])
        alone = client.submit(tasks.ratio, 5, zeros[1], key="alone", workers=["far-1"])
        wait_until(lambda: both.done() and alone.done(), "they are done")
        for _ in range(2):
            again, tried = replayed(plain, client, "alone")
            assert PASSED_ON in again.notes
        assert not tried
        again = without_waiting(client, "of-both", monkeypatch)
        assert again.inputs == {"zero-of-0": 0, "zero-of-1": 0}
        # Other workers are tried while nobody waits for it.
        monkeypatch.setattr(reach, "LOOK_AGAIN_AFTER", 0.0)

        def one_is_reached():
            without_waiting(client, "of-both", monkeypatch)
            return reach.reach_of(client).reached

        wait_until(one_is_reached, "one is in reach")


def test_it_is_known_for_that_client_only(plain, impatient):
    with client_of(plain) as client, client_of(plain) as other:
        with cut_off(plain):
            replayed(plain, client)
        again, _ = replayed(plain, other)
        assert PASSED_ON not in again.notes


def test_a_way_that_opens_is_found_without_waiting(plain, impatient, monkeypatch):
    monkeypatch.setattr(reach, "LOOK_AGAIN_AFTER", 0.0)
    with client_of(plain) as client:
        with cut_off(plain):
            replayed(plain, client)

        def straight():
            again, _ = replayed(plain, client)
            return PASSED_ON not in again.notes

        wait_until(straight, "data comes straight again")


def test_a_replay_in_a_child_and_a_recompute_say_it_too(plain, impatient, monkeypatch):
    with client_of(plain) as client, cut_off(plain):
        replayed(plain, client)
        again, tried = replayed(plain, client, where="process")
        assert not tried
        assert PASSED_ON in again.notes
        released = client.submit(tasks.inc, -1, key="let-go")
        fell = client.submit(tasks.ratio, 5, released, key="fell")
        wait_until(fell.done, "it is done")
        del released
        # It may have been computed again by the other worker.
        again = without_waiting(client, "fell", monkeypatch)
        assert again.outcome == "same"
        assert PASSED_ON in again.notes


def test_an_asynchronous_client_waits_once_too(plain, impatient):
    async def look():
        async with Client(
            plain.address, asynchronous=True, set_as_default=False
        ) as client:
            first = await dbgkit.replay("failed", client=client)
            tried = plain.link.swallowed
            again = await dbgkit.replay("failed", client=client)
            return first, again, plain.link.swallowed - tried

    with cut_off(plain):
        first, again, tried = asyncio.run(look())
    assert PASSED_ON in first.notes
    assert PASSED_ON in again.notes
    assert not tried


def finding(checkup):
    (found,) = [each for each in checkup.findings if each.check == "reach"]
    return found


def test_doctor_says_it_and_the_next_replay_waits_no_more(far):
    with client_of(far) as client, cut_off(far):
        (found,) = [
            each
            for each in dbgkit.doctor(client=client).findings
            if each.check == "reach"
        ]
        again, tried = replayed(far, client)
    count = len(far.worker_ports)
    assert found.level == "warning"
    assert found.summary.startswith(f"{count} of {count} workers cannot be reached")
    assert len(found.evidence) == count
    assert not tried
    assert PASSED_ON in again.notes


def test_doctor_finds_nothing_where_workers_are_in_reach(far):
    with client_of(far) as client:
        assert finding(dbgkit.doctor(client=client)).level == "ok"


# -- workers that have left ---------------------------------------------------------


def test_a_worker_that_has_left_is_not_asked(harmable):
    with harmable(n_workers=2, processes=True) as client:
        first, _ = sorted(client.scheduler_info()["workers"])
        failed = client.submit(fails_elsewhere, os.getpid(), workers=[first])
        wait(failed)
        client.retire_workers([first])
        start = time.perf_counter()
        again = dbgkit.replay(failed)
        assert time.perf_counter() - start < 3.0
        assert again.outcome == "passed"
        (note,) = [each for each in again.notes if first in each]
        assert "has left" in note


def fails_elsewhere(pid):
    """Fails in any process but one."""
    assert os.getpid() == pid


def test_run_on_leaves_out_what_is_not_listed_and_what_is_silent(harmable):
    from dbgkit.cluster.shipping import ShippedFunction

    with harmable(n_workers=2, processes=True) as client:
        client.wait_for_workers(2, timeout=30)
        first, second = client.scheduler_info()["workers"]
        pid = client.run(os.getpid, workers=[second])[second]
        asking = Link(client, 30)
        function = ShippedFunction("worker.environment", "describe_process")
        asked = dict.fromkeys([first, second, "tcp://127.0.0.1:1"], (("dask",),))
        assert set(run_on(asking, function, asked, 5.0)) == {first, second}
        raised = run_on(asking, function, {first: ("too", "many")}, 5.0)[first]
        assert isinstance(raised, TypeError)
        os.kill(pid, signal.SIGSTOP)
        try:
            start = time.perf_counter()
            assert set(run_on(asking, function, asked, 1.0)) == {first}
            assert time.perf_counter() - start < 4.0
        finally:
            os.kill(pid, signal.SIGCONT)


def test_killed_workers_are_told_in_one_visit(tmp_path):
    options = {"distributed.scheduler.allowed-failures": 0}
    with dask.config.set(options), own_cluster(n_workers=2) as client:
        killed = client.submit(os._exit, 3, key="killed", retries=0)
        wait(killed)
        asked = []
        ask = Link.call

        def seen(self, function, *args, **kwargs):
            asked.append(args)
            return ask(self, function, *args, **kwargs)

        dbgkit.tasks(client=client)
        Link.call = seen
        try:
            (group,) = dbgkit.failures(client=client).groups
        finally:
            Link.call = ask
        assert group.exception_type == "KilledWorker"
        assert len(asked) == 1
    assert extension_name().startswith("dbgkit-")
