"""Inputs that cannot be transferred, which Dask does not try again."""

from __future__ import annotations

import os
import time
from threading import Thread

import pytest
from conftest import own_cluster
from distributed import wait
from watching import unchanged, wait_until
from why_looks import codes, flag, from_dump, why_until

import dbgkit


class NotPicklable:
    def __reduce__(self):
        raise TypeError("no thread lock travels")


class NotReadable:
    def __reduce__(self):
        return refuse, ()


def refuse():
    raise ImportError("No module named 'only_there'")


def make(kind):
    return NotPicklable() if kind == "pickled" else NotReadable()


def use(value):
    return value


@pytest.fixture
def client():
    # One each: after a transfer that failed, Dask uses its connection again, and the
    # next one may fail of what is left there.
    with own_cluster(threads_per_worker=1) as client:
        yield client


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("pickled", "TypeError: no thread lock travels"),
        ("unpickled", "ImportError: No module named 'only_there'"),
    ],
)
def test_an_input_that_cannot_be_transferred(client, tmp_path, kind, error):
    sender, receiver = sorted(client.scheduler_info(n_workers=-1)["workers"])
    value = client.submit(make, kind, key=f"make-{kind}", workers=sender)
    wait(value)
    used = client.submit(use, value, key=f"use-{kind}", workers=receiver)
    after = client.submit(use, used, key=f"after-{kind}")
    found = why_until("transfer-failed", used)
    with unchanged(client, settled=False):
        found = dbgkit.why(client=client)
    assert codes(found) == ["transfer-failed"]
    assert found.summary.endswith(error)
    assert f"make-{kind}" in found.summary
    assert any(
        f"cannot be {kind} on {sender if kind == 'pickled' else receiver}" in line
        for line in found.evidence
    )
    assert "wait" not in found.advice
    assert dbgkit.why(after).because == "transfer-failed"
    dumped = from_dump(client, tmp_path, used.key)
    assert (dumped.cause, dumped.summary) == (found.cause, found.summary)


class Large:
    """A value that takes until a file is there to be sent, though its worker answers.

    What is this large is pickled in a thread besides the event loop.
    """

    def __init__(self, path):
        self.path = path

    def __sizeof__(self):
        return 200_000_000

    def __reduce__(self):
        while not os.path.exists(self.path):
            time.sleep(0.02)
        return Large, (self.path,)


def use_all(*values):
    return len(values)


def limit_transfers(dask_worker):
    dask_worker.state.transfer_incoming_count_limit = 1


def test_as_many_transfers_as_a_worker_allows_are_not_stuck(tmp_path):
    with own_cluster(n_workers=3, threads_per_worker=1) as client:
        *senders, receiver = sorted(client.scheduler_info(n_workers=-1)["workers"])
        client.run(limit_transfers, workers=[receiver])
        with flag(tmp_path) as path:
            parts = [
                client.submit(Large, path, workers=sender, pure=False)
                for sender in senders
            ]
            wait(parts)
            used = client.submit(use_all, *parts, workers=receiver, key="use-all")
            found = why_until("transferring", used)
            assert found.advice == ("wait",)
            assert found.healthy
        wait(used)


def test_a_worker_that_is_being_retired_is_not_called_paused(tmp_path):
    with own_cluster(n_workers=2, threads_per_worker=1) as client:
        leaving, _ = sorted(client.scheduler_info(n_workers=-1)["workers"])
        with flag(tmp_path) as path:
            # It stays for as long as this is being sent away.
            held = client.submit(Large, path, workers=leaving)
            wait(held)
            retiring = Thread(target=client.retire_workers, args=([leaving],))
            retiring.start()
            wait_until(lambda: retires(client, leaving), "it is being retired")
            bound = client.submit(use, 1, workers=leaving, key="bound")
            found = why_until("workers-paused", bound)
            assert found.summary == "1 worker is being retired; 'bound' cannot run"
            assert not any("memory" in line for line in found.advice)
            assert from_dump(client, tmp_path, "bound").summary == found.summary
        retiring.join(30)
        client.cancel(bound)


def retires(client, address):
    return client.run_on_scheduler(status_of, address=address) == "closing_gracefully"


def status_of(dask_scheduler, address):
    return dask_scheduler.workers[address].status.name
