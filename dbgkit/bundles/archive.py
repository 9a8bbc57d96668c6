"""A bundle's zip, opened for reading: nobody knows who made it.

Nothing is written to disk, and no more is read than was asked for: sizes that the file
declares are compared, and not relied on.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import BinaryIO, cast

from dbgkit.bundles.manifest import (
    ENTRY,
    MANIFEST,
    MOST_ENTRIES,
    MOST_MANIFEST,
    Manifest,
    read_manifest,
)
from dbgkit.errors import BundleUnreadable

_HINT = "name a file that `dbgkit.save` has written"
_DAMAGED = "get another copy of it: it was cut, or changed since it was saved"
_AT_ONCE = 2**20  # bytes; the zip's table of contents is shorter, too
_LOCAL_HEADER = 30  # bytes before an entry's name
_ENCRYPTED = 0x1 | 0x40  # flags of an entry
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises for what is no zip, or none that it reads.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)


class Archive:
    """A bundle's zip, opened for reading; a context manager.

    Raises
    ------
    BundleUnreadable
        It is no bundle, is damaged, or is of a newer format.
    """

    manifest: Manifest
    digest: str  # of the manifest, which has those of all else

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.path.expanduser(os.fsdecode(path)))
        self._file = _open_file(self.path)
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        try:
            self._zip = zipfile.ZipFile(cast(BinaryIO, self._file))
            self._entries = _entries(self._zip)
        except _ZIP_ERRORS as error:
            raise self.unreadable(_why_no_zip(self._file, error), _HINT) from None
        if MANIFEST not in self._entries:
            raise self.unreadable(f"it is a zip file without {MANIFEST}", _HINT)
        try:
            data = b"".join(self._chunks(MANIFEST, MOST_MANIFEST))
            self.manifest = read_manifest(data)
            self.digest = hashlib.sha256(data).hexdigest()
        except _ZIP_ERRORS as error:
            why = f"its {MANIFEST} cannot be read: {error}"
            raise self.unreadable(why, _DAMAGED) from None
        self._compare()

    def _compare(self) -> None:
        """Compare the entries with those that the manifest lists."""
        odd = next((name for name in self._entries if not ENTRY.fullmatch(name)), None)
        if odd is not None:
            raise self.unreadable(f"it has an entry {odd[:80]!r}", _HINT)
        listed = self.manifest["entries"]
        differ = listed.keys() ^ (self._entries.keys() - {MANIFEST})
        differ |= {
            name
            for name in listed.keys() - differ
            if listed[name]["nbytes"] != self._entries[name].file_size
        }
        if differ:
            raise self.unreadable(
                f"{min(differ)[:80]!r} is not as its {MANIFEST} says", _DAMAGED
            )

    def unreadable(self, why: str, hint: str = _DAMAGED) -> BundleUnreadable:
        """The error to raise, about this file."""
        return BundleUnreadable(f"{self.path!r} cannot be opened: {why}", hint)

    def read(self, name: str, most: int) -> bytes:
        """An entry of at most so many bytes, compared with its hash."""
        chunks = []
        with self._reading(name):
            digest = hashlib.sha256()
            for chunk in self._chunks(name, most):
                digest.update(chunk)
                chunks.append(chunk)
            self._check(name, digest.hexdigest(), sum(map(len, chunks)))
        return b"".join(chunks)

    def open(self, name: str) -> BinaryIO:
        """An entry, to be read to its end, where its hash is compared.

        With trust only: it is bounded by what the file declares.
        """
        with self._reading(name):
            return cast(BinaryIO, io.BufferedReader(_Checked(self, name), _AT_ONCE))

    def verify(self) -> None:
        """Compare each entry with its hash; before anything is unpickled."""
        for name in self.manifest["entries"]:
            with self.open(name) as stream:
                while stream.read(_AT_ONCE):
                    pass

    def _check(self, name: str, digest: str, nbytes: int) -> None:
        wanted = self.manifest["entries"][name]
        if (nbytes, digest) != (wanted["nbytes"], wanted["sha256"]):
            raise self.unreadable(f"{name} is not as its {MANIFEST} says")

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        if name not in self.manifest["entries"]:
            raise self.unreadable(f"it has no entry {name[:80]!r}")
        try:
            yield
        except _ZIP_ERRORS as error:
            raise self.unreadable(f"{name} cannot be read: {error}") from None

    def _chunks(self, name: str, most: int) -> Iterator[bytes]:
        """An entry's bytes, as they are in the file; `ValueError` if there are more."""
        info = self._entries[name]
        # Deflated data may be longer than what it says, by little.
        if info.file_size > most or info.compress_size > most + most // 100 + 1_000:
            raise ValueError(f"it is larger than {most:,} bytes")
        left = most
        with self._zip.open(info) as stream:
            while chunk := stream.read(min(left + 1, _AT_ONCE)):
                left -= len(chunk)
                if left < 0:
                    raise ValueError(f"it is larger than {most:,} bytes")
                yield chunk

    def close(self) -> None:
        self._zip.close()
        self._file.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


