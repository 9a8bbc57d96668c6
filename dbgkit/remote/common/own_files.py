"""Files that only this user can have made.

In a folder for temporary files anyone can be first: with a folder of the same name, a
link, a pipe that blocks whoever opens it, or a forged file. So nothing is opened that
could block, links are not followed, and owner and kind are checked once it is open:
between a check and the opening it could be swapped.

On Windows, where each user has a private folder for temporary files, only the kind is
checked.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import reduce
from itertools import islice
from operator import or_
from types import TracebackType
from typing import IO, Any

MOST_NAMES = 10_000  # of one folder that are looked at


def _flags(*names: str) -> int:
    """Flags for opening; those that this system does not have are left out."""
    return reduce(or_, (getattr(os, name, 0) for name in names))


_SAFE = _flags("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
_FOLDER = os.O_RDONLY | _flags("O_DIRECTORY") | _SAFE
_READ = os.O_RDONLY | _SAFE
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE
# Windows opens no folders; there the names are joined.
_OPENS_FOLDERS = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotOwn(OSError):
    """It is not what it should be, or others could have written it."""


class OwnFolder:
    """A folder that only this user can write to, held open; a context manager.

    If it belongs to someone else, is not a folder, or others can write to it, it raises
    `NotOwn`; if there is none, `FileNotFoundError`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._open: int | None = None
        if not _OPENS_FOLDERS:
            _check(path, os.lstat(path), stat.S_IFDIR)
            return
        try:
            self._open = os.open(path, _FOLDER)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refused(path, error, os.lstat(path), stat.S_IFDIR) from None
        try:
            _check(path, os.fstat(self._open), stat.S_IFDIR)
        except OSError:
            os.close(self._open)
            raise

    def __enter__(self) -> OwnFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._open is not None:
            os.close(self._open)

    def names(self, most: int = MOST_NAMES) -> list[str]:
        """Names of what is in there, in no order."""
        with os.scandir(self.path if self._open is None else self._open) as entries:
            return [entry.name for entry in islice(entries, most)]

    def look(self, name: str) -> os.stat_result:
        """Size, times and kind of what has this name; links are not followed."""
        return os.stat(follow_symlinks=False, **self._at(name))

    def create(self, name: str, head: bytes = b"") -> IO[bytes]:
        """Make a file for this user alone, to be read and written.

        What follows its head, if it has one, is appended, also once it was cut. Raises
        `FileExistsError` if the name is taken, also by a link that leads nowhere.
        """
        flags = _MAKE | (os.O_APPEND if head else 0)
        file = os.fdopen(os.open(flags=flags, mode=0o600, **self._at(name)), "w+b")
        file.write(head)
        file.flush()
        return file

    def read(self, name: str, most: int) -> bytes:
        """The first bytes of a file; raises as the folder does."""
        path = os.path.join(self.path, name)
        try:
            number = os.open(flags=_READ, **self._at(name))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refused(path, error, self.look(name), stat.S_IFREG) from None
        try:
            _check(path, os.fstat(number), stat.S_IFREG)
            return _read(number, most)
        finally:
            os.close(number)

    def rename(self, name: str, other: str) -> None:
        """Give a file another name, whatever has that now."""
        if self._open is None:
            os.replace(os.path.join(self.path, name), os.path.join(self.path, other))
        else:
            os.replace(name, other, src_dir_fd=self._open, dst_dir_fd=self._open)

    def remove(self, name: str) -> None:
        """Remove a file, or a link; no folder."""
        os.unlink(**self._at(name))

    def _at(self, name: str) -> dict[str, Any]:
        if self._open is None:
            return {"path": os.path.join(self.path, name)}
        return {"path": name, "dir_fd": self._open}


def _read(number: int, most: int) -> bytes:
    parts = []
    while most > 0 and (part := os.read(number, min(most, 1_000_000))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _check(path: str, found: os.stat_result, kind: int) -> None:
    """Raise unless something is of this kind, and only this user can write to it."""
    if why := _wrong(found, kind):
        raise NotOwn(errno.EPERM, why, path)


def _refused(path: str, error: OSError, found: os.stat_result, kind: int) -> OSError:
    why = _wrong(found, kind)
    return NotOwn(errno.EPERM, why, path) if why else error


def _wrong(found: os.stat_result, kind: int) -> str:
    there = stat.S_IFMT(found.st_mode)
    if there != kind:
        return f"it is {_KINDS.get(there, 'something else')}, not {_KINDS[kind]}"
    if not hasattr(os, "geteuid"):
        return ""
    if found.st_uid != os.geteuid():
        return f"it belongs to user {found.st_uid}, not to user {os.geteuid()}"
    if found.st_mode & _OTHERS_WRITE:
        return f"others can write to it (mode {stat.S_IMODE(found.st_mode):o})"
    return ""
