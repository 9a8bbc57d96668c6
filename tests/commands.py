"""The command line in this process, and as a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import Any, NamedTuple


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def in_process(capsys: Any, *args: Any) -> Any:
    """Run the command line in this process."""
    from dbgkit.frontends.cli.main import cli

    capsys.readouterr()
    try:
        cli.main([str(arg) for arg in args], prog_name="dbgkit")
    except SystemExit as ended:
        code: Any = ended.code or 0
    return Done(code, *capsys.readouterr())


def beside(capsys: Any, client: Any) -> Any:
    """What runs a command in this process, on the cluster of a client.

    It is given a verb, and what follows the option that names the scheduler.
    """
    there = client.scheduler.address
    return lambda verb, *args: in_process(capsys, verb, "--scheduler", there, *args)


def environment(**variables: Any) -> Any:
    """Of a process that finds what this one finds."""
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path, **variables}


def other_python(minor: int) -> str:
    """Python 3 of another minor version, as CI names it or as it is found."""
    import pytest

    if minor == sys.version_info.minor:
        pytest.skip("this very version")
    name = f"python3.{minor}"
    found = os.environ.get(f"DBGKIT_TEST_PYTHON3_{minor}") or shutil.which(name)
    if not found:
        pytest.skip(f"no {name}")
    # A shim of pyenv may be there for a version that is not switched on.
    if subprocess.run([found, "-c", ""], capture_output=True, timeout=60).returncode:
        pytest.skip(f"{found} does not run")
    return found


def start(
    *args: Any, command: Any = ("-m", "dbgkit"), env: Any = None, **options: Any
) -> Any:
    """Start the command line as a process of its own, without a terminal."""
    return subprocess.Popen(
        [sys.executable, *command, *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**(env or {})),
        **options,
    )


def ended(process: Any, limit: float = 60) -> Any:
    """Wait for a process that `start` has started."""
    out, err = process.communicate(timeout=limit)
    return Done(process.returncode, out.decode(), err.decode())


@contextmanager
def dask_command(python: Any, folder: Any, *args: Any, path: Any) -> Any:
    """One of Dask's own commands, until the block ends.

    Parameters
    ----------
    python : list of str
        The interpreter, with its own options.
    folder : Path
        To work in, and for its log.
    *args : str
        The command and its options.
    path : Path
        Where it finds modules.
    """
    environment = {**os.environ, "PYTHONPATH": str(path)}
    # There is no dbgkit that it could load.
    environment.pop("DASK_DISTRIBUTED__SCHEDULER__PRELOAD", None)
    with open(folder / f"{args[0]}-{time.monotonic_ns()}.log", "w") as log:
        process = subprocess.Popen(
            [*python, "-m", "dask", *args],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
