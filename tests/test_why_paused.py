"""Workers that are paused: for good, as they cannot spill, or for a while."""

from __future__ import annotations

import os
import shutil

import dask
import pytest
from distributed import wait
from watching import wait_until
from why_looks import codes, flag, from_dump, plain, same_words, why_until
from why_tasks import inc, loop_until

import dbgkit

LIMIT = 2**31
ROOM = 2**25  # bytes above the threshold at which a worker pauses
VALUE = 2**26


class Block:
    """A value of some size, which may refuse to be pickled."""

    def __init__(self, nbytes, picklable=True):
        self.content = os.urandom(nbytes)
        self.picklable = picklable

    def __sizeof__(self):
        return len(self.content)

    def __reduce__(self):
        if not self.picklable:
            raise TypeError("it holds an open file")
        return Block, (len(self.content),)


def keep_unmanaged(nbytes):
    """Something that no task's value holds, as caches and leaks do."""
    import builtins

    builtins.why_paused_kept = os.urandom(nbytes)


def set_room(dask_worker, pause=ROOM, spill=2 * ROOM, most=None):
    """Thresholds below the memory that the worker takes now; None: off."""
    manager = dask_worker.memory_manager
    used = dask_worker.monitor.get_process_memory()
    manager.memory_pause_fraction = (used - pause) / LIMIT
    manager.memory_spill_fraction = (spill or False) and (used - spill) / LIMIT
    manager.memory_target_fraction = False
    if most is not None:
        manager.data._slow_uncached.max_weight = most
    return used - pause


def keep_paused(dask_worker):
    """What somebody may do whose worker does not pause for its memory."""
    dask_worker.memory_manager.memory_pause_fraction = False
    dask_worker.status = type(dask_worker.status).paused


def without_folder(dask_worker):
    shutil.rmtree(dask_worker.local_directory)


@pytest.fixture(scope="module")
def spacious():
    """A cluster with a worker for each test, of which none is paused yet."""
    from conftest import own_cluster

    memory = {
        "distributed.worker.memory.terminate": False,
        "distributed.worker.memory.target": 0.99,
    }
    options = {"n_workers": 7, "threads_per_worker": 1, "memory_limit": LIMIT}
    with dask.config.set(memory), own_cluster(**options) as client:
        yield client


USED = set()


@pytest.fixture
def worker(spacious):
    """One that no test has had: its thresholds would be those of that test."""
    address = min(set(spacious.scheduler_info(n_workers=-1)["workers"]) - USED)
    USED.add(address)
    return address


def filled(client, worker, *values, **room):
    """Futures of values that make a worker pause, and a task that waits for it."""
    futures = [
        client.submit(*value, key=f"value-{i}-{worker}", workers=[worker])
        for i, value in enumerate(values)
    ]
    wait(futures, timeout=30)
    pauses = client.run(set_room, workers=[worker], **room)[worker]
    wait_until(lambda: is_paused(client, worker), "it is paused")
    # Dumps have the figures of the last heartbeat.
    wait_until(lambda: memory_of(client, worker) > pauses, "a heartbeat")
    return futures, client.submit(inc, 1, key=f"late-{worker}", workers=[worker])


def memory_of(client, worker):
    info = client.scheduler_info(n_workers=-1)["workers"][worker]
    return info["metrics"]["memory"]


def is_paused(client, worker):
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return workers[worker]["status"] == "paused"


def test_a_value_that_cannot_be_pickled_keeps_others_from_being_spilled(
    spacious, worker, tmp_path
):
    values = [(Block, VALUE, False), (Block, VALUE)]
    futures, late = filled(spacious, worker, *values)
    found = why_until("spill-failed", late)
    assert found.summary == (
        f"1 worker is paused, and cannot spill; {late.key!r} cannot run"
    )
    assert (
        f"its oldest value, that of {futures[0].key!r}, cannot be pickled, so that "
        "nothing is spilled"
    ) in found.evidence
    assert found.advice[0].startswith("waiting does not help")
    assert not found.healthy
    # How spilling goes is in no dump, and it says so.
    dumped = from_dump(spacious, tmp_path, late.key)
    assert dumped.cause == "workers-paused"
    assert "whether that works is not recorded in a dump" in str(dumped.evidence)
    # WHEN the values are released, the worker goes on
    for future in futures:
        future.release()
    wait(late, timeout=30)


def test_spilling_has_no_room(spacious, worker):
    _, late = filled(spacious, worker, (Block, VALUE), (Block, VALUE), most=10)
    found = why_until("spill-failed", late)
    assert any("max-spill of 10 B is reached" in line for line in found.evidence)
    assert any("distributed.worker.memory.max-spill" in each for each in found.advice)


