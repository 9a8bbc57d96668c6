"""Files, folders and notebooks that the user names as source, for one call or all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from dbgkit.errors import WrongTarget

_HINT = "name a .py file, a notebook (.ipynb), or a folder of them"
_of_call: ContextVar[tuple[str, ...]] = ContextVar("dbgkit_sources", default=())
_of_process: list[str] = []


def read_sources(source: Any) -> tuple[str, ...]:
    """The value of ``source=`` as absolute paths; nothing is read yet.

    Raises
    ------
    WrongTarget
        The file does not exist, or is neither ``.py`` nor ``.ipynb``.
    """
    if source is None:
        return ()
    named = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    paths = []
    for each in named:
        path = os.path.expanduser(os.fspath(each))
        with suppress(FileNotFoundError):  # the working directory was removed
            path = os.path.abspath(path)
        if not os.path.exists(path):
            raise WrongTarget(f"no source at {path!r}: the file does not exist", _HINT)
        if not (os.path.isdir(path) or path.endswith((".py", ".pyw", ".ipynb"))):
            raise WrongTarget(
                f"{path!r} is not a source: neither .py nor .ipynb", _HINT
            )
        paths.append(path)
    return tuple(paths)


def named_sources() -> tuple[str, ...]:
    """What is named now, for this call and for the process."""
    return tuple(dict.fromkeys([*_of_call.get(), *_of_process]))


@contextmanager
def naming_sources(paths: Iterable[str]) -> Iterator[None]:
    """Name sources for calls inside the block."""
    token = _of_call.set((*paths, *_of_call.get()))
    try:
        yield
    finally:
        _of_call.reset(token)


def name_for_process(paths: Iterable[str]) -> None:
    """Name sources for the whole process, which is a command of ours."""
    _of_process[:] = paths
