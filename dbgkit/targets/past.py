"""Failures that the scheduler has forgotten: what is still known of them.

The scheduler's history has the last 100; the recorder, if it was on, and the workers'
logs have others. None has what a replay needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.cluster.clients import is_open
from dbgkit.cluster.link import Link
from dbgkit.cluster.recordings import held_recordings
from dbgkit.cluster.workers import logs_of
from dbgkit.errors import SchedulerGone, WaitTimedOut
from dbgkit.model import Evidence, Failure, Recording
from dbgkit.remote.common.log_records import logged_failure
from dbgkit.remote.common.parsing import literal
from dbgkit.remote.scheduler.failed import forgotten_fact
from dbgkit.targets.failure import failure_from_fact
from dbgkit.targets.history_entry import entry_for
from dbgkit.targets.led import CARRIED, FORGOTTEN
from dbgkit.targets.naming import recorded_name

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import HistoryEntry, Visit

_RECORDED_BYTES = 100_000  # of recordings that are fetched
_MOST_RECORDED = 100  # recordings among which a batch's is looked for
_BATCH_BYTES = 1_000_000


def forgotten_failures(
    answer: Visit, client: Any, timeout: float, notes: tuple[str, ...] = ()
) -> list[Failure]:
    """What is left of what a visit was asked for and found nothing of, newest first.

    Costs a call to the recorder, and where nothing else is left the workers' logs.
    """
    link = Link(client, timeout)
    keys = [each["asked"] for each in answer["asked"] if each["state"] == "unknown"]
    past = [entry for entry in answer["past"] if "now" not in entry]
    recorded = _recorded(link, [*keys, *(entry["key"] for entry in past)])
    known = {str(entry["key"]) for entry in past}
    past += [_entry_of(each) for key, each in recorded.items() if str(key) not in known]
    known |= {str(key) for key in recorded}
    missing = [key for key in keys if str(key) not in known]
    if missing:
        past += logged_failures(link, missing)
    evidence = Evidence(client=client, scheduler="distributed")
    found = []
    for entry in past:
        recording = recorded.get(entry["key"])
        fact = forgotten_fact(entry)
        failure = failure_from_fact(
            fact,
            evidence=replace(evidence, recording=recording),
            notes=(*notes, FORGOTTEN, *_said_of(recording)),
            found_in="history",
        )
        found.append(failure)
    found_keys = [failure.key for failure in found]
    return [
        replace(each, others=tuple(key for key in found_keys if key != each.key))
        for each in found
    ]


def recorded_batch(
    error: BaseException, remote_text: str, client: Any, timeout: float
) -> Failure | None:
    """The recorded failure of a batch of joblib's, by the exception that it carried.

    Several batches may have failed alike: the newest is taken. ``remote_text`` is the
    traceback on the worker.
    """
    if not is_open(client):
        return None
    link = Link(client, timeout)
    held = held_recordings(link, None, _MOST_RECORDED, recorded_name, _BATCH_BYTES)
    alike = [
        each
        for each in held.recordings
        if each.frames
        and each.exception_type == type(error).__name__
        and _place(each) in remote_text
    ]
    if not alike:
        return None
    failure = failure_from_fact(
        forgotten_fact({**_entry_of(alike[0]), "carried": True}),
        evidence=Evidence(client=client, scheduler="distributed", recording=alike[0]),
        exception=error,
        others=tuple(each.key for each in alike[1:]),
        notes=(CARRIED, *_said_of(alike[0])),
        found_in="history",
    )
    return replace(failure, kind="carried", came_from=alike[0].came_from)


def _place(recording: Recording) -> str:
    frame = recording.frames[-1]
    return f'File "{frame.filename}", line {frame.lineno}, in {frame.function}'


def _said_of(recording: Recording | None) -> tuple[str, ...]:
    if recording is None or not recording.frames:
        return ()
    call = advice.call("debug", recording.key, using="recording")
    return (f"it was recorded: {call} shows its frames",)


def _recorded(link: Link, keys: Iterable[Any]) -> dict[Any, Recording]:
    """What the recorder has of some tasks, of each the newest."""
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return {}
    most = 5 * len(wanted)
    held = held_recordings(link, wanted, most, recorded_name, _RECORDED_BYTES)
    return {each.key: each for each in reversed(held.recordings)}


def _entry_of(recording: Recording) -> HistoryEntry:
    return entry_for(
        recording.key,
        recording.when.timestamp() if recording.when else None,
        [recording.worker] if recording.worker else [],
        f"{recording.exception_type}({recording.message!r})",
        "".join(
            f'  File "{each.filename}", line {each.lineno}, in {each.function}\n'
            for each in recording.frames
        ),
    )


def logged_failures(link: Link, keys: Iterable[Any]) -> list[HistoryEntry]:
    """Failures of some tasks from the workers' logs."""
    wanted = {str(key): key for key in keys}
    try:
        logs = logs_of(link)
    except (SchedulerGone, WaitTimedOut):
        return []
    entries: list[HistoryEntry] = []
    for address, lines in logs.items():
        for line in lines:
            found = logged_failure(line)
            if found is None or found.key not in wanted:
                continue
            try:
                texts = map(literal, (found.exception, found.traceback))
                entry = entry_for(wanted[found.key], None, [address], *texts)
            except ValueError:
                continue  # a line that was cut, so no evidence
            entries.append(entry)
    return entries


def said_of_past(answer: Visit, key: Any) -> str:
    """That a task that has not failed now had failed before; empty if it had not."""
    for entry in answer["past"]:
        if "now" in entry and str(entry["key"]) == str(key):
            text = entry["exception_text"].partition("\n")[0][:200]
            return f"it failed before, and was submitted or retried since: {text}"
    return ""
