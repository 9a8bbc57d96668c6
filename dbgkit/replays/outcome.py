"""Is it the same failure? By class, message, innermost own line, and its causes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from dbgkit.model import Failure, Outcome, Run
from dbgkit.model.frames import checked
from dbgkit.remote.common.frames import is_machinery, parse_traceback
from dbgkit.remote.common.pickles import kinds_in
from dbgkit.remote.common.texts import safe_repr, safe_str
from dbgkit.remote.recording.raised import MOST_CAUSES, raised, task_frames
from dbgkit.replays.places import Place, failed_at, places_of, same_place
from dbgkit.replays.recorded_causes import (
    Row,
    all_known,
    as_recorded,
    changed_cause,
    in_words,
)
from dbgkit.replays.wording import alike, as_worded_now, forms_of, same_class
from dbgkit.source.places import place as line_of
from dbgkit.targets.failure import unpickled

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import RaisedForm

_TRUNCATED = "Long error message"  # distributed.core.truncate_exception

CAUSES_UNKNOWN = (
    "what caused it before is not known here, or not completely, so the causes were "
    "not compared"
)


def run_of(failure: Failure, now: RaisedForm | None, seconds: float) -> Run:
    """The outcome of a run; ``now`` is what `remote.recording.raised` gives of it."""
    if now is None:
        return Run("passed", seconds=seconds)
    why = difference(failure, now)
    outcome: Outcome = "same" if why is None else "different"
    return Run(outcome, now["type"], now["message"], why or "", seconds)


def raised_from_wire(wire: RaisedForm) -> RaisedForm:
    """What `remote.recording.raised.raised` gave in another process.

    Raises one of `MALFORMED` if it is not of that form.
    """
    broken = wire["broken_repr"]
    return {
        "type": checked(str, wire["type"]),
        "message": checked(str, wire["message"]),
        "text": checked(str, wire["text"]),
        "broken_repr": (checked(str, broken[0]), checked(str, broken[1]))
        if broken
        else None,
        "frames": [
            (checked(str, file), checked(int, line), checked(str, function))
            for file, line, function in wire["frames"]
        ],
        "chain": [
            [checked(str, kind), checked(str, message), checked(str, text), bool(own)]
            for kind, message, text, own in wire["chain"]
        ],
        "cut": bool(wire["cut"]),
    }


def difference(failure: Failure, now: RaisedForm) -> str | None:
    """How a run's failure differs from the one on the cluster; None: the same.

    Empty if class and message show it; else ``"at another line: before …, now …"`` or
    ``"with another cause: before …, now …"``.
    """
    if not (failure.exception_type or failure.message):
        return ""  # it had not failed
    broken = now["broken_repr"]
    # A worker reports what the exception's own repr raises in its place.
    if broken and tuple(broken) == (failure.exception_type, failure.message):
        return None
    if not _same_words(failure, now):
        return ""
    recursion = now["type"] == "RecursionError"  # it ends where the stack does
    before, here = places_before(failure), places_of(now["frames"])
    if not recursion and not same_place(before, here):
        return f"at another line: before {_at(before)}, now {_at(here)}"
    changed = None if now["cut"] else _changed_causes(failure, now["chain"])
    return f"with another cause: {changed}" if changed else None


def causes_unknown(failure: Failure, now: RaisedForm | None) -> bool:
    """Whether a run's failure has causes, and the original ones are not (all) known."""
    if not now or not now["chain"]:
        return False
    known, whole = _chain_before(failure)
    recording = failure.evidence.recording
    return (
        not whole
        and len(now["chain"]) > len(known)
        and not (recording is not None and all_known(recording, now["chain"]))
    )


def causes_known(failure: Failure) -> bool:
    """Whether all causes of a failure are known without its recording."""
    return _chain_before(failure)[1]


# --- class and message --------------------------------------------------------


def _same_words(failure: Failure, now: RaisedForm) -> bool:
    kind, message = as_worded_now(failure.exception_type, failure.message)
    if _TRUNCATED in message:
        return _begins_as(failure, now)
    type_now, message_now = as_worded_now(now["type"], now["message"])
    # A class may be lost on its way here, and its own repr need not name it.
    if kind and not same_class(kind, type_now):
        return False
    then, here = {message}, {message_now}
    if (type_now, message_now) == (now["type"], now["message"]):
        here |= forms_of(message_now, now["text"])
        error = failure.exception
        if error is not None and _is_what_it_raised(failure, error):
            then |= forms_of(safe_str(error), safe_repr(error))
    if alike(then, here | as_recorded(failure, here)):
        return True
    # The scheduler has only the repr of an exception that lost its class.
    return not kind and alike({message}, {now["text"]})


def _begins_as(failure: Failure, now: RaisedForm) -> bool:
    """Whether a long message begins as the one that Dask has cut.

    What remains are the arguments of the exception in its place, perhaps of another
    class: ``('Long error message', <class 'job.TooLong'>, 'the text')``.
    """
    kind, message = failure.exception_type, failure.message
    of_class = kind == "Exception" and f".{now['type']}'>" in message
    if kind and not of_class and not same_class(kind, now["type"]):
        return False
    rest = message.split(_TRUNCATED, 1)[1]
    start = rest.split("'>, ", 1)[-1].lstrip("',\" ")[:200]
    quoted = repr(now["message"])
    return not start or start[:-20] in quoted or start[:-20] in now["message"]


def _is_what_it_raised(failure: Failure, error: BaseException) -> bool:
    """Whether an exception is what the task raised, not made from a text."""
    return (
        not failure.killed
        and type(error).__name__ == failure.exception_type
        and _TRUNCATED not in failure.message
    )