class _Guarded(io.FileIO):
    """A file of which little is read at once, however much somebody asks for."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = -1 if size is None else size
        if wanted > _AT_ONCE + 1:
            raise zipfile.BadZipFile("its table of contents is too large")
        data = super().read(wanted if wanted >= 0 else _AT_ONCE + 1) or b""
        if wanted < 0 and len(data) > _AT_ONCE:
            raise zipfile.BadZipFile("its end is too far away")
        return data


class _Checked(io.RawIOBase):
    """An entry's bytes; at their end they are compared with its hash."""

    def __init__(self, archive: Archive, name: str) -> None:
        self._archive, self._name = archive, name
        nbytes = archive.manifest["entries"][name]["nbytes"]
        self._chunks = archive._chunks(name, nbytes)
        self._left = memoryview(b"")
        self._digest, self._nbytes = hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if not self._left:
            with self._archive._reading(self._name):
                self._left = memoryview(next(self._chunks, b""))
                self._digest.update(self._left)
                self._nbytes += len(self._left)
                if not self._left:
                    digest = self._digest.hexdigest()
                    self._archive._check(self._name, digest, self._nbytes)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _open_file(path: str) -> _Guarded:
    """A regular file, opened: a pipe would wait for who writes to it."""
    try:
        _check_regular(path, os.stat(path))
        flags = os.O_RDONLY
        for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
            flags |= getattr(os, name, 0)
        file = _Guarded(os.open(path, flags), closefd=True)
    except (OSError, ValueError) as error:  # a NUL in its name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BundleUnreadable(f"{path!r} cannot be opened: {why}", _HINT) from None
    try:
        _check_regular(path, os.fstat(file.fileno()))  # still the same
    except BundleUnreadable:
        file.close()
        raise
    return file


def _check_regular(path: str, status: os.stat_result) -> None:
    what = "it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no file"
    if not stat.S_ISREG(status.st_mode):
        raise BundleUnreadable(f"{path!r} cannot be opened: {what}", _HINT)


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Entries by name, if they are plain and apart from each other."""
    infos = archive.infolist()
    if len(infos) > MOST_ENTRIES:
        raise zipfile.BadZipFile(f"it has {len(infos):,} entries")
    entries = {info.filename: info for info in infos}
    if len(entries) != len(infos):
        raise zipfile.BadZipFile("it has an entry twice")
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise zipfile.BadZipFile("its entries overlap")
        length = _LOCAL_HEADER + len(info.filename) + info.compress_size
        end = info.header_offset + length
        # ``orig_filename`` (zipfile.py): a name with a NUL is cut there.
        if info.filename != info.orig_filename:
            raise zipfile.BadZipFile("the name of an entry is none")
        if info.flag_bits & _ENCRYPTED:
            raise zipfile.BadZipFile("it is encrypted")
        if info.compress_type not in _METHODS:
            raise zipfile.BadZipFile("it is compressed in another way than ours")
    if end > _end_of_entries(archive):
        raise zipfile.BadZipFile("its entries overlap")
    return entries


def _end_of_entries(archive: zipfile.ZipFile) -> int:
    """Where a zip's table of contents begins: ``start_dir`` (zipfile.py)."""
    return archive.start_dir


def _why_no_zip(file: _Guarded, error: Exception) -> str:
    """What it is instead of a zip, as far as its first bytes say."""
    start = b""
    with suppress(OSError, zipfile.BadZipFile):
        file.seek(0)
        start = file.read(4)
    if not start:
        return "it is empty"
    if start.startswith(b"\x1f\x8b"):
        return "it is no zip but gzip, as dumps of clusters are, which view= reads"
    if not start.startswith(b"PK"):
        return "it is no zip"
    return f"it is a damaged zip: {error}"
