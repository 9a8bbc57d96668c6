"""The command line in this process, and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def in_process(capsys, *args):
    """Run the command line in this process."""
    from dbgkit.frontends.cli import cli

    capsys.readouterr()
    try:
        cli.main([str(arg) for arg in args], prog_name="dbgkit")
    except SystemExit as ended:
        code = ended.code or 0
    return Done(code, *capsys.readouterr())


def environment(**variables):
    """Of a process that finds what this one finds."""
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path, **variables}


def start(*args, command=("-m", "dbgkit"), env=None, **options):
    """Start the command line as a process of its own, without a terminal."""
    return subprocess.Popen(
        [sys.executable, *command, *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**(env or {})),
        **options,
    )


def ended(process, limit=60):
    """Wait for a process that `start` has started."""
    out, err = process.communicate(timeout=limit)
    return Done(process.returncode, out.decode(), err.decode())
