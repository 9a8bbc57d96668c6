"""Files in which children of process pools leave their recordings.

Each has a name that cannot be guessed, in a folder that only this user can access, and
begins with that name: files of others are not taken.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
import threading
from contextlib import suppress

from ..common.own_files import NotOwn, OwnFolder
from ..common.own_thread import TooSlow, apart, in_time

IN_TIME = 0.5  # seconds for which a worker's event loop waits for one file, at most
REMOVING_LIMIT = 2.0  # seconds
_NAME = 32  # characters
_making = threading.Lock()  # not one of each object's: a plugin is pickled


class PoolFiles:
    """The files of one worker, and their folder, which is made with the first one."""

    def __init__(self) -> None:
        self.folder = ""
        self._slow = False

    def new(self, place: str) -> str:
        """Path for a child to leave something at; raises `OSError`.

        ``place`` is the worker's own folder: what is in there goes with it, also where
        the worker is killed.
        """
        self._check()
        with _making:
            if not self.folder:
                self.folder = tempfile.mkdtemp(prefix="dbgkit-recorder-", dir=place)
        return os.path.join(self.folder, secrets.token_hex(_NAME // 2))

    def take(self, path: str, most: int) -> bytes:
        """What a child has left, of at most so many bytes, which is removed.

        The caller waits for it; after a file system did not answer once, no longer.
        Raises `FileNotFoundError` if there is nothing, another `OSError` if it cannot
        be read in time, or is not what the child has left.
        """
        self._check()
        try:
            return in_time(_take, path, most, limit=IN_TIME)
        except TooSlow:
            self._slow = True
            raise

    def _check(self) -> None:
        if self._slow:
            raise TooSlow(errno.ETIMEDOUT, "it took too long before", self.folder)

    def discard(self, path: str) -> None:
        """Remove what a child may have left, later and in another thread."""
        threading.Thread(
            target=_discard, args=(path,), name="dbgkit files", daemon=True
        ).start()

    def drop(self) -> None:
        """Remove all, here and now."""
        with _making:
            folder, self.folder = self.folder, ""
        if folder:
            shutil.rmtree(folder, ignore_errors=True)

    async def close(self) -> None:
        """Remove all."""
        if self.folder:
            with suppress(OSError):
                await apart(self.drop, limit=REMOVING_LIMIT)


def leave(path: str, content: bytes) -> None:
    """Leave data for the process that chose this path."""
    parent, name = os.path.split(path)
    with OwnFolder(parent) as folder:
        with folder.create(f"{name}.part", name.encode()) as file:
            file.write(content)
        folder.rename(f"{name}.part", name)


def _take(path: str, most: int) -> bytes:
    parent, name = os.path.split(path)
    with OwnFolder(parent) as folder:
        found = folder.read(name, _NAME + most + 1)
        folder.remove(name)
    if found[:_NAME] != name.encode() or len(found) > _NAME + most:
        raise NotOwn(errno.EPERM, "it is not what was left there", path)
    return found[_NAME:]


def _discard(path: str) -> None:
    parent, name = os.path.split(path)
    with suppress(OSError), OwnFolder(parent) as folder:
        for each in (f"{name}.part", name):
            with suppress(OSError):
                folder.remove(each)
