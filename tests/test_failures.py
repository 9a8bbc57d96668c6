"""`failures()`: groups by root cause, live; what the index of failures follows."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime, timedelta, timezone

import pytest
from distributed import Client, span, wait
from tasks import add, boom, boom_at, inc, ratio
from watching import (
    clear_history,
    forgotten,
    known_keys,
    remove_extension,
    unchanged,
    wait_until,
)

import dbgkit
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link
from dbgkit.cluster.view import LiveView
from dbgkit.errors import NoFailure, SchedulerGone, WrongTarget

CLIENTS = ("client", "processes_client", "inproc_client")


@pytest.fixture(autouse=True)
def without_history(request):
    """The shared clusters remember failures of other tests."""
    for name in CLIENTS:
        if name in request.fixturenames:
            request.getfixturevalue(name).run_on_scheduler(clear_history)


def fails_with(text):
    raise RuntimeError(text)


def fails_deep(depth):
    """A traceback of so many frames."""
    if depth:
        return fails_deep(depth - 1) + fails_other(depth)
    raise ValueError("at the bottom")


def fails_other(depth):
    return depth


def fails_once(path):
    """Fail at first, then succeed."""
    if not os.path.exists(path):
        open(path, "w").close()
        raise OSError("not there yet")
    return 1


def as_dict(report):
    """Exception class -> (count, cascaded)."""
    return {g.exception_type: (g.count, g.cascaded) for g in report.groups}


def ask(client, **question):
    """The scheduler's own answer."""
    return LiveView(Link(client, 30)).ask("failures", question)


# -- groups ------------------------------------------------------------------


def test_failures_are_grouped_by_root_cause(client):
    # GIVEN failures of three kinds, of which one takes others with it
    bad = client.map(boom, range(5))
    fallen = client.map(inc, bad)
    zero = [client.submit(ratio, n, 0) for n in range(3)]
    text = client.submit(fails_with, "no disk")
    wait([*bad, *fallen, *zero, text])
    # WHEN asked
    with unchanged(client):
        report = dbgkit.failures(client=client)
    # THEN each kind is one group
    assert as_dict(report) == {
        "ValueError": (5, 5),
        "ZeroDivisionError": (3, 0),
        "RuntimeError": (1, 0),
    }
    assert (report.total, report.cascaded, report.omitted) == (9, 5, 0)


def lookup(users, name):
    if name not in users:
        raise LookupError(f"user {name!r} of 'shop' not found")


def test_messages_that_differ_in_some_words_are_one_group(client, tmp_path):
    # GIVEN failures of one line, each with a message of its own
    names = [f"user-{chr(ord('a') + index)}" for index in range(10)]
    futures = client.map(lookup, [()] * 10, names)
    other = client.submit(fails_with, "user 'x' of 'shop' not found")
    wait([*futures, other])
    client.dump_cluster_state(str(tmp_path / "dump"))
    for view in (None, f"{tmp_path}/dump.msgpack.gz"):
        report = dbgkit.failures(client=None if view else client, view=view)
        # THEN what they have in common is told once, and what differs beneath
        assert as_dict(report) == {"LookupError": (10, 0), "RuntimeError": (1, 0)}
        group = next(each for each in report.groups if each.count == 10)
        assert group.pattern == "user '…' of 'shop' not found"
        assert group.different == 10
        assert set(group.messages) < {f"user {n!r} of 'shop' not found" for n in names}
        assert group.message == group.example.message != group.pattern
        shown = str(report)
        assert "LookupError: user '…' of 'shop' not found (10 different)" in shown
        assert group.messages[0] in shown
        assert "… 6 more" in shown
        glance = dbgkit.watch(client=None if view else client, view=view, once=True)
        assert "user '…' of 'shop' not found (10 different)" in str(glance)
        found = group.to_json()
        assert (found["pattern"], found["different"]) == (group.pattern, 10)


def test_what_differs_has_no_secrets(client):
    futures = client.map(
        fails_with, [f"login with password='hunter{n}' failed" for n in range(3)]
    )
    wait(futures)
    report = dbgkit.failures(client=client)
    (group,) = report.groups
    assert group.different == 3
    assert "hunter" not in str(report)
    assert "hunter" not in str(report)


def test_the_newest_comes_first_and_ones_own_before_others(processes, processes_client):
    with Client(processes, set_as_default=False) as other, Client(processes) as own:
        held = []
        for asked, kind in ((other, boom), (own, fails_with), (other, ratio)):
            arguments = {boom: (3,), fails_with: ("own",), ratio: (1, 0)}[kind]
            held.append(asked.submit(kind, *arguments, pure=False))
            wait(held)
        kinds = [group.exception_type for group in dbgkit.failures(client=own).groups]
        assert kinds == ["RuntimeError", "ZeroDivisionError", "ValueError"]
        kinds = [group.exception_type for group in dbgkit.failures(client=other).groups]
        assert kinds == ["ZeroDivisionError", "ValueError", "RuntimeError"]


