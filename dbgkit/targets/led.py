"""How to describe a failure whose own exception is not what the user can fix.

A task of a P2P shuffle raises an exception that names its phase, caused by what the
user can fix; a task that waited for what it had submitted raises what that raised, or
something caused by it (see ``remote.scheduler.inner``, ``remote.scheduler.p2p``).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Any

from dbgkit.remote.common.exceptions import raised_from
from dbgkit.remote.common.frames import own_line_of_text, walk
from dbgkit.remote.common.sentences import several
from dbgkit.remote.common.texts import COMPARED, safe_repr
from dbgkit.remote.scheduler.p2p import phase_in, phase_of, where_in_shuffle
from dbgkit.targets.scheduler_texts import exception_of, has_text_of
from dbgkit.targets.tracebacks import callers, chain, is_rebuilt, place_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Fact, HistoryEntry, SharedForm

MOST_RAISED = 20  # exceptions of a chain that are sent to the scheduler
FORGOTTEN = "the scheduler has forgotten the task: only its history is left"
CARRIED = "for Dask it is finished: joblib returns exceptions as results"
_NAMED = 3  # of several keys
_SHOWN = 120  # characters of an exception in a note


def raised_in(exception: BaseException | None) -> list[tuple[str, list[Any], bool]]:
    """An exception and its causes, for a visit.

    Of each the text, the frames, and whether they begin in a wait of this client's own.
    """
    if exception is None:
        return []
    return [
        (
            safe_repr(error)[:COMPARED],
            [(f.f_code.co_filename, n, f.f_code.co_name) for f, n in frames],
            _is_waited_for_here(frames),
        )
        for error in islice(chain(exception), MOST_RAISED)
        for frames in [list(islice(walk(error.__traceback__), 1_000))]
    ]


def _is_waited_for_here(frames: Sequence[tuple[FrameType, int]]) -> bool:
    """Whether frames begin where this client waited, not where a task did.

    A worker in this process leaves the frames of its tasks, called by its own.
    """
    if not frames or is_rebuilt(frames[0][0]):
        return False
    places = map(place_of, callers(frames[0][0]))
    return all(place[:2] != ("distributed", "worker.py") for place in places)


def cause_in_shuffle(exception: BaseException | None) -> BaseException | None:
    """The cause of a P2P shuffle's exception; None for any other exception."""
    error = exception
    for _ in range(MOST_RAISED):
        if error is None or not phase_of(safe_repr(error)):
            break
        _, error = raised_from(error) or ("", None)
    return None if error is exception else error


def fixable(
    fact: Fact, exception: BaseException | None
) -> tuple[Fact, BaseException | None, str]:
    """A fact with what the user can fix in place of Dask's own exception, if possible.

    And that exception; and the phase, which is empty if no shuffle has failed.
    """
    phase = phase_in(fact["exception_text"], fact["traceback_text"])
    if not phase and not fact["exception_text"] and exception is not None:
        phase = phase_of(safe_repr(exception))
    if not phase:
        return fact, exception, ""
    cause = cause_in_shuffle(exception)
    if cause is not None:
        text = safe_repr(cause)
        frames = "".join(traceback.format_tb(cause.__traceback__))
        fact = {**fact, "exception_text": text, "traceback_text": frames}
        return fact, cause, phase
    if not fact.get("cause_text"):
        return fact, exception, phase
    text, frames = fact["cause_text"], fact["cause_frames"]
    return {**fact, "exception_text": text, "traceback_text": frames}, None, phase


def notes_of_shuffle(fact: Fact, phase: str) -> tuple[str, ...]:
    """Notes on where in a shuffle it failed; to be called after `fixable`."""
    if not phase:
        return ()
    text, frames = fact["exception_text"], fact["traceback_text"]
    return (where_in_shuffle(phase, text, frames, fact.get("went_in") or 0),)


def note_of_past(entry: HistoryEntry) -> str:
    """What has become of a failure of which the history alone has anything."""
    if entry.get("carried"):
        return CARRIED
    now = entry.get("now")
    if now is None:
        return FORGOTTEN
    became = "it has finished" if now == "memory" else f"it is in state {now!r} now"
    return f"its key has been submitted or retried since, and {became}"


