"""Opens each bundle of a folder, looks at all of it, and tells what that took.

Run in a process of its own: ``opening_child.py FOLDER [ipython]``, from a folder with
files that must not be read. An audit hook notes what Python opens, runs and imports.
"""

from __future__ import annotations

import io
import json
import linecache
import resource
import sys
import time
import traceback
import types
from contextlib import redirect_stdout, suppress
from pathlib import Path

from rich.console import Console
from rich.traceback import Traceback

import dbgkit  # noqa: F401
from dbgkit import render
from dbgkit.bundles.opening import open_bundle
from dbgkit.debugger import as_exception, enter
from dbgkit.errors import BundleUnreadable

COMMANDS = [
    "where",
    "l",
    "l 1, 20",
    "ll",
    "args",
    "p locals()",
    "pp locals()",
    "x",
    "print(x)",
    "p dir()",
    "whatis x",
    "source x",
    "up",
    "ll",
    "l",
    "down",
    "exceptions",
    "exceptions 0",
    "up 500",
    "l",
    "q",
]
render.register()

# What Python tells of itself, and what has nothing to do with a file's content.
_EVENTS = ("open", "exec", "import", "pickle.find_class", "os.system", "os.exec")
_EVENTS += ("subprocess.Popen", "os.listdir", "os.scandir", "ctypes.dlopen")
noted = None


def note(event, args):
    if noted is not None and event in _EVENTS and len(noted) < 100:
        noted.append([event, _described(args[0])])


def _described(value):
    if isinstance(value, types.CodeType):
        name = ascii(value.co_filename)[1:-1]
        return f"{value.co_names} in {name[-150:]}"
    return ascii(value)[:200]


def look(path):
    """All that is shown of a bundle, as one text."""
    bundle = open_bundle(path)
    shown = []
    for each in (bundle, bundle.failure, bundle.recording):
        if each is None:
            continue
        shown += [repr(each), str(each), json.dumps(each.to_json())]
        shown.append(each._repr_mimebundle_()["text/html"])
    if bundle.recording is not None:
        error = as_exception(bundle.recording)
        shown.append(prompt(error, render.recording_header(bundle.recording)))
        shown += traceback.format_exception(error)
        if len(str(error)) < 1_000:  # rich takes seconds to colour a long one
            shown.append(by_rich(error))
    return shown, bundle


def by_rich(error):
    console = Console(file=io.StringIO(), width=100)
    console.print(Traceback.from_exception(type(error), error, error.__traceback__))
    return console.file.getvalue()


def prompt(error, header):
    """What pdb prints, with each command."""
    stdin, output = sys.stdin, io.StringIO()
    sys.stdin = io.StringIO("\n".join(COMMANDS) + "\n")
    try:
        with redirect_stdout(output):
            enter(error, header=header)
    finally:
        sys.stdin = stdin
    return output.getvalue()


def told(path):
    """What became of one file, and what it took."""
    global noted
    noted = []
    opening = time.process_time()
    with suppress(BundleUnreadable):
        open_bundle(path)
    opening = time.process_time() - opening
    noted = []
    start, before = time.process_time(), _most_memory()
    found = {"opening": opening, "error": "", "shown": [], "whole": []}
    try:
        found["shown"], bundle = look(path)
    except BundleUnreadable as error:
        found["error"] = str(error)
    else:
        values = bundle.recording.values if bundle.recording else {}
        found["whole"] = sorted(name for each in values.values() for name in each)
    found["seconds"] = time.process_time() - start
    found["kilobytes"] = _most_memory() - before
    found["events"], noted = noted, None
    return found


def _most_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_ipython():
    """From here on, prompts are those of IPython's debugger."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance(colors="Linux")
    shell.history_manager.enabled = False
    COMMANDS[-1:] = ["psource x", "pinfo x", "pfile x", "context 3", "q"]


def main(folder, shell=""):
    if shell:
        in_ipython()
    paths = sorted(Path(folder).iterdir())
    look(Path(folder) / "a_good_one")  # what is imported late is there
    linecache.clearcache()
    sys.addaudithook(note)
    json.dump({path.name: told(path) for path in paths}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
