"""The recorder: what a worker saw of a task at the moment it failed."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import operator
import os
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dask
import pytest
from conftest import RECORDER_OFF, own_cluster
from distributed import Client, Reschedule, wait
from watching import forgotten, settle, wait_until

import dbgkit
from dbgkit.errors import NotRecorded, WaitTimedOut
from dbgkit.remote.boxes import read_box
from dbgkit.remote.recorder import Recorder as OtherRecorder

pytestmark = pytest.mark.core


def ratio(a, b, password="hunter2"):
    pair = [a, b]
    return pair[0] / pair[1]


async def late_ratio(a, b):
    await asyncio.sleep(0)
    half = a / 2
    return half / b


def calling(a):
    doubled = a * 2
    try:
        return ratio(doubled, 0)
    except ZeroDivisionError as error:
        raise ValueError(f"no ratio for {doubled}") from error


@pytest.fixture(autouse=True)
def recorder_off():
    """On clusters of a test's own, where the tests are run with the recorder on."""
    with dask.config.set(RECORDER_OFF):
        yield


@pytest.fixture
def recorded(client):
    """A client whose cluster has the recorder on, with nothing recorded yet."""
    dbgkit.record(client=client).off()
    with dbgkit.record(client=client):
        yield client


def only(**options):
    held = dbgkit.recordings(**options)
    assert len(held) == 1, held
    return held[0]


def told(recording, function):
    """Texts of one frame's locals."""
    frame = next(each for each in recording.frames if each.function == function)
    return {name: value.text for name, value in frame.locals}


def test_a_failure_is_recorded_with_its_locals(recorded):
    wait(recorded.submit(ratio, 1, 0, key="ratio-1"))
    recording = only()
    assert recording.key == "ratio-1"
    assert (recording.exception_type, recording.message) == (
        "ZeroDivisionError",
        "division by zero",
    )
    assert told(recording, "ratio") == {
        "a": "1",
        "b": "0",
        "password": "<hidden>",
        "pair": "[1, 0]",
    }


def test_dask_and_the_recorder_have_no_frames_in_it(recorded):
    wait(recorded.submit(calling, 3))
    assert [frame.function for frame in only().frames] == ["calling"]


def test_what_it_was_raised_from_is_recorded(recorded):
    wait(recorded.submit(calling, 3))
    (cause,) = only().causes
    assert (cause.how, cause.exception_type) == ("cause", "ZeroDivisionError")
    assert [frame.function for frame in cause.frames] == ["ratio"]


def test_small_values_come_along_whole_and_secrets_do_not(recorded):
    wait(recorded.submit(ratio, 1, 0))
    (values,) = only().values.values()
    assert values == {"a": 1, "b": 0, "pair": [1, 0]}


def test_async_tasks_are_recorded(recorded):
    wait(recorded.submit(late_ratio, 4, 0))
    assert told(only(), "late_ratio") == {"a": "4", "b": "0", "half": "2.0"}


def test_a_recording_is_there_as_soon_as_the_failure_is_seen(recorded):
    for number in range(30):
        future = recorded.submit(ratio, number, 0, key=f"ratio-{number}")
        wait(future)
        assert len(dbgkit.recordings(future)) == 1, number


def test_it_outlives_the_future(recorded):
    future = recorded.submit(ratio, 1, 0, key="ratio-gone")
    wait(future)
    del future
    forgotten(recorded)
    assert only().key == "ratio-gone"


def test_healthy_tasks_leave_nothing(recorded):
    assert recorded.submit(ratio, 1, 2).result() == 0.5
    assert dbgkit.recordings().failures == 0


def sometimes(path):
    if not os.path.exists(path):
        open(path, "w").close()
        raise Reschedule
    return "done"


def test_a_task_that_reschedules_itself_has_not_failed(recorded, tmp_path):
    future = recorded.submit(sometimes, str(tmp_path / "seen"))
    assert future.result(timeout=20) == "done"
    assert dbgkit.recordings().failures == 0


def fails_at_first(path):
    first = not os.path.exists(path)
    open(path, "w").close()
    return 1 / (not first)


