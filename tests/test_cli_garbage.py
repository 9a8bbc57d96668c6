"""Commands that look collect no garbage; what others wrote finds it as ever."""

from __future__ import annotations

import gc
import os

import pytest
from commands import ended, start
from distributed import wait

FEW = 10_000  # objects: Python 3.12 begins with some hundred that are frozen
WATCHED = """
import atexit, gc, importlib, sys
main = importlib.import_module("dbgkit.frontends.cli.main")

def flushed(code, before=main.flushed):
    sys.stderr.write(f"collected: {gc.isenabled()}\\n")
    frozen = lambda: gc.get_freeze_count() > 10_000
    atexit.register(lambda: sys.stderr.write(f"frozen: {frozen()}\\n"))
    return before(code)

main.flushed = flushed
main.main()
"""


def say_whether_collected(path):
    with open(path, "a") as file:
        file.write(f"{os.getpid()} {gc.isenabled()} {gc.get_freeze_count() > FEW}\n")
    raise ValueError("said")


@pytest.mark.parametrize("verb", ["failures", "why", "tasks", "doctor", "deaths"])
def test_a_command_that_looks_collects_none(processes_client, verb):
    done = ended(
        start(
            verb,
            "--scheduler",
            processes_client.scheduler.address,
            command=("-c", WATCHED),
        )
    )
    assert done.code in (0, 1)
    assert done.err.endswith("collected: False\nfrozen: True\n")


@pytest.mark.parametrize("verb", ["replay", "debug"])
def test_a_task_that_is_run_again_finds_it_as_ever(processes_client, tmp_path, verb):
    said = tmp_path / "said"
    future = processes_client.submit(
        say_whether_collected, str(said), key=f"collected-{verb}"
    )
    wait(future)
    named = (verb, future.key, "--scheduler", processes_client.scheduler.address)
    done = ended(start(*named, command=("-c", WATCHED)))
    assert done.code == 1, done.err
    assert done.err.endswith("collected: True\nfrozen: False\n")
    *_, here = said.read_text().splitlines()
    assert here.split()[1:] == ["True", "False"]


def test_a_script_finds_it_as_ever(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import gc\nprint(gc.isenabled(), gc.get_freeze_count() > 10_000)\n"
    )
    done = ended(start("run", script, command=("-c", WATCHED)))
    assert (done.code, done.out) == (0, "True False\n")
    assert done.err.endswith("collected: True\nfrozen: False\n")