# --- place --------------------------------------------------------------------


def places_before(failure: Failure) -> list[Place]:
    """Where it failed on the cluster, or in this process if there is none."""
    if failure.evidence.raised is not None:
        return places_of(failure.evidence.raised["frames"])
    if failure.found_in == "local" and failure.exception is not None:
        return places_of(raised(failure.exception)["frames"])
    return places_of(task_frames(parse_traceback(failure.traceback_text)))


def _at(places: Sequence[Place]) -> str:
    place = failed_at(places)
    assert place is not None  # else they would not differ
    return f"{line_of(place[0], place[1])} in {place[2]}"


# --- causes -------------------------------------------------------------------


def _changed_causes(failure: Failure, here: Sequence[Row]) -> str | None:
    """The first causes that differ, in words; None: the same, or not known."""
    before, whole = _chain_before(failure)
    if not (before or whole):
        recorded = failure.evidence.recording
        changed = _changed_kinds(failure, here)
        if changed is None and recorded is not None:
            changed = changed_cause(recorded, here)
        return changed
    for then, since in ((_own(before), _own(here)), (before, here)):
        if _same_chain(then, since if whole else since[: len(then)]):
            return None
    pairs = zip_longest(before, here)
    differ = (pair for pair in pairs if None in pair or not _same_cause(*pair))
    return "before {}, now {}".format(*map(in_words, next(differ, (None, None))))


def _changed_kinds(failure: Failure, here: Sequence[Row]) -> str | None:
    """As `_changed_causes`, if only the classes of the causes can be read."""
    before = kinds_in(_pickled(failure))
    if before is None:
        return None
    then = [[kind, "", "", not is_machinery(file)] for kind, file in before]
    for known, since in ((_own(then), _own(here)), (then, here)):
        if _same_kinds(known, since):
            return None
    changed = zip_longest(then, here, fillvalue=["none"])
    first = next(pair for pair in changed if not _same_kinds(*([one] for one in pair)))
    return "before {}, now {}".format(*(row[0] for row in first))


def _same_kinds(before: Sequence[Row], here: Sequence[Row]) -> bool:
    return len(before) == len(here) and all(
        same_class(as_worded_now(then[0], "")[0], as_worded_now(now[0], "")[0])
        for then, now in zip(before, here, strict=True)
    )


def _chain_before(failure: Failure) -> tuple[list[list[Any]], bool]:
    """Its known causes, and whether these are all.

    A cluster sends all of them or none; but when the client raises the exception again,
    Python may replace one by what is being handled there.
    """
    run = failure.evidence.raised
    if run is not None:
        return run["chain"], not run["cut"]
    if failure.kind == "carried":
        return [], False  # joblib has put the worker's text in the cause's place
    error = failure.exception if failure.exception is not None else _stored(failure)
    local = failure.found_in == "local"
    if error is None or not (local or _is_what_it_raised(failure, error)):
        return [], False
    form = raised(error)
    if form["cut"]:
        return [], False
    # Under Dask's processes an exception is pickled as it is: of one of the user's
    # own classes nothing comes along that it was raised from.
    by_pickle = failure.found_in == "local" and failure.key is None
    return form["chain"], not by_pickle and contexts_travel()


def _stored(failure: Failure) -> BaseException | None:
    """What the scheduler has, if this client never had the task's future."""
    pickled = _pickled(failure)
    return _unpickled(pickled) if pickled else None


def _pickled(failure: Failure) -> bytes:
    """The pickle of what the task raised; empty if there is none.

    For a shuffle that is Dask's own exception, and its cause is reported instead.
    """
    stands = failure.killed or failure.shuffle or _TRUNCATED in failure.message
    return b"" if stands else failure.evidence.pickled


# Once for all runs of a replay: it runs anybody's code.
_unpickled = lru_cache(maxsize=1)(unpickled)


@cache
def contexts_travel() -> bool:
    """Whether contexts are pickled with exceptions, as they are since tblib 3.0."""
    from tblib.pickling_support import unpickle_exception

    return "context" in inspect.signature(unpickle_exception).parameters


def _own(chain: Sequence[Row]) -> list[Row]:
    return [row for row in chain if row[3]]


def _same_chain(before: Sequence[Row], here: Sequence[Row]) -> bool:
    if len(before) != len(here) and min(len(before), len(here)) < MOST_CAUSES:
        return False
    return all(map(_same_cause, before, here))


def _same_cause(before: Row, here: Row) -> bool:
    kind, message = as_worded_now(before[0], before[1])
    type_now, message_now = as_worded_now(here[0], here[1])
    return same_class(kind, type_now) and alike(
        forms_of(message, before[2]) if kind == before[0] else {message},
        forms_of(message_now, here[2]) if type_now == here[0] else {message_now},
    )


# --- several runs -------------------------------------------------------------


_RESCHEDULED = (
    "the task raised Reschedule, which is not a failure on a cluster: the scheduler "
    "would have run it again, perhaps on another worker"
)


def notes_on(runs: Iterable[Run]) -> list[str]:
    """A note if a run raised ``distributed.Reschedule``: it has not failed."""
    rescheduled = any(run.exception_type == "Reschedule" for run in runs)
    return [_RESCHEDULED] if rescheduled else []


def overall(runs: Iterable[Run]) -> Outcome:
    """The outcome of several runs: ``"same"`` if any, else the first not passed."""
    outcomes = [run.outcome for run in runs]
    if "same" in outcomes:
        return "same"
    return next((o for o in outcomes if o != "passed"), "passed")
