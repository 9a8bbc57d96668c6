"""The task of a file that is trusted, read anew for each run."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from dbgkit.bundles.archive import Archive
from dbgkit.bundles.calls import read_call
from dbgkit.errors import BundleUnreadable

if TYPE_CHECKING:
    from dask.typing import Key

_LIMIT = 2**40  # bytes of one entry; the file's own sizes were compared


class SavedTask:
    """Unpickled, it is the file's task: in whichever process, with values of its own.

    ``digest`` is that of the file's manifest, as it was opened.
    """

    def __init__(self, path: str, digest: str, key: Key) -> None:
        self.path, self.digest, self.key = path, digest, key

    def __reduce__(self) -> Any:
        return read_task, (self.path, self.digest, self.key)


def spec_of(path: str, digest: str, key: Key) -> bytes:
    """A run spec as a pickle, as the scheduler has them."""
    return pickle.dumps(SavedTask(path, digest, key))


def read_task(path: str, digest: str, key: Key) -> Any:
    """The task that a file holds, if the file is still the one that was opened."""
    from dask._task_spec import Task

    with Archive(path) as archive:
        if archive.digest != digest:
            raise BundleUnreadable(
                f"{path!r} has changed since it was opened", "load it again"
            )
        function, args, kwargs = read_call(archive.open, _LIMIT)
    return Task(key, function, *args, **kwargs)
