"""What running tasks do now, seen from outside."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import dask
import peek_tasks
import pytest
from conftest import own_cluster
from distributed import Client, WorkerPlugin, wait
from watching import forgotten, keep_loop, state_of, unchanged, wait_until
from why_looks import flag

import dbgkit
from dbgkit.cluster import peek as asking
from dbgkit.cluster.view import open_view
from dbgkit.errors import (
    Cancelled,
    NotHere,
    NotRunning,
    UnknownKey,
    WaitTimedOut,
    WrongTarget,
)
from dbgkit.remote.worker.running import places_of_coroutine

READING_WRITES = sys.version_info < (3, 13)


def peek_until(target=None, *, count=1, at="wait_there", **options):
    """Look until so many tasks are seen in a function, as they take a while there."""
    found = []

    def seen():
        try:
            found[:] = [dbgkit.peek(target, **options)]
        except NotRunning:
            return False
        functions = [{each.function for each in task.frames} for task in found[0]]
        return sum(at in each for each in functions) >= count

    wait_until(seen, f"{target!r} runs")
    return found[0]


def sampling(dask_worker):
    """Whether a worker is taking samples: it has taken one by then."""
    found = (places_of_coroutine(task)[0] for task in asyncio.all_tasks())
    return any(
        frame.f_code.co_name == "sample" for places in found for frame, _ in places
    )


def peek_and(act, client, target, **options):
    """Look several times, and do something once the first sample was taken."""
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(dbgkit.peek, target, client=client, **options)
        wait_until(lambda: any(client.run(sampling).values()), "a sample was taken")
        act()
        return looking.result(60)


def task_of(target, **options):
    (task,) = peek_until(target, **options).tasks
    return task


def values(frame):
    return {name: value.text for name, value in frame.locals}


def frame_of(task, function):
    return next(each for each in task.frames if each.function == function)


# -- one task --------------------------------------------------------------------


def test_stack_source_and_locals_of_a_running_task(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.with_locals, path, key="peek-locals")
        task = task_of(future)
        assert (task.key, task.how, task.state) == (
            "peek-locals",
            "thread",
            "executing",
        )
        assert task.worker in client.scheduler_info()["workers"]
        assert task.running >= 0
        functions = [frame.function for frame in task.frames]
        assert functions[:2] == ["with_locals", "wait_there"]
        frame = task.frames[0]
        assert frame.own and frame.filename == peek_tasks.__file__
        line = dict(frame.source)[frame.lineno]
        assert line.strip() == "wait_there(path)"
        found = values(frame)
        assert found["numbers"] == "[0, 1, 2]"
        assert found["password"] == "<hidden>"
        assert "ann" in found["settings"] and "abcdefgh" not in found["settings"]
        shown = f"{json.dumps(dbgkit.peek(future).to_json())}{task}"
        assert "horse" not in shown and "abcdefgh" not in shown
        (only,) = task.lines
        assert (only.samples, only.share) == (1, 1.0)
        assert only.function == "wait_there" and only.text
    assert future.result()[0] == 3


def test_looking_changes_nothing(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.wait_there, path, key="peek-unchanged")
        peek_until(future)
        with unchanged(client, settled=False):
            dbgkit.peek(future)
            dbgkit.peek(times=3, every=0.01)
            with pytest.raises(UnknownKey):
                dbgkit.peek("peek-nothing")
    assert future.result() == str(tmp_path / "go")


def test_samples_are_lines_with_their_shares(client, tmp_path):
    first = tmp_path / "first"
    with flag(tmp_path) as path:
        future = client.submit(
            peek_tasks.two_phases, str(first), path, key="peek-phases"
        )
        peek_until(future, at="phase_one")
        found = peek_and(first.touch, client, future, times=100, every=0.04)
        (task,) = found.tasks
        assert found.samples == task.samples == 100
        assert found.seconds >= 99 * 0.04 * 0.9
        assert {line.function for line in task.lines} == {"phase_one", "phase_two"}
        assert sum(line.samples for line in task.lines) == 100
        assert sum(line.share for line in task.lines) == pytest.approx(1)
        assert [line.samples for line in task.lines] == sorted(
            (line.samples for line in task.lines), reverse=True
        )
        # What is shown with values is where it is now.
        assert task.frames[1].function == "phase_two"
        text = str(found)
        assert re.search(r"\d+ % █+ +\S*peek_tasks.py:\d+ in phase_(one|two): ", text)
        assert f"{found.samples} samples within" in text
    future.result()


def test_a_task_that_ends_meanwhile(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.wait_there, path, key="peek-ends")
        peek_until(future)
        go = tmp_path / "go"
        found = peek_and(go.touch, client, future, times=500, every=0.05)
    (task,) = found.tasks
    assert 0 < task.samples <= found.samples < 400


def test_source_of_code_that_travelled_by_value(client, tmp_path):
    cloudpickle.register_pickle_by_value(peek_tasks)
    try:
        with flag(tmp_path) as path:
            future = client.submit(peek_tasks.with_locals, path, key="peek-by-value")
            task = task_of(future, times=2, every=0.01)
            frame = frame_of(task, "with_locals")
            assert frame.filename == peek_tasks.__file__
            assert dict(frame.source)[frame.lineno].strip() == "wait_there(path)"
            assert all(line.text for line in task.lines)
            assert task.lines[0].filename == peek_tasks.__file__
    finally:
        cloudpickle.unregister_pickle_by_value(peek_tasks)
    future.result()


def test_a_cell_that_is_known_here_alone(client, tmp_path):
    """Code of ``exec``, whose text only this process knows."""
    source = "def in_a_cell(wait, path):\n    cell = 5\n    return wait(path)\n"
    name = "<ipython-input-7-0123456789ab>"
    import linecache

    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    space = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), space)
    with flag(tmp_path) as path:
        future = client.submit(
            space["in_a_cell"], peek_tasks.wait_there, path, key="peek-cell"
        )
        task = task_of(future)
        frame = frame_of(task, "in_a_cell")
        assert dict(frame.source)[3].strip() == "return wait(path)"
        assert values(frame)["cell"] == "5"
    future.result()
    del linecache.cache[name]


# -- bounds ------------------------------------------------------------------------


def test_a_deep_stack_is_cut_and_counted(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.recurses, path, 500, key="peek-deep")
        task = task_of(future)
        assert len(task.frames) <= 21
        assert any("more frames" in frame.function for frame in task.frames)
        assert task.frames[-1].function in ("wait_there", "exists")
    future.result()


def test_many_locals_are_cut_and_counted(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.many_locals, path, key="peek-many")
        frame = frame_of(task_of(future), "inner")
        assert len(frame.locals) + frame.omitted_locals == 302
        assert frame.omitted_locals > 200
    future.result()


def test_a_large_value_is_cut(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(
            peek_tasks.with_locals, path, 1_000_000, key="peek-large"
        )
        frame = frame_of(task_of(future), "with_locals")
        assert len(values(frame)["numbers"]) < 1_000
        assert "999,994 more" in values(frame)["numbers"]
    future.result()


def test_values_that_change_as_they_are_read(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(
            peek_tasks.changes_all_the_time, path, key="peek-changes"
        )
        peek_until(future, at="changes_all_the_time")
        for _ in range(20):
            frame = frame_of(dbgkit.peek(future)[0], "changes_all_the_time")
            assert {"table", "number", "path"} <= set(values(frame))
        task = dbgkit.peek(future, times=50, every=0.005)[0]
        # A line of the task's own each time: never that of a frame which has ended.
        assert {line.function for line in task.lines} == {"changes_all_the_time"}
        assert all(line.text for line in task.lines)
    assert future.result() > 0


def test_no_value_is_kept_alive(inproc_client, tmp_path):
    peek_tasks.made.clear()
    with flag(tmp_path) as path:
        future = inproc_client.submit(
            peek_tasks.holds_a_value, path, key="peek-held", pure=False
        )
        assert "held" in values(task_of(future).frames[0])
        dbgkit.peek(future, times=5, every=0.01)
    future.result()
    (held,) = peek_tasks.made
    wait_until(lambda: held() is None, "the value is gone", 5)


# -- all that runs -----------------------------------------------------------------


def test_without_a_target_the_longest_first_and_the_rest_is_counted(client, tmp_path):
    forgotten(client)
    with flag(tmp_path) as path:
        futures = []
        for number in range(4):
            futures.append(
                client.submit(peek_tasks.wait_there, path, key=f"peek-all-{number}")
            )
            peek_until(futures[-1])
        found = dbgkit.peek()
        assert [task.key for task in found.tasks] == [each.key for each in futures]
        assert (found.omitted, len(found)) == (0, 4)
        assert len({task.worker for task in found.tasks}) == 2
        few = dbgkit.peek(limit=1)
        assert [task.key for task in few.tasks] == ["peek-all-0"]
        assert few.omitted == 3
        assert "1 task runs now, 3 more left out" in str(few)
        assert few.silent == ()
    client.gather(futures)
    wait_until(lambda: not dbgkit.peek().tasks, "nothing runs")
    assert "nothing runs now" in str(dbgkit.peek())


def test_several_targets_and_a_persisted_collection(client, tmp_path):
    with flag(tmp_path) as path:
        runs = client.submit(peek_tasks.wait_there, path, key="peek-some")
        waits = client.submit(len, runs, key="peek-some-waits")
        wait_until(
            lambda: client.run_on_scheduler(state_of, key=waits.key) == "waiting",
            "it waits",
        )
        found = peek_until([runs, waits])
        assert [task.key for task in found.tasks] == ["peek-some"]
        assert any("1 waiting" in note for note in found.notes)
        lazy = dask.delayed(peek_tasks.wait_there)(path, dask_key_name="peek-lazy")
        kept = lazy.persist()
        assert [task.key for task in peek_until(kept).tasks] == ["peek-lazy"]
        assert dbgkit.peek("peek-lazy")[0].key == "peek-lazy"
        held = client.map(peek_tasks.wait_there, [path], key=[("peek-tuple", 0)])
        assert peek_until("('peek-tuple', 0)")[0].key == ("peek-tuple", 0)
    wait([runs, waits, kept, *held])


def test_workers_of_one_process_are_not_mixed(inproc_client, tmp_path):
    workers = sorted(inproc_client.scheduler_info()["workers"])
    with flag(tmp_path) as path:
        futures = [
            inproc_client.submit(
                peek_tasks.wait_there, path, key=f"peek-at-{i}", workers=[worker]
            )
            for i, worker in enumerate(workers)
        ]
        found = peek_until(futures, count=2)
        assert sorted((task.key, task.worker) for task in found.tasks) == [
            (f"peek-at-{i}", worker) for i, worker in enumerate(workers)
        ]
    wait(futures)


# -- what does not run -----------------------------------------------------------


def refused(target, **options):
    with pytest.raises(NotRunning) as caught:
        dbgkit.peek(target, **options)
    assert caught.value.key is not None
    return caught.value


def fails():
    raise ValueError("no")


def test_what_does_not_run_is_said_with_the_verb_that_helps(client, tmp_path):
    done = client.submit(len, "ab", key="peek-done")
    bad = client.submit(fails, key="peek-bad", pure=False)
    wait([done, bad])
    error = refused(done)
    assert (error.state, error.key) == ("memory", "peek-done")
    assert "it has finished" in str(error) and "dbgkit.story(" in error.hint
    error = refused(bad)
    assert error.state == "erred" and "dbgkit.debug('peek-bad')" in error.hint
    with flag(tmp_path) as path:
        runs = client.submit(peek_tasks.wait_there, path, key="peek-before")
        waits = client.submit(len, runs, key="peek-after")
        error = refused(waits)
        assert error.state == "waiting" and "dbgkit.why('peek-after')" in error.hint
        lacks = client.submit(len, "a", key="peek-gpu", resources={"GPU": 1})
        error = refused(lacks)
        assert error.state == "no-worker" and "dbgkit.why(" in error.hint
    wait([runs, waits])
    with pytest.raises(UnknownKey, match="peek-never"):
        dbgkit.peek("peek-never")


def test_what_waits_on_its_worker_for_a_thread(client, tmp_path):
    address = min(client.scheduler_info()["workers"])
    with flag(tmp_path) as path:
        futures = [
            client.submit(
                peek_tasks.wait_there, path, workers=[address], key=f"peek-full-{i}"
            )
            for i in range(3)
        ]
        peek_until(futures, count=2)
        states = client.run(ready, workers=[address])[address]
        error = refused(states[0])
        assert error.state == "processing"
        assert f"it is on {address}, and waits there for a thread" in str(error)
        assert "dbgkit.why(" in error.hint
    wait(futures)


def ready(dask_worker):
    tasks = dask_worker.state.tasks.values()
    return [ts.key for ts in tasks if ts.state == "ready"]


def test_exceptions_and_other_objects_are_no_targets(client):
    bad = client.submit(fails, key="peek-bad-2", pure=False)
    wait(bad)
    with pytest.raises(WrongTarget, match="has failed: it does not run any more"):
        dbgkit.peek(bad.exception())
    with pytest.raises(WrongTarget):
        dbgkit.peek(object())


def test_a_cancelled_task_that_still_runs(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.wait_there, path, key="peek-cancelled")
        peek_until(future)
        future.cancel()
        wait_until(
            lambda: (
                client.run_on_scheduler(state_of, key="peek-cancelled") == "unknown"
            ),
            "the scheduler has forgotten it",
        )
        task = task_of("peek-cancelled")
        assert task.state == "cancelled"
        assert any("the scheduler has released it" in note for note in task.notes)
        assert "peek-cancelled" in {each.key for each in dbgkit.peek().tasks}

    def ended():
        try:
            dbgkit.peek("peek-cancelled")
        except (UnknownKey, Cancelled):
            return True
        return False

    wait_until(ended, "it has ended")


# -- how else tasks run ---------------------------------------------------------


def test_a_task_that_has_seceded(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.seceded, path, key="peek-seceded")
        wait_until(lambda: task_of(future).state == "long-running", "it has seceded")
        task = task_of(future)
        assert any("it has seceded" in note for note in task.notes)
        assert frame_of(task, "seceded").own
    future.result()


def test_an_async_function_shows_where_it_awaits(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.outer, path, key="peek-async")
        wait_until(
            lambda: "level" in values(task_of(future, at="inner").frames[-1]),
            "it has begun to wait",
        )
        task = task_of(future, at="inner")
        assert task.how == "coroutine"
        own = [frame for frame in task.frames if frame.own]
        assert [frame.function for frame in own] == ["outer", "inner"]
        assert [values(frame)["level"] for frame in own] == ["'outer'", "'inner'"]
        assert dict(own[1].source)[own[1].lineno].strip().startswith("await asyncio.sl")
        assert any("where it awaits" in note for note in task.notes)
        many = client.submit(peek_tasks.gathers, path, key="peek-gathers")
        task = task_of(many, at="gathers")
        assert task.frames[-1].function == "gathers"
        assert "it awaits 2 awaitables of asyncio.gather" in task.notes
    assert future.result() == "outer"
    assert many.result() == ["inner", "inner"]


def test_methods_of_actors(client, tmp_path):
    actor_future = client.submit(peek_tasks.Counter, actor=True, key="peek-actor")
    actor = actor_future.result()
    error = refused("peek-actor")
    assert "it is an actor, and runs no method" in str(error)
    # A method that has raised stays in a list of Dask's.
    with pytest.raises(ValueError, match="no"):
        actor.fail().result()
    assert "it is an actor, and runs no method" in str(refused("peek-actor"))
    assert "actor" not in [each.how for each in dbgkit.peek().tasks]
    (tmp_path / "beside").mkdir()
    with flag(tmp_path / "beside") as path:
        at = client.who_has()["peek-actor"]
        runs = client.submit(
            peek_tasks.wait_there, path, key="peek-beside-actor", workers=at
        )
        peek_until(runs)
        one = dbgkit.peek(limit=1)
        assert ([task.key for task in one.tasks], one.omitted) == ([runs.key], 0)
    assert wait(runs).done
    with flag(tmp_path) as path:
        running = actor.wait(path)
        task = task_of(actor_future)
        assert (task.how, task.state) == ("actor", "")
        assert values(frame_of(task, "wait"))["inside"] == "'an actor'"
        assert any("a method of an actor" in note for note in task.notes)
        assert "actor" in {each.how for each in dbgkit.peek().tasks}
        asynchronous = actor.wait_async(path)
        assert task_of(actor_future).key == task.key
    assert running.result() == "an actor"
    asynchronous.result()


def test_other_executors(tmp_path):
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    from multiprocessing import get_context

    with own_cluster(n_workers=1, processes=False) as client, flag(tmp_path) as path:
        (worker,) = client.cluster.workers.values()
        pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        threads = ThreadPoolExecutor(1)
        worker.executors["pool"], worker.executors["threads"] = pool, threads
        with dask.annotate(executor="pool"):
            apart = client.submit(peek_tasks.wait_there, path, key="peek-pool")
        with dask.annotate(executor="threads"):
            beside = client.submit(peek_tasks.wait_there, path, key="peek-threads")
        assert task_of(beside).how == "thread"

        def elsewhere():
            return dbgkit.peek(apart)[0].how == "elsewhere"

        wait_until(elsewhere, "it is in the pool")
        (task,) = dbgkit.peek(apart, times=3, every=0.01).tasks
        assert (task.frames, task.lines, task.samples) == ((), (), 0)
        (note,) = task.notes
        assert "'pool' (ProcessPoolExecutor), in another process" in note
        assert note in " ".join(str(dbgkit.peek(apart)).split())
        (tmp_path / "go").touch()
        wait([apart, beside])
        pool.shutdown()


# -- threads that are traced or paused -------------------------------------------


def test_reading_does_not_undo_what_was_assigned_at_a_prompt(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.assigns_while_traced, path, key="peek-traced")
        task = {}

        def at_the_prompt():
            task[0] = task_of(future, at="traced")
            return any(frame.function == "tracer" for frame in task[0].frames)

        wait_until(at_the_prompt, "it is in the tracer")
        frame = frame_of(task[0], "traced")
        assert frame.source
        if READING_WRITES:
            assert not any(each.locals for each in task[0].frames)
            traced, unread = task[0].notes
            assert unread.startswith("its local variables were not read")
        else:
            assert values(frame)["value"] == "8"
            (traced,) = task[0].notes
        assert traced == "a debugger or a tracer follows it"
        dbgkit.peek(future, times=5, every=0.01)
        dbgkit.why(future)
    assert future.result() == 8


class Pauses(WorkerPlugin):
    """As what pauses threads says so: see ``dbgkit.remote.worker.running.PAUSED``."""

    name = "pauses"

    def setup(self, worker):
        self.worker = worker

    @property
    def dbgkit_paused(self):
        active = self.worker.active_threads.items()
        return {ident: (key, "it is paused at a prompt") for ident, key in active}


def test_a_plugin_says_which_threads_it_has_paused(client, tmp_path):
    client.register_plugin(Pauses())
    try:
        with flag(tmp_path) as path:
            future = client.submit(peek_tasks.with_locals, path, key="peek-paused")
            task = task_of(future)
            assert frame_of(task, "with_locals").source
            assert task.notes[0] == "it is paused at a prompt"
            if READING_WRITES:
                assert not any(frame.locals for frame in task.frames)
                assert task.notes[1].startswith("its local variables were not read")
            else:
                assert values(task.frames[0])["numbers"] == "[0, 1, 2]"
        future.result()
    finally:
        client.unregister_worker_plugin("pauses")


# -- clusters that do not answer, and other clients ------------------------------


def test_a_worker_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "PROBE_LIMIT", 1.5)
    with own_cluster(n_workers=2) as client, flag(tmp_path) as path:
        busy, free = sorted(client.scheduler_info()["workers"])
        futures = [
            client.submit(
                peek_tasks.wait_there, path, key=f"peek-busy-{i}", workers=[worker]
            )
            for i, worker in enumerate((busy, free))
        ]
        peek_until(futures, count=2)
        kept = tmp_path / "kept"
        client.run(lambda dask_worker: keep_loop(dask_worker, 8, kept), workers=[busy])
        wait_until(kept.exists, "the loop of that worker is kept")
        start = time.monotonic()
        with pytest.raises(WaitTimedOut) as caught:
            dbgkit.peek(futures[0])
        assert time.monotonic() - start < 6
        assert busy in str(caught.value) and caught.value.key == "peek-busy-0"
        assert "dbgkit.why('peek-busy-0')" in caught.value.hint
        found = dbgkit.peek()
        assert [task.key for task in found.tasks] == ["peek-busy-1"]
        assert found.silent == (busy,)
        assert any(f"{busy} does not answer" in note for note in found.notes)


def test_workers_that_run_no_functions(tmp_path):
    refusing = {"distributed.worker.blocked-handlers": ["run"]}
    with dask.config.set(refusing), own_cluster(processes=False, n_workers=1) as client:
        with flag(tmp_path) as path:
            future = client.submit(peek_tasks.wait_there, path, key="peek-blocked")
            wait_until(lambda: any(client.processing().values()), "it is there")
            for target in (future, None):
                with pytest.raises(NotHere, match="runs no functions"):
                    dbgkit.peek(target)
            assert dbgkit.why(future).cause  # does without what they would say
        wait(future)


def test_a_dump_is_refused(client, tmp_path):
    client.dump_cluster_state(str(tmp_path / "dump"))
    with pytest.raises(NotHere, match="a dump has no running tasks"):
        dbgkit.peek(view=str(tmp_path / "dump.msgpack.gz"))


def test_an_open_view(client):
    with open_view(None, client, 30.0) as view:
        assert dbgkit.peek(view=view).samples == 1


def test_an_asynchronous_client(cluster, tmp_path):
    async def look(path):
        async with Client(cluster.scheduler_address, asynchronous=True) as client:
            future = client.submit(peek_tasks.wait_there, path, key="peek-awaited")
            while True:
                try:
                    found = await dbgkit.peek(future, times=2, every="10ms")
                except NotRunning:
                    continue
                if found.tasks[0].frames:
                    break
            (tmp_path / "go").touch()
            await future
            return found

    found = asyncio.run(asyncio.wait_for(look(str(tmp_path / "go")), 30))
    assert found[0].key == "peek-awaited" and found.samples == 2
    assert found[0].frames[0].function == "wait_there"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"times": 0}, "times=0"),
        ({"times": 1.5}, "times=1.5"),
        ({"times": True}, "times=True"),
        ({"limit": 0}, "limit=0"),
        ({"every": "soon"}, "every='soon'"),
        ({"every": 0}, "every=0"),
        ({"every": 0.0001}, "at least 1 ms"),
        ({"times": 100, "timeout": "5s"}, "take longer than timeout='5s' allows"),
    ],
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises((ValueError, WrongTarget), match=re.escape(said)):
        dbgkit.peek(**options)


def test_names_that_the_user_hides(client, tmp_path):
    with (
        dask.config.set({"dbgkit.record.secret-names": ["numbers"]}),
        flag(tmp_path) as path,
    ):
        future = client.submit(peek_tasks.with_locals, path, key="peek-hidden")

        def numbers():
            return values(task_of(future).frames[0]).get("numbers")

        assert wait_until(numbers, "it has its numbers") == "<hidden>"
    future.result()


def test_the_card(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.with_locals, path, key="peek-card")
        found = peek_until(future, times=3, every=0.01)
        html = found._repr_mimebundle_()["text/html"]
        assert "peek-card" in html and "with_locals" in html and " %" in html
        assert "horse" not in html
        assert repr(found) == "<Peek at 'peek-card'>"
    future.result()
