"""Run the Python blocks of one page of the documentation, and report what they print.

``python docs_page.py PAGE FOLDER`` runs them one after another, as a reader would who
pastes them into a file of that folder, and prints a JSON list: for each block that
shows output, what was printed since the one before.

Of a fence, the first word is the language. After ``python`` there may be ``raises
ZeroDivisionError``, or ``skip: why``; ``text output`` is what was printed.
A page with the comment ``cluster: processes`` has workers in processes of their own.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

FENCE = re.compile(r"^```(?P<info>[a-z][^\n`{]*)\n(?P<text>.*?)^```$", re.M | re.S)
# Ports are free ones, so that the page runs beside anything else.
SMALL = 'n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=60'
HERE = f'Client(processes=False, protocol="tcp", {SMALL})'
PROCESSES = f"Client({SMALL})"
ON_PROCESSES = "<!-- cluster: processes -->"  # of a page whose workers die


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    info: str
    text: str
    span: tuple[int, int]  # of the text, in the page

    @property
    def runs(self) -> bool:
        return self.info.partition(" ")[0] == "python" and "skip:" not in self.info

    @property
    def shows_output(self) -> bool:
        return self.info == "text output"

    @property
    def raises(self) -> str:
        return self.info.partition("raises ")[2].strip()


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks with a language, in their order."""
    return [
        Block(found["info"].strip(), found["text"], found.span("text"))
        for found in FENCE.finditer(page)
    ]


def run_page(path: Path, folder: Path) -> list[str]:
    """What the blocks print, cut where the page shows it."""
    page = path.read_text("utf-8")
    client = PROCESSES if ON_PROCESSES in page else HERE
    script = folder / "job.py"
    # As IPython does: a module of its own that no worker runs again as it starts,
    # while the text of its code is in a file.
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    os.chdir(folder)
    printed, found = io.StringIO(), []
    written = ""
    for block in blocks_of(page):
        if block.shows_output:
            found.append(printed.getvalue())
            printed = io.StringIO()
        if not block.runs:
            continue
        code = block.text.replace("Client()", client)
        lines = written.count("\n")
        written += f"{code}\n\n"
        script.write_text(written, "utf-8")
        with redirect_stdout(printed):
            _run("\n" * lines + code, str(script), main, block.raises)
    return found


def _run(code: str, name: str, main: ModuleType, raises: str) -> None:
    try:
        exec(compile(code, name, "exec"), main.__dict__)
    except Exception as error:
        if type(error).__name__ != raises:
            raise
        # As the interactive prompt does, so that it is the last failure.
        sys.last_type, sys.last_value = type(error), error
        sys.last_traceback = error.__traceback__
    else:
        assert not raises, f"{raises} was not raised"


if __name__ == "__main__":
    shown = run_page(Path(sys.argv[1]), Path(sys.argv[2]))
    json.dump(shown, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # whatever the page has left running
