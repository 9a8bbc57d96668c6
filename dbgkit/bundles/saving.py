"""From a failure to its file: what is recorded, the call, and its inputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from types import FunctionType
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.bundles.calls import WrittenCall
from dbgkit.bundles.forms import failure_form, recording_form
from dbgkit.bundles.literals import refuse_secrets
from dbgkit.bundles.manifest import CALL
from dbgkit.bundles.saved_rows import places_of, read_from
from dbgkit.bundles.saved_source import sources_of
from dbgkit.bundles.writing import BundleWriter
from dbgkit.errors import DbgkitError, Declined, InputsTooLarge, SecretInside
from dbgkit.model import Failure, Recording, recording_from_wire
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.calls import name_of_function, named_arguments
from dbgkit.remote.common.texts import safe_repr, safe_str
from dbgkit.remote.recording.raised import LONGEST_CAUSE
from dbgkit.remote.recording.steps import function_name
from dbgkit.remote.recording.take import Limits, take
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.remote.values.summarize import Budget, summarize
from dbgkit.remote.worker.environment import describe_process
from dbgkit.replays.by_name import RunTask, for_each
from dbgkit.replays.environment import ask_worker, packages_of
from dbgkit.replays.places import own_place
from dbgkit.replays.preparing import Notify, Prepared
from dbgkit.replays.step_call import StepCall, Tried, try_call
from dbgkit.source import Index
from dbgkit.source.shown import Shown, shown_text

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_recordings import Header

LIMITS = Limits(
    seconds=2.0,
    nbytes=4_000_000,
    kept=64_000,
    kept_in_all=1_000_000,
    frames=100,
    locals=100,
)
# Why nothing is saved at all; without anything else, what there is is saved.
_REFUSALS = (Declined, InputsTooLarge, SecretInside)


@dataclass
class Saving:
    """What is to be saved of a failure.

    ``error`` is one with live frames, if there is; ``prepared`` what its replay starts
    from, or ``why`` there is none. Without ``inputs`` it only shows the frames.
    """

    failure: Failure
    error: BaseException | None = None
    prepared: Prepared | None = None
    recording: Recording | None = None
    why: str = ""
    inputs: bool = True
    sources: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def save_to(path: str | os.PathLike[str], saving: Saving, notify: Notify) -> None:
    """Write a failure's file.

    Raises `CannotWrite`, and `SecretInside` where a literal of the call looks like a
    secret.
    """
    index = Index(saving.sources)
    with BundleWriter(path) as writer:
        call = None
        if saving.prepared is not None:
            call = _call(saving, saving.prepared, writer, index, notify)
        recording = _recording(saving, index)
        failure = _as_shown(saving.failure)
        if saving.why:
            saving.notes.append(f"the inputs are left out: {saving.why}")
        manifest = {
            "failure": failure_form(failure),
            "environment": _environment(saving),
            "call": call,
            "notes": saving.notes,
        }
        form = None if recording is None else recording_form(recording)
        writer.finish(
            manifest, form, {} if recording is None else sources_of(recording)
        )


# --- the call ---------------------------------------------------------------------


def _call(
    saving: Saving,
    prepared: Prepared,
    writer: BundleWriter,
    index: Index,
    notify: Notify,
) -> dict[str, Any] | None:
    """Write the call that failed; what the manifest says of it, or None."""
    forms: list[dict[str, Any]] = []
    secrets: list[str] = []

    def hand_over(call: StepCall) -> None:
        if not saving.inputs:
            return
        refuse_secrets(call.node, saving.failure.key)
        written = writer.write_call(call, index)
        forms[:] = [_call_form(call, written, saving.failure)]
        secrets[:] = written.secrets

    try:
        tried = try_call(prepared, hand_over, notify)
    except KeyboardInterrupt as interrupt:
        place = own_place(interrupt)
        at = f", at {place}" if place else ""
        key = saving.failure.key
        raise KeyboardInterrupt(f"saving {key!r} was stopped by Ctrl-C{at}") from None
    except _REFUSALS:
        raise
    except DbgkitError as error:
        writer.drop_call()
        saving.why = str(error)
        return None
    _note(saving, tried)
    if secrets:
        hint = f"{advice.option('inputs', False)} leaves the call out"
        saving.notes.append(
            "what looks like a secret is in the file as it is, with the call: "
            f"{', '.join(secrets)}; {hint}"
        )
    return forms[0] if forms else None


def _note(saving: Saving, tried: Tried) -> None:
    """Keep what a run has shown."""
    failure = saving.failure
    if failure.key is None and tried.key is not None:
        saving.failure = replace(failure, key=tried.key)
    failed = tried.outcome in ("same", "different") and not tried.lack
    if failed and tried.exception is not None:
        saving.error = tried.exception
    if tried.lack:
        saving.notes.append(
            f"run again as it was saved, it did not get as far: {tried.lack}"
        )
    elif tried.outcome == "passed":
        saving.notes.append("run again as it was saved, it passed")
    elif tried.outcome == "different":
        saving.notes.append(
            "run again as it was saved, it failed in another way: "
            f"{safe_repr(tried.exception)}"
        )
    elif not tried.outcome:
        saving.notes.append("it was not run again as it was saved")


def _call_form(
    call: StepCall, written: WrittenCall, failure: Failure
) -> dict[str, Any]:
    if isinstance(call.function, RunTask):
        named = [(str(key), value) for key, value in call.function.data.items()]
        words, home = function_name(call.function.node), "dask"
    else:
        named = named_arguments(call.function, call.args, call.kwargs)
        words = name_of_function(call.function)
        if call.function is for_each:
            words = f"{name_of_function(call.args[0])} for each item"
        home = getattr(call.function, "__module__", None) or ""
    return {
        "function": words,
        "module": str(home),
        "what": call.what,
        "pickle": CALL,
        "arguments": [
            {**_argument_form(name, value, written), **read_from(failure, value, at)}
            for (name, value), at in zip(named, places_of(call), strict=True)
        ],
        "bytecode": written.bytecode,
        "modules": list(written.modules),
    }


def _argument_form(name: str, value: Any, written: WrittenCall) -> dict[str, Any]:
    told = summarize(value, name=name, budget=Budget(secret_names=secret_names()))
    stored = written.stored.get(id(value))
    return {
        "name": name,
        "type": told["type"],
        "text": told["text"],
        "format": "pickle" if stored is None else stored.format,
        "entry": None if stored is None else stored.entry,
        "nbytes": 0 if stored is None else stored.nbytes,
    }


# --- the recording ------------------------------------------------------------------


def _recording(saving: Saving, index: Index) -> Recording | None:
    """What is known of the frames: of the run here, else what the recorder has."""
    found = saving.recording
    if saving.error is not None:
        found = _taken(saving.failure, saving.error, found)
    return None if found is None else Shown(index).recording(found)


def _taken(
    failure: Failure, error: BaseException, recorded: Recording | None
) -> Recording:
    """A recording of an exception with live frames."""
    limits = replace(LIMITS, secret_names=secret_names())
    content = take(error, limits, short=False)
    header: Header = {
        "key": failure.key,
        "exception_type": content["exception_type"],
        "message": content["message"],
        "worker": failure.worker or "",
        "pid": 0 if recorded is None else recorded.pid,
        "when": (failure.when or datetime.now(timezone.utc)).timestamp(),
        "left_out": 0,
        "gap": "",
    }
    taken = recording_from_wire(header, content, failure.name)
    inputs = () if recorded is None else recorded.inputs
    message = _message(error, taken.message, limits.secret_names)
    return replace(taken, message=message, came_from=failure.came_from, inputs=inputs)


def _message(error: BaseException, taken: str, names: Iterable[str]) -> str:
    """What an exception says of itself, by a ``__str__`` of its class.

    A worker that records runs no code of a task's; here it has just been run.
    """
    if not isinstance(type(error).__str__, FunctionType):
        return taken
    return redact_text(safe_str(error, LONGEST_CAUSE), extra=names)


def _as_shown(failure: Failure) -> Failure:
    """A failure whose traceback names the files that its code is from."""
    return replace(failure, traceback_text=shown_text(failure))


def _environment(saving: Saving) -> Mapping[str, Any]:
    """Python and packages of where it failed, else of here; variables are left out."""
    failure, prepared = saving.failure, saving.prepared
    there = None
    if prepared is not None:
        there = prepared.there[0] if prepared.there else None
        link = prepared.material.link
        if there is None and link is not None:
            there = ask_worker(link, failure)[0]
    known = there or describe_process(packages_of(failure))
    return {
        "python": known["python"],
        "packages": dict(known["packages"]),
        "directory": None,
        "environment": {},
        "configuration": {},
    }
