"""``dbgkit.load``: a failure out of its file."""

from __future__ import annotations

import os

from dbgkit import render
from dbgkit.bundles.opening import open_bundle
from dbgkit.model import Bundle

render.register()


def load(path: str | os.PathLike[str], *, trust: bool = False) -> Bundle:
    """Open a file that `save` has written.

    Without trust, whatever the file holds, nothing of it is run, imported or unpickled,
    and no file of this machine is shown in place of what it names: its frames, source
    and values can be looked at with `debug`.

    Parameters
    ----------
    path : str or path
    trust : bool
        Whether the file is known to come from somebody who may run code here. Then it
        is a target for `replay` and `to_test` too: its inputs are unpickled, and its
        function is run.

    Returns
    -------
    Bundle
        A target. With trust, `differences` says in what this process differs from the
        one that the task failed in.

    Raises
    ------
    BundleUnreadable
        It is no such file, is damaged, or of a newer dbgkit; or it was to be trusted,
        and holds bytecode of another version of Python.

    Examples
    --------
    >>> import dask, dbgkit, os, tempfile
    >>> try:
    ...     dask.delayed(lambda x: 1 / x)(0).compute(scheduler="sync")
    ... except ZeroDivisionError as error:
    ...     path = os.path.join(tempfile.mkdtemp(), "ratio.dbgkit")
    ...     _ = dbgkit.save(error, path)
    >>> dbgkit.load(path).failure.message
    'division by zero'
    >>> dbgkit.replay(dbgkit.load(path, trust=True)).outcome
    'same'
    """
    return open_bundle(path, trust=trust)