def test_a_group_says_where_when_and_which(client):
    before = datetime.now(timezone.utc)
    futures = client.map(boom, range(4))
    wait(futures)
    report = dbgkit.failures(client=client)
    (group,) = report.groups
    assert group.location.startswith("tasks.py:") and group.location.endswith("in boom")
    assert set(group.keys) == {future.key for future in futures}
    assert group.omitted_keys == 0
    assert set(group.workers) <= set(client.scheduler_info()["workers"])
    assert before <= group.first <= group.last <= datetime.now(timezone.utc)
    assert before <= report.span.start <= report.span.end
    assert "in boom" in group.example.traceback_text
    assert group.message == group.example.message


def test_keys_are_a_sample_of_the_earliest(client):
    futures = client.map(boom, range(30))
    wait(futures)
    (group,) = dbgkit.failures(client=client).groups
    assert len(group.keys) == 10
    assert group.omitted_keys == 20
    assert group.keys[0] == group.example.key


def test_groups_past_the_limit_are_counted(client):
    texts = ("one kind", "another kind", "a third kind")
    futures = [client.submit(fails_with, text) for text in texts]
    wait(futures)
    report = dbgkit.failures(client=client, limit=1)
    assert len(report.groups) == 1
    assert (report.omitted, report.total) == (2, 3)


def test_what_fell_because_of_it_is_no_failure(client):
    bad = client.submit(boom, 1, key="bad")
    chain = client.submit(inc, client.submit(inc, bad, key="one"), key="two")
    wait(chain)
    report = dbgkit.failures(client=client)
    assert (report.total, report.cascaded) == (1, 2)
    assert report.groups[0].keys == ("bad",)


def test_a_root_that_nobody_holds_is_found_by_what_fell(client):
    chain = client.submit(inc, client.submit(boom, 1, key="bad"), key="fallen")
    wait(chain)
    report = dbgkit.failures(client=client)
    assert report.groups[0].keys == ("bad",)
    assert (report.total, report.cascaded) == (1, 1)


def test_without_failures_no_task_is_looked_at(client):
    futures = client.map(inc, range(10))
    wait(futures)
    answer = ask(client)
    assert answer["passed"] is False
    report = dbgkit.failures(client=client)
    assert (report.groups, report.total, report.cascaded) == ((), 0, 0)


@pytest.mark.parametrize(
    "key", ["[/a/b]", 'it\'s "x"', "two\nlines", ("a-b", 1, "é"), "π-x", "{0}$HOME"]
)
def test_hostile_keys_come_as_they_are(processes_client, key):
    future = processes_client.submit(boom, 1, key=key)
    wait(future)
    report = dbgkit.failures(client=processes_client)
    assert report.groups[0].keys == (key,)
    assert report.groups[0].example.key == key


def test_long_texts_are_cut_and_counted(processes_client):
    client = processes_client
    futures = [client.submit(fails_with, c * 50_000) for c in "abcdefgh"]
    futures.append(client.submit(fails_deep, 80))
    wait(futures)
    report = dbgkit.failures(client=client)
    texts = [group.example.message for group in report.groups]
    assert max(map(len, texts)) < 2_000
    assert sum("characters left out" in text for text in texts) == 8
    frames = [group.example.traceback_text for group in report.groups]
    assert max(map(len, frames)) < 10_000
    from distributed.protocol import dumps

    assert sum(map(len, dumps(ask(client, limit=20)))) < 200_000


# -- targets -----------------------------------------------------------------


def test_a_group_and_its_example_are_targets(client):
    futures = client.map(boom, [7])
    wait(futures)
    (group,) = dbgkit.failures(client=client).groups
    for target in (group, group.example):
        with dbgkit.replay(target) as replay:
            assert (replay.outcome, replay.args) == ("same", (7,))


# -- what is over ------------------------------------------------------------


def test_forgotten_failures_are_included_and_marked(harmable):
    with harmable(processes=False) as client:
        kept = client.submit(boom, 1, key="kept")
        gone = client.submit(boom, 2, key="gone")
        wait([kept, gone])
        del gone
        wait_until(lambda: known_keys(client) == {"kept"}, "it is forgotten")
        (group,) = dbgkit.failures(client=client).groups
        assert (group.count, group.forgotten) == (2, 1)
        assert set(group.keys) == {"kept", "gone"}
        # What the scheduler still has makes the better example.
        assert group.example.key == "kept"


