"""Functions as of cells, scripts and modules that travel by value."""

from __future__ import annotations

import linecache
from contextlib import contextmanager
from typing import Any

import cloudpickle

from dbgkit.remote.common.codes import DYNAMIC


def _file_of_travelled() -> Any:
    """What code that was pickled by value calls its file."""
    space = {"__name__": "__main__"}
    exec(compile("def f(): pass", "cell.py", "exec"), space)
    return cloudpickle.loads(cloudpickle.dumps(space["f"])).__code__.co_filename


# Whether code that travels by value says its file, as it did before 3.1.3.
WITH_PATHS = _file_of_travelled() != DYNAMIC
COUNT = iter(range(100_000))


@contextmanager
def cells(*texts: Any, first: Any = 1) -> Any:
    """Run texts as IPython would run cells; gives a namespace for each of them.

    Each is told by its name and text in ``linecache`` alone, and has a namespace of its
    own, so that none sees what another one has defined.
    """
    names, spaces = [], []
    for number, text in enumerate(texts, first):
        name = f"<ipython-input-{number}-{next(COUNT):012x}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        space = {"__name__": "__main__"}
        exec(compile(text, name, "exec"), space)
        names.append(name)
        spaces.append(space)
    try:
        yield spaces
    finally:
        for name in names:
            linecache.cache.pop(name, None)
