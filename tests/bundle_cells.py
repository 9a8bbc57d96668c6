"""Cells of a notebook whose functions fail, written into files: see `bundle_forms`."""

from __future__ import annotations

import sys

from IPython.core.interactiveshell import InteractiveShell

CELLS = [
    "import functools, zipfile\nfrom pathlib import Path",
    "def plain(x):\n    return 1 / x  # cell\n\nunused = 1",
    "%%time\ndef timed(x):\n    return 2 / x  # timed",
    "import asyncio\nawait asyncio.sleep(0)\n"
    "def awaited(x):\n    return 3 / x  # awaited",
    "%time pass\nfrom __future__ import annotations\n"
    "def later(x: Unknown):\n    return 4 / x  # later",
    "def later_too(x: Unknown):\n    return 4 / x  # later too",
    "twice = lambda x: 5 / x  # first",
    "old = twice\ntwice = lambda x: 6 / x  # second",
    "class Model:\n    def fail(self, x):\n        return 7 / x  # method",
]
WRITES = """
from dbgkit.bundles.calls import write_call
bytecode = []
names = "plain timed awaited later later_too twice old"
for name in names.split():
    with zipfile.ZipFile(Path(FOLDER, name + ".zip"), "w") as archive:
        written = write_call(archive, globals()[name], (0,), {})
    bytecode += [name] if written.bytecode else []
with zipfile.ZipFile(Path(FOLDER, "method.zip"), "w") as archive:
    write_call(archive, Model().fail, (0,), {})
print("BYTECODE", bytecode)
"""


def main(folder: str) -> None:
    shell = InteractiveShell.instance()
    shell.user_ns["FOLDER"] = folder
    for cell in [*CELLS, WRITES]:
        shell.run_cell(cell, store_history=True).raise_error()


if __name__ == "__main__":
    main(*sys.argv[1:])