def test_an_attempt_that_a_retry_heals_is_recorded(recorded, tmp_path):
    future = recorded.submit(fails_at_first, str(tmp_path / "tried"), retries=2)
    assert future.result(timeout=20) == 1.0
    assert told(only(), "fails_at_first")["first"] == "True"


def test_tuple_keys_are_found_in_both_spellings(recorded):
    future = recorded.get({("part", 1): (ratio, 1, 0)}, ("part", 1), sync=False)
    wait(future)
    assert len(dbgkit.recordings(("part", 1))) == 1
    assert len(dbgkit.recordings("('part', 1)")) == 1


def test_the_traceback_at_home_is_that_without_the_recorder(client):
    texts = []
    for on in (False, True):
        recorder = dbgkit.record() if on else None
        future = client.submit(calling, 3, pure=False)
        wait(future)
        texts.append(dbgkit.locate(future).traceback_text)
        if recorder is not None:
            recorder.off()
        del future
        forgotten(client)
    assert texts[0] == texts[1]


class Ended(BaseException):
    pass


def raises(kind):
    told = kind.__name__
    raise kind(told)


async def raises_later(kind):
    await asyncio.sleep(0)
    told = kind.__name__
    raise kind(told)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (raises, Ended),
        (raises, asyncio.CancelledError),
        (raises, GeneratorExit),
        (raises_later, Ended),
        (raises_later, asyncio.CancelledError),
    ],
)
def test_whatever_dask_takes_for_a_failure_is_recorded(recorded, function, kind):
    wait(recorded.submit(function, kind, pure=False))
    assert told(only(), function.__name__)["told"] == repr(kind.__name__)


def fails_when_there(path):
    """Wait until a file is there, and fail."""
    end = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    raise ValueError("it is there")


def running(client):
    return any(client.processing().values())


def test_a_task_that_had_begun_before_is_a_gap_that_says_so(client, tmp_path):
    future = client.submit(fails_when_there, str(tmp_path / "go"), pure=False)
    wait_until(lambda: running(client), "the task runs")
    with dbgkit.record():
        (tmp_path / "go").touch()
        wait(future)
        assert only().gap == "it had begun before the recorder was turned on"


def seen_running(dask_worker):
    """Keys of the tasks that run, as a worker's black box has them."""
    (recorder,) = [
        plugin
        for name, plugin in dask_worker.plugins.items()
        if name.startswith("dbgkit-recorder")
    ]
    return [task["key"] for task in read_box(recorder.box.path)["tasks"]]


def test_a_task_that_was_cancelled_is_no_failure_but_runs_to_its_end(
    processes_client, tmp_path
):
    def boxes():
        return [key for keys in client.run(seen_running).values() for key in keys]

    client = processes_client
    with dbgkit.record():
        future = client.submit(fails_when_there, str(tmp_path / "go"), pure=False)
        wait_until(boxes, "the task runs")
        future.cancel()
        forgotten(client)
        # It could still take its worker along.
        assert len(boxes()) == 1
        (tmp_path / "go").touch()
        wait_until(lambda: not boxes(), "the task ended")
        assert dbgkit.recordings().failures == 0


class Counter:
    def fail(self):
        raise RuntimeError("an actor's own")


def test_methods_of_actors_are_not_covered(recorded):
    counter = recorded.submit(Counter, actor=True).result()
    with pytest.raises(RuntimeError):
        counter.fail().result()
    assert dbgkit.recordings().failures == 0


# --- process pools ------------------------------------------------------------


def in_pool(method):
    """A failed task of a process pool on a worker, as it was recorded."""
    context = multiprocessing.get_context(method)
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        own_cluster(n_workers=1, processes=False, executor={"pool": pool}) as client,
        dbgkit.record(),
    ):
        with dask.annotate(executor="pool"):
            assert client.submit(operator.add, 1, 2).result(timeout=30) == 3
            future = client.submit(operator.truediv, 1, 0, key="in-a-pool")
        wait(future)
        return only()


@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_a_child_of_a_process_pool_records_where_it_has_the_code():
    recording = in_pool("fork")
    assert recording.exception_type == "ZeroDivisionError"
    assert not recording.gap


