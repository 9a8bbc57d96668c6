"""What a bundle's ``manifest.json`` says, checked as it is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, TypedDict

from dbgkit._version import __version__
from dbgkit.bundles.strict_json import read_json
from dbgkit.cluster.checks import Misfit
from dbgkit.cluster.shapes import shape_of
from dbgkit.errors import BundleUnreadable
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.common.wire import Count, Key
from dbgkit.remote.common.wire_recordings import Content, Header, OriginWords
from dbgkit.remote.common.wire_shrink import LineSource
from dbgkit.remote.common.wire_tasks import Surroundings

FORMAT = 1  # of what is written here
MANIFEST, RECORDING, CALL = "manifest.json", "recording.json", "pickles/call.pickle"
# The only names that an entry has.
ENTRY = re.compile(
    r"manifest\.json|recording\.json|pickles/call\.pickle"
    r"|sources/\d{1,6}\.txt|inputs/\d{1,6}\.(?:npy|arrow|json)",
    re.ASCII,
)
SOURCE = re.compile(r"sources/\d{1,6}\.txt", re.ASCII)

# Bytes of what is read without trust. A file that is saved keeps within them.
MOST_MANIFEST = 2 * 2**20
MOST_RECORDING = 8 * 2**20
MOST_SOURCE = 2 * 2**20  # of one file of source
MOST_SOURCES = 8 * 2**20  # of all of them
MOST_ENTRIES = 1_000


class EntryForm(TypedDict):
    nbytes: Count
    sha256: str


class SourceForm(TypedDict):
    """A file of source; some of its lines may be empty as they were not kept."""

    file: str
    entry: str


class ReadForm(LineSource):
    """Where an argument's rows were read; ``at`` is its place as text, or its name."""

    at: str


class _ArgumentForm(TypedDict):
    name: str
    type: str
    text: str
    format: Literal["npy", "arrow", "json", "pickle"]
    entry: str | None
    nbytes: Count


class ArgumentForm(_ArgumentForm, total=False):
    """An argument of the failed call; `entry` is None where the pickle has it."""

    read: ReadForm


class CallForm(TypedDict):
    """The call that failed, and what unpickling it needs."""

    function: str
    module: str
    what: Literal["step", "task"]
    arguments: list[ArgumentForm]
    bytecode: bool
    modules: list[str]
    pickle: str


class FailureForm(TypedDict):
    """`model.Failure`"""

    key: Key
    name: str
    exception_type: str
    message: str
    traceback_text: str
    worker: str | None
    when: str | None
    attempts: Count
    killed: bool
    kind: str
    notes: list[str]
    came_from: list[OriginWords]


class Manifest(TypedDict):
    """``manifest.json``"""

    format: int
    dbgkit: str
    saved: str
    python: str
    magic: str
    implementation: str
    failure: FailureForm
    environment: Surroundings | None
    sources: list[SourceForm]
    call: CallForm | None
    notes: list[str]
    entries: dict[str, EntryForm]


class RecordingFile(TypedDict):
    """``recording.json``"""

    header: Header
    content: Content | None


# From a format to the next one: what makes a manifest of it.
_UPGRADES: dict[int, Callable[[Any], Any]] = {}


def read_manifest(data: bytes) -> Manifest:
    """The manifest, in the present form.

    Raises
    ------
    ValueError
        It is none.
    BundleUnreadable
        It is of a newer format.
    """
    found: Any = read_json(data)
    given = found.get("format") if isinstance(found, dict) else None
    if type(given) is not int or given < 1:
        raise ValueError("it does not say its format")
    if given > FORMAT:
        written = str(found.get("dbgkit"))[:40]
        known = "format 1" if FORMAT == 1 else f"formats 1 to {FORMAT}"
        raise BundleUnreadable(
            f"the bundle is of format {given}, written by dbgkit {written}; dbgkit "
            f"{__version__} reads {known}",
            "install a newer dbgkit to open it",
        )
    for older in range(given, FORMAT):
        found = _UPGRADES[older](found)
    manifest: Manifest = found
    _with_keys(manifest)
    check(Manifest, manifest)
    return manifest


def check(kind: Any, value: Any) -> None:
    """Raise `ValueError` where a value is not of a type."""
    try:
        shape_of(kind)(value)
    except Misfit as misfit:
        raise ValueError(str(misfit)[:300]) from None


def _with_keys(manifest: Any) -> None:
    """Make keys of what JSON has of them."""
    failure = manifest.get("failure")
    for each in [failure, *_listed(failure, "came_from")]:
        if isinstance(each, dict):
            each["key"] = as_key(each.get("key"))


def _listed(holder: Any, name: str) -> list[Any]:
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []
