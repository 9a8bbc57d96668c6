"""Children that replay a task: a new interpreter, or a fork of this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbgkit.errors import NotHere
from dbgkit.replays.child import FAULTS, begin, connect, leave, run_nodes
from dbgkit.replays.inputs import Inputs
from dbgkit.replays.lifeline import Lifeline
from dbgkit.replays.nodes import write
from dbgkit.replays.standin import WorkerStandIn
from dbgkit.source import Reader

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import ChildTask

# What a fork goes on with: run specs, what has read them, and the stand-in.
Fork = tuple[Mapping[Any, Any], Reader, WorkerStandIn | None]

_LOOK = 0.02  # seconds between two checks of a child that is to end
_START = "import sys; from dbgkit.replays.{} import main; main(*sys.argv[1:])"


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder for this user alone, where the child leaves its results."""
    with _needing("a temporary folder"):
        folder = tempfile.TemporaryDirectory(
            prefix="dbgkit-", ignore_cleanup_errors=True
        )
    with folder as name:
        yield Path(name)


@contextmanager
def _needing(what: str) -> Iterator[None]:
    """Raise a clear error if the temporary folder is missing, or full."""
    try:
        yield
    except OSError as error:
        raise NotHere(
            f"a process of its own needs {what}: {error}",
            "set TMPDIR to a folder that can be written to",
        ) from None


class Child:
    """A running child: `poll` gives its exit status once it has ended.

    ``held`` are the bytes that it has from its parent.
    """

    pid: int
    held: int = 0

    def poll(self) -> int | None:
        raise NotImplementedError

    def kill(self) -> None:
        raise NotImplementedError

    def dump_stacks(self) -> None:
        """Have it write its stacks to the file for faults, unless it does so itself."""

    def stop(self) -> None:
        """Make sure that it has ended, and reap it."""
        if self.poll() is None:
            self.kill()
            while self.poll() is None:
                time.sleep(_LOOK)


def _absolute(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        # Paths relative to a removed working directory do not exist.
        with suppress(FileNotFoundError):
            yield os.path.abspath(path)


class Spawned(Child):
    def __init__(
        self, folder: Path, task: ChildTask, inputs: Inputs, module: str = "child"
    ) -> None:
        header = {
            "path": list(_absolute(sys.path)),
            "places": inputs.reader.places(),
            "timeout": task["timeout"],
        }
        values = write(inputs.values, "the inputs")
        # Unnamed, so that nothing of it stays behind, whichever process dies.
        with (
            _needing("space in the temporary folder"),
            tempfile.TemporaryFile(dir=folder) as file,
        ):
            file.write(json.dumps(header).encode() + b"\n")
            file.write(write(task, "the task"))
            file.write(values)
            del values
            file.seek(0)
            self.output = open(folder / "output.txt", "wb")  # noqa: SIM115
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _START.format(module),
                    str(folder),
                    str(os.getpid()),
                ],
                stdin=file,
                stdout=self.output,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                },
            )
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        super().stop()
        self.output.close()


class Forked(Child):
    def __init__(self, folder: Path, task: ChildTask, fork: Fork) -> None:
        import warnings

        import psutil

        self._status: int | None = None
        # It begins with all that this process holds.
        self.held = psutil.Process().memory_info().rss
        parent = os.getpid()
        with warnings.catch_warnings():
            # Threads of this process do not continue in the child; it needs none of
            # them, and its time is bounded.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            self._run(parent, str(folder), task, fork)

    def _run(self, parent: int, folder: str, task: ChildTask, fork: Fork) -> None:
        """In the child: never returns."""
        import faulthandler
        import gc

        # Garbage would be the parent's: clients, clusters, threads' locks.
        gc.disable()
        nodes, reader, stand_in = fork
        code = 70
        try:
            path = os.path.join(folder, "output.txt")
            output = os.open(path, os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            with open(os.path.join(folder, FAULTS), "w") as faults:
                faulthandler.enable(faults)
                # Not dump_traceback_later: it would wait here for the thread of one
                # that is under way in the parent, as pytest's faulthandler_timeout.
                faulthandler.register(signal.SIGUSR1, faults, all_threads=True)
                if stand_in is not None:
                    stand_in.in_child(lambda: connect(task["cluster"]))
                begin(folder, Lifeline(parent, folder, task["timeout"]))
                leave(folder, run_nodes(nodes, task, reader, stand_in))
            code = 0
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def dump_stacks(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)