def test_a_child_of_a_process_pool_without_the_code_is_a_marked_gap():
    recording = in_pool("spawn")
    assert recording.exception_type == "ZeroDivisionError"
    assert "process pool" in recording.gap


def raises_in_pool(number):
    raise ValueError(number)


@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_a_process_pool_runs_where_no_folder_can_be_made(monkeypatch, tmp_path):
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        own_cluster(n_workers=1, processes=False, executor={"pool": pool}) as client,
        dbgkit.record(),
        dask.annotate(executor="pool"),
    ):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        assert client.submit(operator.add, 1, 2).result(timeout=30) == 3
        future = client.submit(raises_in_pool, 1)
        assert isinstance(future.exception(timeout=30), ValueError)
        assert "making a folder" in only().gap


def waits_for(path):
    end = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    return path


@pytest.mark.filterwarnings("ignore:.*use of fork")
def test_what_a_process_pool_is_sent_after_it_was_turned_off_leaves_nothing(
    monkeypatch, tmp_path
):
    folder, go = tmp_path / "temporary", tmp_path / "go"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        own_cluster(n_workers=1, processes=False, executor={"pool": pool}) as client,
        dask.annotate(executor="pool"),
    ):
        # A pool is sent a few calls ahead: the task has to wait for these.
        ahead = [pool.submit(waits_for, str(go)) for _ in range(4)]
        with dbgkit.record():
            future = client.submit(waits_for, str(go))
            wait_until(lambda: running(client), "the task waits for the pool")
        go.touch()
        assert future.result(timeout=30) == str(go)
        assert all(each.done() for each in ahead)
        assert not list(folder.glob("dbgkit-recorder-*"))


# --- off ----------------------------------------------------------------------


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
def test_two_versions_on_one_worker_leave_nothing(inproc_client, tmp_path, first_off):
    """The module here is another one than what is sent to the workers."""

    def kinds(dask_worker):
        specs = [ts.run_spec for ts in dask_worker.state.tasks.values()]
        return {type(spec).__name__ for spec in specs if spec is not None}

    client, go = inproc_client, tmp_path / "go"
    recorder = dbgkit.record()
    client.register_plugin(OtherRecorder("another-version", {}), name="the-other")
    futures = [client.submit(ratio, 1, n, pure=False) for n in (0, 1)]
    wait(futures)
    assert "Watched" not in set().union(*client.run(kinds).values())
    late = client.submit(fails_when_there, str(go), pure=False)
    wait_until(lambda: running(client), "the task runs")
    if first_off == "ours":
        recorder.off()
        client.unregister_worker_plugin("the-other")
    else:
        client.unregister_worker_plugin("the-other")
        recorder.off()
    assert "Watched" not in set().union(*client.run(kinds).values())
    go.touch()
    assert isinstance(late.exception(timeout=30), ValueError)


@pytest.mark.parametrize("goes", ["client", "cluster"])
def test_what_leaves_the_with_block_is_not_hidden_where_the_cluster_went(goes):
    with own_cluster(n_workers=1, processes=False) as client:
        with pytest.raises(KeyError, match="my own") as caught, dbgkit.record():
            client.close() if goes == "client" else client.cluster.close()
            raise KeyError("my own")
        if hasattr(caught.value, "add_note"):
            assert "could not be turned off" in caught.value.__notes__[0]


def spoil(dask_scheduler):
    """Have what a recorder holds be nothing that can be read."""
    for name, plugin in dask_scheduler.plugins.items():
        if name.startswith("dbgkit-recorder"):
            for events in plugin.kinds.values():
                for event in events:
                    event["packed"] = b"spoilt"


def test_it_goes_off_although_what_it_holds_cannot_be_kept(inproc_client):
    recorder = dbgkit.record()
    wait(inproc_client.submit(ratio, 1, 0))
    inproc_client.run_on_scheduler(spoil)
    with pytest.raises(zlib.error):
        recorder.off(keep=True)
    assert "off" in dbgkit.recordings().notes[0]


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