def test_the_folder_to_spill_to_is_gone(spacious, worker):
    spacious.run(without_folder, workers=[worker])
    _, late = filled(spacious, worker, (Block, VALUE), (Block, VALUE))
    found = why_until("spill-failed", late)
    assert any(line.endswith(", which is gone") for line in found.evidence)
    assert any("Spill to disk failed" in line for line in found.evidence)


def test_paused_for_good_by_what_nobody_manages(spacious, worker, tmp_path):
    _, late = filled(spacious, worker, (keep_unmanaged, VALUE))
    found = why_until("paused-for-good", late)
    assert found.summary == f"1 worker is paused for good; {late.key!r} cannot run"
    assert "unmanaged memory " in found.evidence[1]
    assert found.advice[0].startswith("waiting does not help")
    assert any("malloc_trim" in each for each in found.advice)
    assert any(repr([worker]) in each for each in found.advice)
    same_words(found, from_dump(spacious, tmp_path, late.key))


def test_paused_for_good_as_it_may_not_spill(harmable, tmp_path):
    """Nothing runs anywhere that could have the values released."""
    options = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": LIMIT}
    with (
        dask.config.set({"distributed.worker.memory.terminate": False}),
        harmable(**options) as client,
    ):
        (worker,) = client.scheduler_info()["workers"]
        futures, late = filled(client, worker, (Block, VALUE), spill=None)
        found = why_until("paused-for-good", late)
        off = "it may not spill: distributed.worker.memory.spill is off"
        assert off in found.evidence
        assert "release futures that are no longer needed" in found.advice
        same_words(found, from_dump(client, tmp_path, late.key))
        assert codes(dbgkit.why()) == ["paused-for-good"]
        del futures
        wait(late, timeout=30)


def test_with_other_workers_values_may_be_released(spacious, worker):
    _, late = filled(spacious, worker, (Block, VALUE), spill=None)
    found = why_until("workers-paused", late)
    assert not found.healthy
    assert found.advice[0].startswith("they go on by themselves only if")


def test_a_paused_worker_that_still_runs_something(spacious, worker, tmp_path):
    with flag(tmp_path) as path:
        busy = spacious.submit(hold_and_loop, path, key="busy", workers=[worker])
        why_until("running", busy)
        spacious.run(set_room, workers=[worker])
        wait_until(lambda: is_paused(spacious, worker), "it is paused")
        late = spacious.submit(inc, 1, key="after busy", workers=[worker])
        found = why_until("workers-paused", late)
        assert "it still runs 'busy'" in found.evidence
        assert "only if what still runs frees enough memory" in found.advice[0]
        same_words(found, from_dump(spacious, tmp_path, late.key))


def hold_and_loop(path):
    held = os.urandom(VALUE)
    loop_until(path)
    return len(held)


def test_what_dask_has_not_paused_it_does_not_resume(spacious, worker, tmp_path):
    spacious.run(keep_paused, workers=[worker])
    late = spacious.submit(inc, 1, key=f"late-{worker}", workers=[worker])
    found = why_until("paused-for-good", late)
    assert "its status was set by somebody" in found.evidence[1]
    assert "Dask resumes only what it has paused" in found.advice[0]
    dumped = from_dump(spacious, tmp_path, late.key)
    assert (dumped.cause, plain(dumped.evidence)) == (
        found.cause,
        plain(found.evidence),
    )


def test_tasks_are_counted_not_workers(harmable, tmp_path):
    with harmable(n_workers=1) as client:
        client.run(keep_paused)
        wait_until(lambda: is_paused(client, *client.nthreads()), "it is paused")
        futures = client.map(inc, range(3))
        found = why_until("paused-for-good")
        assert found.summary.startswith("1 worker is paused for good; 3 tasks (")
        wait_until(lambda: dbgkit.tasks(state="no-worker").matched == 3, "three")
        assert "; 3 tasks (" in from_dump(client, tmp_path).summary
        del futures


def test_spill_facts_rest_on_names_of_dask(spacious):
    """Contract: `SpillBuffer`, `zict.LRU` and `RateLimiterFilter`, as they are used."""

    def names(dask_worker):
        import logging

        data = dask_worker.memory_manager.data
        filters = logging.getLogger("distributed.spill").filters
        return (
            [hasattr(data, each) for each in ("logged_pickle_errors", "spilled_total")],
            [hasattr(data.fast, each) for each in ("heavy", "order")],
            data._slow_uncached.max_weight,
            sorted(each.pattern.pattern for each in filters),
            all(isinstance(each._last_seen, (int, float)) for each in filters),
        )

    for found in spacious.run(names).values():
        assert found[:2] == ([True, True], [True, True])
        assert found[3:] == (
            ["Spill file on disk reached capacity", "Spill to disk failed"],
            True,
        )
