"""``dbgkit.save``: a failure as one file."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any, overload

from dbgkit import advice
from dbgkit.api.asking import Asking, Async, Sync, Unpack, ask
from dbgkit.api.locate import captured_of, locate_here
from dbgkit.api.recordings import recording_for, recording_of
from dbgkit.api.replay import read_options, silent
from dbgkit.api.report import check_place
from dbgkit.bundles.opening import open_bundle
from dbgkit.bundles.saving import Saving, save_to
from dbgkit.errors import (
    DbgkitError,
    Declined,
    InputsTooLarge,
    NotRecorded,
    SecretInside,
)
from dbgkit.model import Bundle, Failure, Recording
from dbgkit.replays.capture import prepared_for
from dbgkit.replays.planning import Wanted
from dbgkit.replays.preparing import Notify, Prepared, prepare
from dbgkit.replays.shrink_complete import with_complete

Path = str | os.PathLike[str]


class _Options(Asking, total=False):
    inputs: bool
    recompute: bool | None
    max_bytes: Any
    source: Any
    notify: Notify | None


@overload
def save(
    target: Any, path: Path, *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> Bundle: ...


@overload
def save(
    target: Any, path: Path, *, asynchronous: Async, **options: Unpack[_Options]
) -> Coroutine[Any, Any, Bundle]: ...


def save(
    target: Any,
    path: Path,
    *,
    client: Any = None,
    inputs: bool = True,
    recompute: bool | None = None,
    timeout: Any = "30s",
    max_bytes: Any = "1 GiB",
    source: Any = None,
    notify: Notify | None = None,
    asynchronous: bool | None = None,
) -> Bundle | Coroutine[Any, Any, Bundle]:
    """Save a failure as one file: its frames, their source, the call and its inputs.

    The task is run again here, once or twice, so that the file holds the very call that
    fails; what has killed a worker is saved without that. Where the task cannot be run
    again, what was recorded of it is saved, and the file says why it has no inputs.

    Secrets are hidden in all that is shown of a file. Inputs are data, and are written
    as they are: whoever is not to see them is not to be given the file.

    Parameters
    ----------
    target
        As for `replay`, or a `Recording`; None: the last failure.
    path : str or path
        Where to write it. A file that is there is replaced once the new one is whole.
    inputs : bool
        False: leave out the call and its inputs. The file can be looked at, and not
        be run.
    client, recompute, timeout, max_bytes, source, notify, asynchronous
        As for `replay`.

    Returns
    -------
    Bundle
        As `load` reads the file without trust. With an asynchronous client, an
        awaitable.

    Raises
    ------
    SecretInside
        A literal of the call looks like a secret; nothing is written.
    CannotWrite
        The file cannot be written there.
    InputsTooLarge, Declined
        As for `replay`; nothing is written.
    NoFailure, NotFailed, UnknownKey, Cancelled, SchedulerGone, WaitTimedOut
        As for `locate`.

    Notes
    -----
    Costs the cluster what a replay in this process costs.

    Examples
    --------
    >>> import dask, dbgkit, os, tempfile
    >>> try:
    ...     dask.delayed(lambda x: 1 / x)(0).compute(scheduler="sync")
    ... except ZeroDivisionError as error:
    ...     path = os.path.join(tempfile.mkdtemp(), "ratio.dbgkit")
    ...     saved = dbgkit.save(error, path)
    >>> saved.failure.exception_type, saved.inputs[0].name, saved.inputs[0].text
    ('ZeroDivisionError', 'x', '0')
    """
    check_place(path)
    wanted = read_options("task", None, 1, recompute, timeout, max_bytes, source=source)
    tell = notify or silent

    def run(target: Any, found: Any) -> Bundle:
        def keep(target: Any) -> Bundle:
            saving = _saving(target, found, wanted, tell)
            if not inputs:
                saving.inputs = False
            save_to(path, saving, tell)
            return open_bundle(path)

        return with_complete(target, keep, SecretInside)

    return ask(target, client, timeout, run, asynchronous, source)


def _saving(target: Any, client: Any, wanted: Wanted, notify: Notify) -> Saving:
    """What there is of a target to be saved."""
    if isinstance(target, Recording):
        failure = _of_recording(target)
        return Saving(failure, recording=target, why="a recording has none")
    failure = locate_here(target, client, wanted.timeout, wanted)[0]
    recording = _recorded(target, failure, client, wanted)
    saving = Saving(failure, recording=recording, sources=wanted.sources)
    # What comes from another process has lost its local variables.
    live = failure.found_in in ("local", "meta", "exception")
    if live and (failure.kind != "remote" or recording is None):
        saving.error = failure.exception
    if failure.found_in in ("meta", "exception"):
        saving.why = (*failure.notes, "no task raised it")[0]
        return saving
    try:
        saving.prepared = _prepared(target, failure, wanted, notify)
    except (Declined, InputsTooLarge) as error:
        if isinstance(error, InputsTooLarge):
            error.hint += f", or {advice.option('inputs', False)} leaves them out"
        raise
    except DbgkitError as error:
        saving.why = error.message
    return saving


def _recorded(
    target: Any, failure: Failure, client: Any, wanted: Wanted
) -> Recording | None:
    """The recording of a failure; of a forgotten task, that of the same exception."""
    if isinstance(target, Bundle):
        return target.recording
    if failure.kind != "remote":
        return recording_of(failure, client, wanted)
    try:
        return recording_for(target, client, wanted)
    except NotRecorded:
        return None


def _prepared(
    target: Any, failure: Failure, wanted: Wanted, notify: Notify
) -> Prepared:
    captured = captured_of(target)
    found = None if captured is None else prepared_for(captured, wanted)
    return prepare(failure, wanted, notify) if found is None else found


def _of_recording(recording: Recording) -> Failure:
    """The failure that a recording is of."""
    return Failure(
        key=recording.key,
        name=recording.name,
        exception_type=recording.exception_type,
        message=recording.message,
        traceback_text=recording.traceback_text,
        worker=recording.worker,
        when=recording.when,
        found_in="history",
        came_from=recording.came_from,
    )
