"""What is read of Dask's workers and of asyncio to look at what runs."""

from __future__ import annotations

import asyncio
import sys
import threading

import peek_tasks
import pytest
from conftest import own_cluster
from distributed import wait
from distributed.worker import _run_actor
from watching import wait_until
from why_looks import flag

from dbgkit.remote.common.frames import line_at, places_of
from dbgkit.remote.worker.running import (
    PAUSED,
    Around,
    awaited_by,
    instructions,
    places_of_coroutine,
)


@pytest.fixture(scope="module")
def worker():
    with own_cluster(processes=False, n_workers=1) as client:
        (found,) = client.cluster.workers.values()
        yield client, found


def on_loop(client, function, *args):
    async def run():
        return function(*args)

    return client.sync(run)


def test_a_worker_knows_which_threads_run_its_tasks(worker, tmp_path):
    client, own = worker
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.wait_there, path, key="contract-thread")
        wait_until(lambda: own.active_threads, "it runs")
        with own.active_threads_lock:
            assert [*own.active_threads.values()] == ["contract-thread"]
        (ident,) = own.active_threads
        assert ident in {thread.ident for thread in threading.enumerate()}
        # An instruction of the state machine is a task of the loop, by this name.
        names = [each.get_name() for each in instructions(own)]
        assert names == ["execute('contract-thread')"]
        places = places_of(sys._current_frames()[ident])
        assert places[0][0].f_code.co_name == "_bootstrap"
    wait(future)
    wait_until(lambda: not own.active_threads, "it has ended")


def test_an_async_task_is_a_coroutine_of_the_loop(worker, tmp_path):
    client, own = worker
    with flag(tmp_path) as path:
        future = client.submit(peek_tasks.outer, path, key="contract-async")
        wait_until(lambda: instructions(own), "it runs")

        def look():
            (task,) = instructions(own)
            assert own.state.tasks["contract-async"].run_spec.is_coro
            return [frame.f_code.co_name for frame, _ in places_of_coroutine(task)[0]]

        names = on_loop(client, look)
        assert names[-3:-1] == ["outer", "wait_for"] or "outer" in names
        assert "inner" in names
    wait(future)


def test_a_method_of_an_actor_is_called_by_a_frame_that_has_it(worker, tmp_path):
    client, own = worker
    assert _run_actor.__code__.co_varnames[0] == "func"
    future = client.submit(peek_tasks.Counter, actor=True, key="contract-actor")
    actor = future.result()
    with flag(tmp_path) as path:
        running = actor.wait(path)
        wait_until(lambda: own.active_threads, "it runs")
        found = on_loop(client, lambda: Around(own).methods_of("contract-actor"))
        assert [str(name).rpartition(".")[2] for name in found] == ["wait"]
    running.result()


def test_plugins_of_a_worker_are_in_a_mapping(worker):
    assert all(not hasattr(each, PAUSED) for each in worker[1].plugins.values())


def test_what_a_task_of_a_loop_awaits():
    async def sleeps():
        await asyncio.sleep(60)

    async def waits_for_two():
        await asyncio.gather(sleeps(), sleeps())

    async def waits_for_one():
        await asyncio.gather(sleeps())

    async def look():
        two = asyncio.create_task(waits_for_two())
        one = asyncio.create_task(waits_for_one())
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(awaited_by(two, None)._children) == 2
        awaited = awaited_by(one, None)
        assert isinstance(awaited, asyncio.Task)
        places, awaits = places_of_coroutine(one)
        names = [frame.f_code.co_name for frame, _ in places]
        assert (names, awaits) == (["waits_for_one", "sleeps", "sleep"], "")
        assert places_of_coroutine(two)[1] == "2 awaitables of asyncio.gather"
        one.cancel(), two.cancel()
        await asyncio.gather(one, two, return_exceptions=True)

    asyncio.run(look())


def test_a_frame_always_stands_at_a_line():
    """Where Python says that it is at none, the one before is meant."""
    stop = threading.Event()

    def loops():
        number = 0
        while not stop.is_set():
            for each in range(1_000):
                if each % 3:
                    number += 1
        return number

    thread = threading.Thread(target=loops)
    thread.start()
    code = loops.__code__
    try:
        for _ in range(300):
            frame = sys._current_frames()[thread.ident]
            while frame is not None and frame.f_code is not code:
                frame = frame.f_back
            if frame is not None:
                first = code.co_firstlineno
                assert first <= line_at(frame) <= first + 7
    finally:
        stop.set()
        thread.join()
