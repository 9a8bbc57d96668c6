"""Entries of a bundle's archive: written with their size and hash, read bounded."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

from dbgkit.bundles.manifest import EntryForm
from dbgkit.errors import BundleUnreadable

OpenEntry = Callable[[str], BinaryIO]


class Writer(NamedTuple):
    """Writes one entry to a file that it is given; ``size`` bytes, roughly."""

    write: Callable[[Any], None]
    size: int
    compressed: bool = True


class Hashed:
    """A file to write to that counts and hashes what goes through it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.nbytes = 0

    # pyarrow asks for these of a file.
    closed = False

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def tell(self) -> int:
        return self.nbytes

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._digest.update(view)
        self._file.write(view)
        self.nbytes += view.nbytes
        return view.nbytes

    def form(self) -> EntryForm:
        return {"nbytes": self.nbytes, "sha256": self._digest.hexdigest()}


@contextmanager
def writing(
    archive: zipfile.ZipFile,
    name: str,
    entries: dict[str, EntryForm],
    *,
    compressed: bool = True,
) -> Iterator[Hashed]:
    """Write one entry, piece by piece; what it came to is noted in ``entries``.

    Numbers hardly get smaller, and the time it takes is many times that of writing.
    """
    info = zipfile.ZipInfo(name, datetime.now().timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    info.external_attr = 0o600 << 16
    with archive.open(info, "w", force_zip64=True) as file:
        hashed = Hashed(file)
        yield hashed
    entries[name] = hashed.form()


def read_whole(name: str, open_entry: OpenEntry, limit: int) -> bytes:
    """The bytes of an entry, which are no more than a limit."""
    with open_entry(name) as file:
        blocks, left = [], limit
        while block := file.read(min(left + 1, _BLOCK)):
            left -= len(block)
            if left < 0:
                raise BundleUnreadable(
                    f"{name!r} holds more than {limit:,} bytes",
                    "raise the limit to read it",
                )
            blocks.append(block)
    return b"".join(blocks)


_BLOCK = 2**20  # bytes: what is asked for is allocated, whatever there is


def unreadable(name: str, error: BaseException | str) -> BundleUnreadable:
    """The error for an entry whose content is not of its format."""
    kind = "" if isinstance(error, str) else f"{type(error).__name__}: "
    return BundleUnreadable(f"{name!r} is damaged: {kind}{error}")
