"""A bundle's file opened: with trust, or, as nobody knows who made it, without.

Without trust its JSON and its sources are read, and nothing else: nothing is unpickled,
run or imported (but numpy and pandas, of which recorded values are made), and nothing
is written to disk.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from dbgkit import advice
from dbgkit._version import __version__
from dbgkit.bundles.archive import Archive
from dbgkit.bundles.manifest import (
    MOST_RECORDING,
    MOST_SOURCE,
    MOST_SOURCES,
    RECORDING,
    SOURCE,
    ArgumentForm,
    FailureForm,
    Manifest,
    RecordingFile,
    check,
)
from dbgkit.bundles.saved_task import spec_of
from dbgkit.bundles.strict_json import read_json
from dbgkit.errors import BundleUnreadable, DbgkitError, NotHere, NotTrusted
from dbgkit.model import (
    MALFORMED,
    Bundle,
    BundledInput,
    Difference,
    Evidence,
    Failure,
    Recording,
    recording_from_wire,
)
from dbgkit.model.bounded import bounded_name, bounded_text
from dbgkit.model.origin import Origin
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.common.sentences import several
from dbgkit.remote.common.texts import visible
from dbgkit.remote.common.wire_tasks import Surroundings
from dbgkit.remote.recording.packing import FORMAT
from dbgkit.remote.worker.environment import describe_process
from dbgkit.replays.environment import compare_surroundings

_MOST_SHOWN = 1_000  # notes, arguments


def open_bundle(path: str | os.PathLike[str], *, trust: bool = False) -> Bundle:
    """Open a failure that was saved as a file.

    Parameters
    ----------
    path : path
    trust : bool
        Whether who made the file is known: its call may be unpickled, which runs
        whatever the file says.

    Raises
    ------
    BundleUnreadable
        It is no bundle, is damaged, or is of a newer format; with trust also: its call
        is of another Python, whose bytecode this one does not understand.
    """
    with Archive(path) as archive:
        if trust:
            archive.verify()
            _check_bytecode(archive)
        try:
            return _bundle(archive, trust)
        except MALFORMED as error:
            why = f"it holds what no bundle holds: {error}"
            raise archive.unreadable(why[:400]) from None


def _bundle(archive: Archive, trust: bool) -> Bundle:
    # What is shown has no characters that a terminal obeys; what is compared has all.
    text: Callable[[str], str] = str if trust else visible
    manifest: Manifest = _with_texts(archive.manifest, text)
    sources = _sources(archive, text)
    call = manifest["call"]
    arguments = [] if call is None else call["arguments"]
    failure = _failure(manifest["failure"], _evidence(archive, trust))
    return Bundle(
        path=archive.path,
        failure=replace(failure, notes=(*failure.notes, *_compared(archive, trust))),
        recording=_recording(archive, text, sources),
        trusted=trust,
        saved=_moment(manifest["saved"]),
        dbgkit=bounded_name(manifest["dbgkit"]),
        python=bounded_name(manifest["python"]),
        function="" if call is None else bounded_name(call["function"]),
        inputs=tuple(map(_input, arguments[:_MOST_SHOWN])),
        sources=sources,
        differences=_differences(archive) if trust else (),
        notes=tuple(manifest["notes"][:_MOST_SHOWN]),
    )


def _input(form: ArgumentForm) -> BundledInput:
    return BundledInput(
        bounded_name(form["name"]),
        bounded_name(form["type"]),
        bounded_text(form["text"]),
        form["format"],
        form["nbytes"],
    )


def _failure(form: FailureForm, evidence: Evidence) -> Failure:
    worker, when = form["worker"], form["when"]
    return Failure(
        key=form["key"],
        name=bounded_name(form["name"]),
        exception_type=bounded_name(form["exception_type"]),
        message=bounded_text(form["message"]),
        traceback_text=bounded_text(form["traceback_text"]),
        worker=None if worker is None else bounded_name(worker),
        when=None if when is None else _moment(when),
        attempts=form["attempts"],
        found_in="file",
        killed=form["killed"],
        kind=form["kind"],
        notes=tuple(form["notes"][:_MOST_SHOWN]),
        came_from=tuple(map(Origin.from_wire, form["came_from"][:_MOST_SHOWN])),
        evidence=evidence,
    )


def _evidence(archive: Archive, trust: bool) -> Evidence:
    """What a replay starts from: nothing, without trust."""
    failure, call = archive.manifest["failure"], archive.manifest["call"]
    key = failure["key"]
    if call is None:
        refused: DbgkitError = NotHere(
            f"{archive.path!r} was saved without its inputs, so that there is nothing "
            "to run again",
            f"{advice.call('debug')} enters what was recorded",
            key=key,
        )
        return Evidence(refusal=refused)
    if not trust:
        refused = NotTrusted(
            f"{archive.path!r} was opened without trust, so nothing of it is run",
            f"if you know who made it, open it with {advice.option('trust', True)}",
            key=key,
        )
        return Evidence(refusal=refused)
    read = [each["read"] for each in call["arguments"] if "read" in each]
    return Evidence(
        specs={key: spec_of(archive.path, archive.digest, key)},
        read={_place(each["at"]): each for each in read},
    )


def _place(at: str) -> int | str:
    return int(at) if at.isascii() and at.isdecimal() and len(at) < 5 else at


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return found


def _sources(archive: Archive, text: Callable[[str], str]) -> dict[str, str]:
    """Texts of the files of source, by the names that the recording's frames have."""
    found, left = {}, MOST_SOURCES
    for each in archive.manifest["sources"]:
        if not SOURCE.fullmatch(each["entry"]):
            raise ValueError(f"a source at {each['entry']!r:.80}")
        data = archive.read(each["entry"], min(left, MOST_SOURCE))
        left -= len(data)
        found[bounded_name(each["file"])] = text(data.decode("utf-8"))
    return found