def test_a_task_that_runs_while_it_is_taken_off_goes_on(client):
    with dbgkit.record():
        future = client.submit(lambda: time.sleep(0.3) or 7)
        wait_until(lambda: any(client.processing().values()), "the task runs")
    assert future.result(timeout=10) == 7


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


# --- the recording in the debugger ----------------------------------------------


def commands(monkeypatch, *lines):
    """Type these at the next prompt of pdb."""
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join([*lines, "q", ""])))


def test_debug_enters_the_recording(recorded, monkeypatch, capsys):
    future = recorded.submit(ratio, 1, 0)
    wait(future)
    commands(monkeypatch, "p pair[0] + 41", "p [b for _ in pair]", "where")
    found = dbgkit.debug(future, source="recording", prompt=True)
    out = capsys.readouterr().out
    assert "42" in out and "[0, 0]" in out
    assert "return pair[0] / pair[1]" in out
    assert isinstance(found, dbgkit.Recording)


def test_debug_enters_what_a_replay_on_a_worker_brought_home(
    client, monkeypatch, capsys
):
    future = client.submit(ratio, 1, 0)
    wait(future)
    commands(monkeypatch, "p pair[0] + 41")
    assert dbgkit.debug(future, where="worker", prompt=True).outcome == "same"
    out = capsys.readouterr().out
    assert "42" in out and "return pair[0] / pair[1]" in out


def test_what_is_only_summarised_says_so(recorded, monkeypatch, capsys):
    future = recorded.submit(ratio, Counter(), 0)
    wait(future)
    commands(monkeypatch, "p a", "p a.fail")
    dbgkit.debug(future, source="recording", prompt=True)
    out = capsys.readouterr().out
    assert "<recorded" in out
    assert "only a summary was recorded" in out


def test_a_failure_that_does_not_happen_again_is_entered_as_recorded(
    recorded, tmp_path, capsys
):
    future = recorded.submit(fails_at_first, str(tmp_path / "tried"))
    wait(future)
    assert dbgkit.debug(future, prompt=False).outcome == "passed"
    out = capsys.readouterr().out
    assert "as recorded on the worker" in out and "first = True" in out


def test_without_a_recording_there_is_a_clear_word(client):
    future = client.submit(ratio, 1, 0, pure=False)
    wait(future)
    with pytest.raises(NotRecorded, match=r"dbgkit\.record"):
        dbgkit.debug(future, source="recording", prompt=False)


def test_an_exception_that_leaves_the_with_block_keeps_its_recording(
    client, tmp_path, capsys
):
    with pytest.raises(ZeroDivisionError) as caught, dbgkit.record():
        client.submit(fails_at_first, str(tmp_path / "tried")).result()
    assert dbgkit.debug(caught.value, prompt=False).outcome == "passed"
    assert "first = True" in capsys.readouterr().out


def test_what_was_held_is_kept_here_when_it_is_turned_off(client, capsys):
    with dbgkit.record():
        wait(client.submit(ratio, 1, 0, key="ratio-kept"))
    held = dbgkit.recordings("ratio-kept")
    assert told(only(target="ratio-kept"), "ratio")["pair"] == "[1, 0]"
    assert "it was turned off" in held.notes[0]
    dbgkit.debug(source="recording", prompt=False)
    assert "[1, 0]" in capsys.readouterr().out
    # AND nothing of it is there any more for another one
    with dbgkit.record() as recorder:
        assert len(dbgkit.recordings()) == 0
        recorder.off(keep=False)


def test_another_exception_at_hand_does_not_hide_the_newest_recording(
    recorded, monkeypatch, capsys
):
    wait(recorded.submit(ratio, 1, 0, key="ratio-1"))
    monkeypatch.setattr(sys, "last_value", KeyError("of no task"), raising=False)
    assert dbgkit.debug(source="recording", prompt=False).key == "ratio-1"
    assert "[1, 0]" in capsys.readouterr().out


def test_a_recording_is_a_target(recorded, capsys):
    future = recorded.submit(ratio, 1, 0, key="ratio-1")
    wait(future)
    recording = only()
    assert dbgkit.debug(recording, prompt=False) is recording
    assert dbgkit.replay(recording).outcome == "same"


