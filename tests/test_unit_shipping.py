"""Code that is sent to workers: whole, however many threads get there at once."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from commands import environment

from dbgkit.cluster.shipping import ShippedFunction

LOADS = """
import pickle, sys, threading
data = bytes.fromhex(sys.stdin.read())
sys.setswitchinterval(1e-6)
found, start = [], threading.Barrier(8)

def load():
    start.wait()
    try:
        found.append(pickle.loads(data))
    except BaseException as error:
        found.append(error)

threads = [threading.Thread(target=load) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(50)
assert len(found) == 8, found
assert all(each is found[0] for each in found), found
assert callable(found[0]), found
"""


@pytest.mark.parametrize(
    "module, name", [("worker.replay_thread", "run"), ("common.boxes", "own_box")]
)
def test_threads_that_load_it_at_once_get_the_same(module, name):
    run = subprocess.run(
        [sys.executable, "-c", LOADS],
        input=pickle.dumps(ShippedFunction(module, name)).hex(),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