# -- the recording --------------------------------------------------------------


def _recording(
    archive: Archive, text: Callable[[str], str], sources: dict[str, str]
) -> Recording | None:
    if RECORDING not in archive.manifest["entries"]:
        return None
    form = read_json(archive.read(RECORDING, MOST_RECORDING))
    if not isinstance(form, dict):
        raise ValueError("no recording")
    header: Any = form.get("header")
    content: Any = form.get("content")
    if isinstance(header, dict):
        header["key"] = as_key(header.get("key"))
    if isinstance(content, dict):
        _check_format(archive, content)
        form["content"] = content = _as_sent(content, text)
    check(RecordingFile, form)
    name = archive.manifest["failure"]["name"]
    made = recording_from_wire(header, content, text(name))
    return replace(made, foreign=True, sources=sources)


def _check_format(archive: Archive, content: dict[str, Any]) -> None:
    """Refuse the content of a recorder that is newer than ours."""
    given = content.get("format")
    if type(given) is int and given > FORMAT:
        written = archive.manifest["dbgkit"][:40]
        raise archive.unreadable(
            f"its recording is of format {given}, written by dbgkit {written}; dbgkit "
            f"{__version__} reads formats up to {FORMAT}",
            "install a newer dbgkit to open it",
        )


def _as_sent(content: dict[str, Any], text: Callable[[str], str]) -> dict[str, Any]:
    """A recording's content as it comes from a cluster, its texts ready to be shown."""
    kept = content.pop("kept", [])
    causes = content.pop("causes", [])
    found: dict[str, Any] = _with_texts(content, text)
    found["kept"] = kept  # bytes among them are texts: `model.kept` reads both
    found["causes"] = [_as_sent_cause(cause, text) for cause in causes]
    return found


def _as_sent_cause(cause: Any, text: Callable[[str], str]) -> dict[str, Any]:
    kept = cause.pop("kept", [])
    return {**_with_texts(cause, text), "kept": kept}


def _with_texts(value: Any, text: Callable[[str], str]) -> Any:
    """The same with other texts; names of fields stay."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_with_texts(each, text) for each in value]
    if isinstance(value, dict):
        return {name: _with_texts(each, text) for name, each in value.items()}
    return value


# -- with trust -----------------------------------------------------------------


def _check_bytecode(archive: Archive) -> None:
    """Refuse bytecode of another Python: it crashes, or computes something else."""
    manifest = archive.manifest
    call = manifest["call"]
    if call is None or not call["bytecode"]:
        return
    own = importlib.util.MAGIC_NUMBER.hex()
    here = sys.implementation.name
    if (manifest["magic"], manifest["implementation"]) == (own, here):
        return
    minor = ".".join(manifest["python"].split(".")[:2])
    raise BundleUnreadable(
        f"{archive.path!r} holds bytecode of {manifest['implementation']} "
        f"{manifest['python']}, which {here} {sys.version.split()[0]} does not run",
        f"open it with Python {minor}, or without trust to look at its frames",
    )


def _compared(archive: Archive, trust: bool) -> list[str]:
    """What to know before it is run: in what the two environments differ."""
    differ = _differences(archive) if trust else ()
    if not differ:
        return []
    here, there = (
        several(f"{_named(each)} {version or 'missing'}" for each, version in versions)
        for versions in (
            [(each, each.here) for each in differ],
            [(each, each.there) for each in differ],
        )
    )
    return [f"here: {here}; where it failed: {there}"]


def _named(difference: Difference) -> str:
    return "Python" if difference.kind == "python" else difference.name


def _differences(archive: Archive) -> tuple[Difference, ...]:
    there = archive.manifest["environment"]
    if there is None:
        return ()
    here = describe_process(tuple(there["packages"]))
    # Of the rest nothing is written: variables and settings are not for others to see.
    alike: Surroundings = {**there, "python": here["python"]}
    alike["packages"] = here["packages"]
    return tuple(compare_surroundings(alike, there))