def test_a_client_that_is_closed_by_an_exception_leaves_its_recordings(
    inproc, tmp_path, capsys
):
    with (
        pytest.raises(ZeroDivisionError),
        dbgkit.debugging(prompt=False),
        Client(inproc) as client,
        dbgkit.record(),
    ):
        client.submit(fails_at_first, str(tmp_path / "tried")).result()
    assert "first = True" in capsys.readouterr().out


# --- never in the way ---------------------------------------------------------


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


def not_utf_8(path):
    raise FileNotFoundError(os.fsdecode(path))


def test_a_message_that_is_no_utf_8_comes_home():
    """A worker's stream to its scheduler would break on it, and the job hang."""
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        dbgkit.record()
        future = client.submit(not_utf_8, b"table-\xff.csv")
        assert isinstance(future.exception(timeout=20), FileNotFoundError)
        assert "table-" in only().message


@contextmanager
def deaf(client, go):
    """The worker of a cluster does not answer within the block."""
    begun = Path(f"{go}-begun")

    def block(begun, go):
        begun.touch()
        waits_for(go)

    blocking = threading.Thread(target=client.run, args=(block, begun, str(go)))
    blocking.start()
    try:
        wait_until(begun.exists, "the worker is deaf")
        yield
    finally:
        go.touch()
        blocking.join()


def test_a_worker_that_does_not_answer_leaves_no_half_of_a_recorder(tmp_path):
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        with (
            deaf(client, tmp_path / "on"),
            pytest.raises(WaitTimedOut, match="recorder's start"),
        ):
            dbgkit.record(timeout="0.5s")
        assert "off" in dbgkit.recordings().notes[0]
        recorder = dbgkit.record()
        wait(client.submit(ratio, 1, 0))
        assert not only().gap
        recorder._timeout = "0.5s"
        with (
            deaf(client, tmp_path / "off"),
            pytest.raises(WaitTimedOut, match="recorder's end"),
        ):
            recorder.off()
        assert "off" in dbgkit.recordings().notes[0]


# --- clusters that change -------------------------------------------------------


def test_workers_that_join_later_record_too():
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        dbgkit.record()
        dbgkit.record(secret_names=["pair"])
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
        late = list(client.scheduler_info()["workers"])[-1]
        wait(client.submit(ratio, 1, 0, workers=[late], key="late"))
        assert only().worker == late
        assert told(only(), "ratio")["pair"] == "<hidden>"


def test_it_survives_a_restart_of_the_workers():
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        dbgkit.record(keep_inputs="1 MB")
        failed = client.submit(total, client.submit(doubled, 3))
        wait(failed)
        assert dbgkit.recordings().kept_inputs == 1
        client.restart()
        assert dbgkit.recordings().kept_inputs == 0
        wait(client.submit(ratio, 1, 0))
        assert told(dbgkit.recordings()[0], "ratio")["pair"] == "[1, 0]"


def test_it_survives_the_death_of_its_worker():
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        dbgkit.record()
        wait(client.submit(ratio, 1, 0, key="before"))
        first = client.scheduler_info()["workers"]
        client.restart_workers(list(first), timeout=30)
        assert only().key == "before"


def test_what_is_held_is_bounded():
    with own_cluster(n_workers=1, processes=False) as client:
        dbgkit.record(hold=8_000)
        wait(client.map(ratio, range(40), [0] * 40))
        held = dbgkit.recordings(limit=100)
        assert held.held <= 8_000
        assert held.failures == 40 == len(held) + held.dropped
        assert held.dropped
        assert held[0].short


def test_an_asynchronous_client():
    async def job():
        async with (
            Client(
                processes=False, n_workers=1, dashboard_address=":0", asynchronous=True
            ) as client,
            dbgkit.record(client=client),
        ):
            await wait(client.submit(ratio, 1, 0))
            return await dbgkit.recordings(client=client)

    assert told(asyncio.run(job())[0], "ratio")["pair"] == "[1, 0]"
    gc.collect()


