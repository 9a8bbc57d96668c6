"""IPython in this process, in a pseudo-terminal, and as a Jupyter kernel."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import textwrap
from contextlib import contextmanager
from tempfile import mkdtemp
from typing import Any

import pexpect
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import KernelManager
from traitlets.config import Config

import dbgkit

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def plain(text: str) -> Any:
    """Without colours and other control sequences."""
    return _SEQUENCE.sub("", text)


def uncoloured(html: str) -> str:
    """A page or a card whose code is not taken apart."""
    return re.sub(r'<span class="[bcfkns]">([^<]*)</span>', r"\1", html)


@contextmanager
def shell_of_its_own(folder: Any) -> Any:
    """A shell in this process, which leaves no trace."""
    config = Config()
    config.HistoryManager.enabled = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder))
        # A shell puts a module of its own there, which worker processes cannot start
        # from.
        patch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        shell = InteractiveShell(config=config)
        yield shell
        dbgkit.unload_ipython_extension(shell)
        shell.atexit_operations()
        atexit.unregister(shell.atexit_operations)


def complete(shell: Any, line: Any) -> Any:
    """What IPython would offer at the end of a line."""
    with provisionalcompleter():
        return [one.text for one in shell.Completer.completions(line, len(line))]


class Terminal:
    """An IPython in a pseudo-terminal."""

    def __init__(self, folder: Any, **environment: Any) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--no-confirm-exit", "--quick"],
            env={
                **os.environ,
                "IPY_TEST_SIMPLE_PROMPT": "1",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "IPYTHONDIR": str(folder),
                "TERM": "dumb",
                "NO_COLOR": "1",
                **environment,
            },
            cwd=folder,
            encoding="utf8",
            timeout=60,
            dimensions=(50, 200),
        )
        # A busy machine takes longer to end a process than the usual 0.1 s.
        self.child.ptyproc.delayafterterminate = 1.0
        self.number = 1
        self.child.expect_exact("In [1]: ")

    def run(self, line: Any, *commands: Any) -> Any:
        """Run a cell; with commands, as a debugger session that the last one leaves."""
        return plain(self.run_raw(line, *commands))

    def run_raw(self, line: Any, *commands: Any) -> Any:
        """The same, with colours."""
        said = []
        for command in commands:
            self.child.sendline(line)
            self.child.expect_exact("ipdb> ")
            said.append(self.child.before)
            line = command
        self.number += 1
        self.child.sendline(line)
        self.child.expect_exact(f"In [{self.number}]: ")
        said.append(self.child.before)
        return "".join(said).replace("\r\n", "\n")

    def cell(self, line: Any, code: Any, *commands: Any) -> Any:
        """Run a cell below ``%%dbg``."""
        call = f"get_ipython().run_cell_magic('dbg', {line!r}, {code!r})"
        return self.run(call, *commands)


class Kernel:
    """A Jupyter kernel, and what it said to each cell."""

    def __init__(self, folder: Any) -> None:
        # A free port that was found may be somebody else's by the time that a kernel
        # takes it, where tests run side by side: a file is its own.
        self.place = mkdtemp(prefix="kernel-")
        self.manager = KernelManager(transport="ipc", ip=f"{self.place}/socket")
        self.manager.start_kernel(
            cwd=str(folder),
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "IPYTHONDIR": str(folder),
            },
        )
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=60)
        except RuntimeError:
            self.stop()
            raise

    def run(self, code: Any, *answers: Any) -> Any:
        """Run a cell; with answers, as a front end that takes input."""
        status, said = self.run_parts(code, *answers)
        return status, plain("".join(str(text) for _, text in said))

    def run_parts(self, code: Any, *answers: Any) -> Any:
        """The same, each piece with its type: ``"stream"``, ``"text/html"``, …"""
        said, left = [], list(answers)

        def hear(message: Any) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(("stream", content["text"]))
            elif message["msg_type"] == "error":
                said.append(("error", "\n".join(content["traceback"])))
            elif message["msg_type"] in ("execute_result", "display_data"):
                said.extend(content["data"].items())

        def answer(message: Any) -> None:
            self.client.input(left.pop(0))

        reply = self.client.execute_interactive(
            code,
            allow_stdin=bool(answers),
            output_hook=hear,
            stdin_hook=answer if answers else None,
            timeout=60,
        )
        assert not left, said
        return reply["content"]["status"], said

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        shutil.rmtree(self.place, ignore_errors=True)


@contextmanager
def kernel_with_cluster(folder: Any) -> Any:
    """A kernel with the extension, and a client of worker processes in it."""
    kernel = Kernel(folder)
    code = """
    import time
    from distributed import Client
    client = Client(n_workers=2, threads_per_worker=1, dashboard_address=":0")

    def waits():
        while not len(get_ipython().run_line_magic("dbg_attach", "")):
            time.sleep(0.05)
    """
    try:
        for each in ("%load_ext dbgkit", code):
            run_cell(kernel, each)
        yield kernel
        kernel.run("client.shutdown()")
    finally:
        kernel.stop()


def run_cell(kernel: Any, code: str, *answers: str) -> Any:
    """What a cell says that has to work; ``answers`` to what it asks for."""
    status, said = kernel.run(textwrap.dedent(code), *answers)
    assert status == "ok", said
    return said