def test_an_example_of_the_history_says_so(harmable):
    with harmable(processes=False) as client:
        gone = client.submit(boom, 2, key="gone")
        wait(gone)
        del gone
        forgotten(client)
        (group,) = dbgkit.failures(client=client).groups
        assert (group.exception_type, group.message) == ("ValueError", "cannot take 2")
        assert any("forgotten" in note for note in group.example.notes)


def test_failures_that_a_retry_healed_are_apart(harmable, tmp_path):
    with harmable(processes=False) as client:
        future = client.submit(fails_once, str(tmp_path / "flag"), retries=2, key="f")
        assert future.result() == 1
        report = dbgkit.failures(client=client)
        # Nothing counts it as erred, so that no pass over all tasks finds it.
        bad = client.submit(boom, 1)
        wait(bad)
        remove_extension(client)
        report = dbgkit.failures(client=client)
        assert (report.total, report.healed, report.healed_keys) == (1, 1, ("f",))


def test_the_index_follows_a_retry_that_heals(harmable, tmp_path):
    with harmable(processes=False) as client:
        assert dbgkit.failures(client=client).healed == 0
        future = client.submit(fails_once, str(tmp_path / "flag"), retries=2, key="f")
        assert future.result() == 1
        report = dbgkit.failures(client=client)
        assert (report.total, report.healed, report.healed_keys) == (0, 1, ("f",))


def test_the_index_follows_what_fails_is_let_go_of_and_is_retried(harmable, tmp_path):
    with harmable(processes=False) as client:
        assert dbgkit.failures(client=client).total == 0
        # WHEN tasks fail after the index is there
        bad = client.map(boom, range(3))
        once = client.submit(fails_once, str(tmp_path / "flag"), key="once")
        wait([*bad, once])
        answer = ask(client)
        assert (answer["total"], answer["passed"]) == (4, False)
        # WHEN one is retried by hand and succeeds
        client.retry([once])
        assert once.result() == 1
        report = dbgkit.failures(client=client)
        assert (report.total, report.healed_keys) == (3, ("once",))
        # WHEN the others are let go of
        del bad
        wait_until(lambda: known_keys(client) == {"once"}, "they are forgotten")
        report = dbgkit.failures(client=client)
        assert (report.total, report.groups[0].forgotten) == (3, 3)


def test_failures_from_before_the_first_look_have_the_times_of_the_log(harmable):
    with harmable(processes=False) as client:
        before = datetime.now(timezone.utc)
        futures = client.map(boom, range(3))
        wait(futures)
        assert extension_name() not in client.run_on_scheduler(plugins)
        answer = ask(client)
        assert (answer["total"], answer["passed"]) == (3, True)
        (group,) = dbgkit.failures(client=client).groups
        assert before <= group.first <= group.last


def test_what_nothing_tells_the_time_of_has_none(harmable):
    with harmable(processes=False) as client:
        futures = client.map(boom, range(3))
        wait(futures)
        client.run_on_scheduler(forget_times)
        report = dbgkit.failures(client=client)
        assert (report.groups[0].first, report.groups[0].last) == (None, None)
        # AND is left out, and counted, where a time is asked for
        report = dbgkit.failures(client=client, since="1 hour")
        assert report.total == 0
        assert any("3 failures were left out" in note for note in report.notes)


def test_a_restart_forgets_all(harmable):
    with harmable() as client:
        wait(client.map(boom, range(3)))
        assert dbgkit.failures(client=client).total == 3
        client.restart()
        bad = client.submit(ratio, 1, 0)
        wait(bad)
        report = dbgkit.failures(client=client)
        # Dask keeps its history of failures, whatever happens to the tasks.
        present = sum(group.count - group.forgotten for group in report.groups)
        assert present == 1


def test_a_task_that_killed_its_workers(harmable):
    with harmable(n_workers=1, threads_per_worker=1) as client:
        client.run_on_scheduler(allow_no_failures)
        future = client.submit(os._exit, 3, key="killer", pure=False)
        wait(future)
        (group,) = dbgkit.failures(client=client).groups
        assert group.exception_type == "KilledWorker"
        # With the recorder on, it tells of the worker's death besides.
        assert "worker died while" in group.message
        assert group.example.killed


def test_a_message_that_is_no_utf_8(harmable):
    def fail():
        raise FileNotFoundError(os.fsdecode(b"table-\xff.csv"))

    with harmable(processes=False) as client:
        future = client.submit(fail)
        wait(future)
        for _ in range(2):
            (group,) = dbgkit.failures(client=client).groups
            assert group.message == r"table-\udcff.csv"


# -- filters -----------------------------------------------------------------