def notes_of_way(fact: Fact) -> tuple[str, ...]:
    """Notes on tasks that had submitted the failure, or that it had submitted."""
    notes = [FORGOTTEN] if fact.get("gone") else []
    through = fact.get("through") or ()
    if through:
        notes.append(submitted_by(through))
        if fact.get("alike", 1) > 1:
            notes.append(
                f"{fact['alike']} tasks failed this way before it did, and it may "
                "have waited for any of them: this is the last one"
            )
    entry = fact.get("submitted")
    if entry:
        line = own_line_of_text(entry["traceback_text"])
        where = f" at {line[0]}:{line[1]} in {line[2]}" if line else ""
        text = entry["exception_text"][:_SHOWN]
        notes.append(
            f"it failed because of {entry['key']!r}, which it had submitted, and "
            f"which the scheduler has forgotten: {text}{where}"
        )
    followers = fact.get("followers")
    if followers:
        if fact["killed"]:
            notes.append(_on_its_worker(followers["keys"], fact.get("shared")))
        else:
            notes.append(_followed_by(followers["keys"], followers["text"]))
    if shared := fact.get("shared"):
        notes += shared_worker(shared)
    return tuple(notes)


def shared_worker(shared: SharedForm, own: bool = True) -> tuple[str, ...]:
    """What a task has to do with the end of its worker, which others were on, too.

    Without ``own``, for several tasks of which that is said already.
    """
    if shared["role"] == "bystander":
        text = (
            f"its worker died while running {named_of(shared)}, and it was only there"
        )
        return (text,) if own else ()
    notes: tuple[str, ...] = ()
    if own:
        others = "" if len(shared["keys"]) + shared["more"] == 1 else "one of "
        notes = (
            f"which task killed the worker is not known: it, or {others}"
            f"{named_of(shared)}",
        )
    if shared["ran"]:
        ran = ", ".join(map(repr, shared["ran"][:_NAMED]))
        more = ", …" if len(shared["ran"]) > _NAMED else ""
        notes = (*notes, f"the worker's last heartbeat had {ran}{more} running")
    return notes


def named_of(shared: SharedForm) -> str:
    """The other tasks that a task shared its worker with, and how many more."""
    count = len(shared["keys"]) + shared["more"]
    return several(map(repr, shared["keys"]), count, _NAMED)


def _on_its_worker(keys: Sequence[Any], shared: SharedForm | None) -> str:
    """That others were on the worker that a task killed, or may have killed."""
    they = "they were" if len(keys) > 1 else "it was"
    because = "because of it" if shared is None else "with it"
    named = several(map(repr, keys), most=1)
    return f"{named} failed {because}, as {they} on the same worker"


def _followed_by(keys: Sequence[Any], text: str) -> str:
    named = several(map(repr, keys), most=1)
    return (
        f"{named} failed because of it, with {text[:_SHOWN]}: that is how the others "
        "of a collective fail once one of them has failed, and this is the "
        "failure of the same function that is nearest in time"
    )


def submitted_by(through: Sequence[Any], show: Callable[[Any], str] = repr) -> str:
    """The tasks that led to a failure, each of which submitted the next."""
    way = ", which was submitted by ".join(show(key) for key in reversed(through))
    who = "which" if len(through) == 1 else "and all of them"
    return f"it was submitted by {way}, {who} failed because of it"


def exception_for(
    fact: Fact,
    facts: list[Fact],
    exception: BaseException | None,
    held: Mapping[Any, Any],
) -> BaseException | None:
    """As `exception_of`; for a submitted task, taken from the outer task's exception.

    A follower's exception says nothing about the failure that it followed.
    """
    through = fact.get("through")
    if fact.get("followers") and not through:
        for error in (exception_of(fact, facts, None, held), exception):
            if error is not None and has_text_of(fact, error):
                return error
        return None
    if not through:
        return exception_of(fact, facts, exception, held)
    keys = (fact["key"], fact["asked"], *through)
    own = [held[key].exception for key in keys if key in held]
    for outer in (*own, exception):
        if isinstance(outer, BaseException):
            for error in islice(chain(outer), MOST_RAISED):
                if has_text_of(fact, error):
                    return error
    return None


def submitted_entry(
    entry: HistoryEntry,
    entries: Iterable[HistoryEntry],
    exception: BaseException | None,
) -> HistoryEntry | None:
    """The history's entry for what a task had submitted; None if there is none."""
    from dbgkit.remote.scheduler.inner import entry_of
    from dbgkit.remote.scheduler.inner_identities import identities, of_chain

    own = identities(entry["exception_text"], entry["traceback_text"])
    handed = (*own, *of_chain(raised_in(exception)))
    others = [each for each in entries if each["key"] != entry["key"]]
    return entry_of(entry["key"], entry["when"], handed, others)