def group_of(future):
    groups = dbgkit.failures().groups
    return next(one for one in groups if one.example.key == future.key)


def test_failures_come_with_what_was_recorded(recorded):
    future = recorded.submit(ratio, 1, 0)
    wait(future)
    group = group_of(future)
    assert told(group.recording, "ratio")["pair"] == "[1, 0]"


def test_failures_without_the_recorder_have_no_recording(client):
    future = client.submit(ratio, 1, 0, pure=False)
    wait(future)
    group = group_of(future)
    assert group.recording is None


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


# --- inputs ---------------------------------------------------------------------


def load(path):
    """Another value each time, if there is a file."""
    if path is None:
        return [1, 2, 3]
    text = Path(path).read_text()
    Path(path).write_text(f"{text}x")
    tries = len(text)
    return [1, 2, tries]


def total(values):
    values.append(4)
    raise ValueError(sum(values))


def test_a_replay_says_that_its_inputs_are_those_of_the_failure(recorded):
    values = recorded.submit(load, None, key="load-same")
    future = recorded.submit(total, values)
    wait(future)
    again = dbgkit.replay(future)
    assert again.compared == {"load-same": "same"}
    assert "the inputs are those that it failed on, as recorded" in again.notes


def test_a_replay_says_that_its_inputs_are_others(recorded, tmp_path):
    path = tmp_path / "tries"
    path.write_text("")
    values = recorded.submit(load, str(path), key="load-other")
    future = recorded.submit(total, values)
    wait(future)
    del values
    settle(recorded)
    again = dbgkit.replay(future)
    assert again.compared == {"load-other": "different"}
    assert any("'load-other'" in note for note in again.notes)


def test_without_the_recorder_inputs_are_not_compared(client):
    values = client.submit(load, None)
    future = client.submit(total, values)
    wait(future)
    assert dbgkit.replay(future).compared == {}


def doubled(number):
    return [number] * 2


def test_inputs_of_what_failed_can_be_kept(client):
    with dbgkit.record(keep_inputs="1 MB"):
        values = client.submit(doubled, 3, key="doubled-kept")
        future = client.submit(total, values)
        wait(future)
        del values
        settle(client)
        plan = dbgkit.replay(future, dry_run=True)
        assert not plan.recompute
        assert [(info.key, info.how) for info in plan.inputs] == [
            ("doubled-kept", "pull")
        ]
        assert dbgkit.recordings().kept_inputs == 1
        del future
        settle(client)
    forgotten(client)


def test_inputs_are_kept_within_the_limit(client):
    with dbgkit.record(keep_inputs=200):
        values = client.map(doubled, range(10), pure=False)
        futures = client.map(total, values, pure=False)
        wait(futures)
        held = dbgkit.recordings()
        assert 0 < held.kept_bytes <= 200
        del values, futures
        settle(client)
    forgotten(client)


# --- TLS, and workers that die ----------------------------------------------------


def test_a_secured_cluster():
    from distributed.security import Security

    with own_cluster(
        n_workers=1, protocol="tls://", security=Security.temporary()
    ) as client:
        with dbgkit.record():
            wait(client.submit(ratio, 1, 0))
            recording = only()
        assert recording.worker.startswith("tls://")
        assert told(recording, "ratio")["pair"] == "[1, 0]"


def fails_and_dies(numbers):
    """Its process ends while it is being recorded, or just before or after that."""
    threading.Timer(0.001 * numbers[0], os._exit, [3]).start()
    return ratio(numbers, 0)


def test_a_worker_that_dies_while_it_records():
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        own_cluster(n_workers=2, threads_per_worker=1) as client,
    ):
        dbgkit.record()
        futures = [client.submit(fails_and_dies, [n], key=f"d-{n}") for n in (1, 3)]
        wait(futures, timeout=60)
        assert {future.status for future in futures} == {"error"}
        # Whatever came of it, the recorder answers, and goes on recording.
        dbgkit.recordings()
        client.wait_for_workers(2, timeout=60)
        future = client.submit(ratio, 1, 0, key="after")
        wait(future, timeout=60)
        assert told(only(target=future), "ratio")["pair"] == "[1, 0]"