def test_since_leaves_out_what_was_before(harmable):
    with harmable(processes=False) as client:
        early = client.submit(boom, 1)
        wait(early)
        now = datetime.now(timezone.utc)
        late = client.submit(ratio, 1, 0)
        wait(late)
        for since in (now, now.timestamp()):
            report = dbgkit.failures(client=client, since=since)
            assert as_dict(report) == {"ZeroDivisionError": (1, 0)}
            assert f"what failed before {now:%Y-%m-%d %H:%M:%S} UTC is left" in str(
                report
            )
        for since in ("1 hour", timedelta(hours=1)):
            assert dbgkit.failures(client=client, since=since).total == 2


def test_since_that_is_no_time_is_refused(inproc_client):
    with pytest.raises(WrongTarget, match="is not a time"):
        dbgkit.failures(client=inproc_client, since="yesterday")


def test_of_one_client(inproc, inproc_client):
    mine = inproc_client.submit(boom, 1)
    with Client(inproc) as other:
        theirs = other.map(ratio, [1, 2], [0, 0])
        wait([mine]), wait(theirs)
        both = dbgkit.failures(client=inproc_client)
        assert sum(g.count - g.forgotten for g in both.groups) == 3
        report = dbgkit.failures(client=inproc_client, of_client=other)
        assert as_dict(report) == {"ZeroDivisionError": (2, 0)}
        report = dbgkit.failures(client=inproc_client, of_client=inproc_client.id)
        assert as_dict(report) == {"ValueError": (1, 0)}


def test_of_one_span(inproc_client):
    client = inproc_client
    with span("loading") as span_id:
        loading = client.submit(boom, 1, key="in-span")
    other = client.submit(ratio, 1, 0)
    wait([loading, other])
    for name in ("loading", span_id):
        report = dbgkit.failures(client=client, span=name)
        assert as_dict(report) == {"ValueError": (1, 0)}
    report = dbgkit.failures(client=client, span="unloading")
    assert report.total == 0
    assert "span 'unloading' does not exist" in report.notes


# -- who is asked ------------------------------------------------------------


def test_an_asynchronous_client_gives_an_awaitable(inproc):
    async def ask():
        async with Client(inproc.scheduler_address, asynchronous=True) as client:
            future = client.submit(boom_at, 3, 3)
            await wait(future)
            return await dbgkit.failures(client=client)

    report = asyncio.run(ask())
    assert "ValueError" in as_dict(report)


def test_an_address_is_a_client(processes, processes_client):
    future = processes_client.submit(boom, 1)
    wait(future)
    report = dbgkit.failures(client=processes.scheduler_address)
    assert as_dict(report)["ValueError"][0] >= 1


def test_an_address_where_nothing_listens():
    with pytest.raises(SchedulerGone, match="no scheduler answers"):
        dbgkit.failures(client="tcp://127.0.0.1:9", timeout="0.5s")


@pytest.mark.parametrize(
    "timeout", ["x", "", -1, 0, None, float("inf"), float("nan"), []]
)
def test_a_timeout_that_is_none_is_refused(inproc_client, timeout):
    for verb in (dbgkit.failures, dbgkit.why, dbgkit.locate, dbgkit.tasks):
        with pytest.raises(ValueError, match=r"timeout=.*expected a number of seconds"):
            verb(client=inproc_client, timeout=timeout)


def test_no_cluster_at_all():
    with pytest.raises(NoFailure, match="no cluster to look at"):
        dbgkit.failures()


def test_wrong_limits_are_refused(inproc_client):
    with pytest.raises(ValueError, match="limit=0"):
        dbgkit.failures(client=inproc_client, limit=0)


def test_replays_leave_no_failures_of_their_own(inproc_client):
    # GIVEN an input that fails when it is computed again
    client = inproc_client
    source = client.submit(add, 1, 1, key="source")
    bad = client.submit(boom, source, key="bad")
    wait(bad)
    history = [("dbgkit-recompute-0", 1), "dbgkit-recompute-1"]
    client.run_on_scheduler(add_history, keys=history)
    report = dbgkit.failures(client=client)
    assert not {str(key) for g in report.groups for key in g.keys} & set(
        map(str, history)
    )


# -- run on the scheduler ----------------------------------------------------


def plugins(dask_scheduler):
    return list(dask_scheduler.plugins)


def forget_times(dask_scheduler):
    clear_history(dask_scheduler)
    dask_scheduler.transition_log.clear()


def allow_no_failures(dask_scheduler):
    dask_scheduler.allowed_failures = 0


def add_history(dask_scheduler, keys):
    from distributed.scheduler import ErredTask

    for key in keys:
        entry = ErredTask(key, 0.0, set(), "OSError('again')", "")
        dask_scheduler.erred_tasks.appendleft(entry)
