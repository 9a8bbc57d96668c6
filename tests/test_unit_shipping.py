"""Code that is sent to workers: whole, however many threads get there at once."""

from __future__ import annotations

import marshal
import os
import pickle
import subprocess
import sys
from types import CodeType

import pytest
from commands import environment, other_python

import dbgkit
from dbgkit.cluster import shipping
from dbgkit.cluster.shipping import ShippedFunction

LOADS = """
import pickle, sys, threading
package, times = sys.argv[1].encode(), int(sys.argv[2])
data = bytes.fromhex(sys.stdin.read())
sys.setswitchinterval(1e-6)

def load(data, found, start):
    start.wait()
    try:
        found.append(pickle.loads(data))
    except BaseException as error:
        found.append(error)

for number in range(times):
    name = b"%s%08d" % (package[:-8], number)
    found, start = [], threading.Barrier(8)
    arguments = data.replace(package, name), found, start
    threads = [threading.Thread(target=load, args=arguments) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert len(found) == 8, found
    assert all(each is found[0] for each in found), found
    assert callable(found[0]), found
"""


@pytest.mark.parametrize(
    "module, name, times",
    [("worker.replay_thread", "run", 5), ("common.texts", "visible", 200)],
)
def test_threads_that_load_it_at_once_get_the_same(module, name, times):
    run = subprocess.run(
        [sys.executable, "-c", LOADS, shipping.package_of(module), str(times)],
        input=pickle.dumps(ShippedFunction(module, name)).hex(),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def loaded_by(python, data):
    """Line that a Python without dbgkit and Dask prints of a function that it gets."""
    told = "found.__code__.co_filename, found('a\x1bb')"
    code = f"import pickle, sys; found = pickle.load(sys.stdin.buffer); print({told})"
    run = subprocess.run(
        [python, "-I", "-c", code], input=data, capture_output=True, timeout=60
    )
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode().strip()


def test_compiled_code_goes_along_and_names_no_folder_of_this_machine():
    data = pickle.dumps(ShippedFunction("common.texts", "visible"))
    assert os.path.dirname(dbgkit.__file__).encode() not in data
    file = f"<{shipping.package_of('common.texts')}.common.texts>"
    assert loaded_by(sys.executable, data) == f"{file} a\\x1bb"
    # It is the compiled code that is taken.
    broken = data.replace(b"def visible(", b"def visible[")
    assert broken != data
    assert loaded_by(sys.executable, broken) == f"{file} a\\x1bb"


@pytest.mark.parametrize("minor", [10, 11, 12, 13, 14])
def test_another_python_compiles_it_itself(minor):
    python = other_python(minor)
    data = pickle.dumps(ShippedFunction("common.texts", "visible"))
    file = f"<{shipping.package_of('common.texts')}.common.texts>"
    assert loaded_by(python, data) == f"{file} a\\x1bb"


def test_what_was_never_compiled_is_compiled_here(monkeypatch):
    """As where it is installed by a loader that has no code to give."""
    monkeypatch.setattr(shipping.PathFinder, "find_spec", lambda *_: None)
    file = "<package.common.keys>"
    code = marshal.loads(shipping._compiled.__wrapped__("common.keys", file))
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    assert inner and {each.co_filename for each in [code, *inner]} == {file}
