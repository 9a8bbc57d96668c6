"""``dbgkit.to_test``: from a failure to a test that fails until it is mended."""

from __future__ import annotations

import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

from dbgkit.api.asking import Asking, Async, Sync, Unpack, ask
from dbgkit.api.locate import captured_of, locate_here
from dbgkit.api.replay import read_options, silent
from dbgkit.bundles.to_test import check_path, refuse_killed, write_test
from dbgkit.errors import InputNotCopyable, NotHere, NotVerified
from dbgkit.replays.alive import refuse_taskless
from dbgkit.replays.capture import prepared_for
from dbgkit.replays.preparing import Notify, prepare
from dbgkit.replays.shrink_complete import with_complete
from dbgkit.source import naming_sources


class Testing(Asking, total=False):
    """Options of `to_test`."""

    overwrite: bool
    confidential: bool
    recompute: bool | None
    max_bytes: Any
    source: Any
    notify: Notify | None


@overload
def to_test(
    target: Any = None,
    path: str | os.PathLike[str] | None = None,
    *,
    asynchronous: Sync = None,
    **options: Unpack[Testing],
) -> Path: ...


@overload
def to_test(
    target: Any = None,
    path: str | os.PathLike[str] | None = None,
    *,
    asynchronous: Async,
    **options: Unpack[Testing],
) -> Coroutine[Any, Any, Path]: ...


def to_test(
    target: Any = None,
    path: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    confidential: bool = False,
    client: Any = None,
    recompute: bool | None = None,
    timeout: Any = "30s",
    max_bytes: Any = "1 GiB",
    source: Any = None,
    notify: Notify | None = None,
    asynchronous: bool | None = None,
) -> Path | Coroutine[Any, Any, Path]:
    """Write a test that fails as a task did, and passes once its function is mended.

    It calls your own function, not Dask's wrapper around it, with the arguments that it
    failed on: in its text where they are small, else as files in a folder beside it,
    ``test_ratio_inputs`` for ``test_ratio.py``. A function of a module is imported; one
    of a script or a notebook is copied into the test, with all that it uses. The test
    is run in a process of its own before it is written: what does not fail in the same
    way is not written. It does not need dbgkit.

    Parameters
    ----------
    target, client, timeout, asynchronous
        As for `locate`.
    path : str or path, optional
        The file to write, ``test_*.py`` or ``*_test.py``, or pytest would not find it;
        by default ``test_FUNCTION.py`` in the current folder.
    overwrite : bool
        Replace a file that is there already.
    confidential : bool
        Write what looks like a secret too.
    recompute, max_bytes, source, notify
        As for `replay`.

    Returns
    -------
    pathlib.Path
        The file. With an asynchronous client, an awaitable of it.

    Raises
    ------
    NotVerified
        The task passes, or fails otherwise, when it is run again; or the test does.
    NotHere
        The function is Dask's own, its source is not known, its arguments cannot be
        written, or look like a secret.
    WouldKill
        It killed a worker.
    CannotWrite
        The file is there already, cannot be written, or would not be found.
    NoTask, InputsTooLarge, InputLost, InputNotCopyable, RunSpecUnreadable, Declined
        As for `replay`.

    Notes
    -----
    Costs the cluster what `replay` does. The task runs here, two or three times, and
    its function once more in pytest: what they do to the outside world is done again.

    Examples
    --------
    >>> import dask, dbgkit, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> try:
    ...     dask.delayed(int)("seven").compute(scheduler="sync")
    ... except ValueError as error:
    ...     path = dbgkit.to_test(error, f"{folder}/test_seven.py")
    >>> print(path.read_text().splitlines()[-1].strip())
    int("seven")
    """
    place = check_path(path, overwrite)
    wanted = read_options(
        "task", "here", 1, recompute, timeout, max_bytes, source=source
    )
    tell = notify or silent

    def write(target: Any, found: Any) -> Path:
        captured = captured_of(target)
        prepared = None if captured is None else prepared_for(captured, wanted)
        with _without_copies(), naming_sources(wanted.sources):
            if prepared is None:
                failure = locate_here(target, found, timeout, wanted)[0]
                refuse_killed(failure)
                refuse_taskless(failure)
                prepared = prepare(failure, wanted, tell)
            return write_test(prepared, place, tell, confidential=confidential)

    def run(target: Any, found: Any) -> Path:
        return with_complete(
            target, lambda each: write(each, found), NotHere, NotVerified
        )

    return ask(target, client, timeout, run, asynchronous, source)


@contextmanager
def _without_copies() -> Iterator[None]:
    """Say of what cannot be copied what holds for a test."""
    try:
        yield
    except InputNotCopyable as error:
        error.hint = "a test has copies of the arguments: have the function make it"
        raise
