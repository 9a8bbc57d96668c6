"""A bundle's file as it is written: in a file beside it, which then takes its place."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dbgkit._version import __version__
from dbgkit.bundles.calls import WrittenCall, write_call
from dbgkit.bundles.manifest import FORMAT, MANIFEST, RECORDING
from dbgkit.errors import CannotWrite
from dbgkit.replays.step_call import StepCall
from dbgkit.source import Index

if TYPE_CHECKING:
    from types import TracebackType

_LEVEL = 6  # of the compression of what is small


class BundleWriter:
    """Writes a file; until `finish`, the path is left as it is.

    Raises `CannotWrite` where it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(os.fspath(path))  # a link stays one
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise CannotWrite(f"cannot write {self.path!r}: it is no regular file")
        folder, name = os.path.split(self.path)
        try:
            handle, self._part = tempfile.mkstemp(".part", f".{name}-", folder)
        except OSError as error:
            raise self._refused(error) from error
        os.close(handle)
        self._begin()

    def _begin(self) -> None:
        """Begin anew."""
        self._zip = zipfile.ZipFile(
            self._part, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL
        )
        self._entries: dict[str, Any] = {}

    def write_call(self, call: StepCall, index: Index) -> WrittenCall:
        """Write a call, in place of one that was written before."""
        if self._entries:
            self._zip.close()
            self._begin()
        try:
            written = write_call(
                self._zip, call.function, call.args, call.kwargs, index
            )
        except OSError as error:
            raise self._refused(error) from error
        self._entries.update(written.entries)
        return written

    def drop_call(self) -> None:
        """Leave out what was written of a call."""
        self._zip.close()
        self._begin()

    def finish(
        self,
        manifest: Mapping[str, Any],
        recording: Mapping[str, Any] | None,
        sources: Mapping[str, str],
    ) -> None:
        """Write the rest, and have the file take its place."""
        try:
            if recording is not None:
                self._text(RECORDING, json.dumps(recording))
            listed = []
            for number, (file, text) in enumerate(sources.items()):
                entry = f"sources/{number}.txt"
                self._text(entry, text)
                listed.append({"file": file, "entry": entry})
            whole = {
                **_head(),
                **manifest,
                "sources": listed,
                "entries": self._entries,
            }
            self._zip.writestr(MANIFEST, json.dumps(whole, indent=1))
            self._zip.close()
            os.chmod(self._part, 0o666 & ~_umask())
            os.replace(self._part, self.path)
        except OSError as error:
            raise self._refused(error) from error

    def _text(self, entry: str, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self._zip.writestr(entry, data)
        digest = hashlib.sha256(data).hexdigest()
        self._entries[entry] = {"nbytes": len(data), "sha256": digest}

    def _refused(self, error: OSError) -> CannotWrite:
        return CannotWrite(f"cannot write {self.path!r}: {error.strerror or error}")

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with suppress(OSError, ValueError):
            self._zip.close()
        with suppress(OSError):
            os.remove(self._part)


def _head() -> dict[str, Any]:
    return {
        "format": FORMAT,
        "dbgkit": __version__,
        "saved": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": "{}.{}.{}".format(*sys.version_info),
        "implementation": sys.implementation.name,
        "magic": importlib.util.MAGIC_NUMBER.hex(),
    }


def _umask() -> int:
    """What new files are not to be permitted; Python can only set it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
