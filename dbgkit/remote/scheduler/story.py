"""What happened to one task: transitions, events and log lines, from all sides.

Workers are asked one by one, each within a limit, so that one that is blocked or gone
does not hide the others' answers.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..common.keys import as_key
from ..common.pacing import Pace, is_dump, now_of
from ..common.parsing import literal
from ..common.sentences import clock
from .asking import ask_all
from .story_words import (
    Moment,
    cut,
    entry_moment,
    event_moment,
    in_order,
    joined,
    lines_with_times,
    log_moments,
    names_key,
    set_off_by,
)

if TYPE_CHECKING:
    from ..common.wire_tasks import StoryForm, StoryQuestion, WorkerStory

ASKED_AT_ONCE = 20  # workers
ASKED_AT_MOST = 200  # workers
LOG_LINES = 2000  # newest lines to look through, of each worker
OWN_LINES = 1000  # of the scheduler: to format them takes its loop some 8 ms
SIMILAR = 500  # keys that are sent back, to find the one that was meant
LATEST = 1e11  # seconds since 1970: a time that `datetime` still has
# Workers' clocks that differ by less, network included, are taken as they are.
CLOCK_TOLERANCE = 1.0
# Entries that a worker's story of a task begins with.
_BEGINNINGS = (
    "compute-task",
    "ensure-task-exists",
    "put-in-memory",
    "receive-from-scatter",
)


async def tell_story(state: Any, question: StoryQuestion) -> StoryForm:
    """Everything still known about one task.

    ``key``: a key, or the text of one; None: the newest root cause. ``limit``: seconds
    for the workers to answer. ``most``: moments to return.
    """
    log = list(state.transition_log)
    key = _resolve(state, log, question.get("key"))
    moments, rolled_over = await _transitions(state, log, key)
    notes = [rolled_over] if rolled_over else []
    # Nothing older is needed if the beginning is there.
    start = 0.0
    if moments and not rolled_over:
        start = min(moment[0] for moment in moments) - 1
    if is_dump(state):
        notes.append("a dump contains neither events nor the scheduler's own log")
        answers = _dumped_workers(state, key)
        silent = state.silent_workers
    else:
        moments += await _events(state, key)
        lines = state.get_logs(start, OWN_LINES, True)
        moments += log_moments(lines, "scheduler", key)
        addresses = _to_ask(state, key)
        if left_out := len(state.workers) - len(addresses):
            notes.append(f"{left_out} further workers were not asked")
        limit = question.get("limit", 10.0)
        answers = await _ask_workers(state, addresses, key, start, limit)
        silent = [each for each in addresses if each not in answers]
    notes += [f"worker {each} did not answer: its part is missing" for each in silent]
    for address, answer in answers.items():
        moments += _of_worker(state, address, answer, key, notes)
    moments = in_order(moments)
    _missing_workers(state, key, answers, moments, notes)
    most = question.get("most", 300)
    if len(moments) > most:
        notes.append(f"{len(moments) - most} earlier moments were left out")
    ts = state.tasks.get(key)
    return {
        "now": now_of(state),
        "key": key,
        "state": ts.state if ts is not None else "unknown",
        "moments": moments[-most:],
        "notes": notes,
        "similar": [] if ts is not None or moments else _similar(state, log),
    }


# -- which task ---------------------------------------------------------------


def _resolve(state: Any, log: list[Any], asked: Any) -> Any:
    """The key that is meant: given as it is, or as its text."""
    if asked is None:
        return _newest_cause(state, log)
    candidates = [as_key(asked)]
    if isinstance(asked, str):
        try:
            spelled = as_key(literal(asked))
        except ValueError:
            spelled = asked
        if _is_key(spelled):
            candidates.append(spelled)
    for candidate in candidates:
        if candidate in state.tasks:
            return candidate
    logged = {entry[0] for entry in log}
    logged.update(entry.key for entry in state.erred_tasks)
    found = [candidate for candidate in candidates if candidate in logged]
    # A forgotten tuple key may still be in the workers' logs.
    spelled_tuples = [each for each in candidates if isinstance(each, tuple)]
    return next(iter([*found, *spelled_tuples, candidates[0]]))


def _is_key(value: Any) -> bool:
    """Whether a value can be a key: of builtin types throughout."""
    if isinstance(value, tuple):
        return all(map(_is_key, value))
    return isinstance(value, (str, bytes, int, float))


def _newest_cause(state: Any, log: list[Any]) -> Any:
    """The task that failed last by itself, or None."""
    for entry in reversed(log):
        if entry[2] == "erred":
            ts = state.tasks.get(entry[0])
            blame = ts.exception_blame if ts is not None else None
            return blame.key if blame is not None else entry[0]
    return next((entry.key for entry in state.erred_tasks), None)


def _similar(state: Any, log: list[Any]) -> list[str]:
    """Texts of keys that may have been meant: the latest in the log, then others."""
    keys = dict.fromkeys(str(entry[0]) for entry in reversed(log))
    keys.update(dict.fromkeys(map(str, islice(state.tasks, SIMILAR))))
    return [text[:200] for text in islice(keys, SIMILAR)]


# -- the scheduler's side -----------------------------------------------------


async def _transitions(
    state: Any, log: list[Any], key: Any
) -> tuple[list[Moment], str]:
    """Moments of the transition log, and a note if it has rolled over."""
    pace = Pace()
    moments: list[Moment] = []
    causes: dict[tuple[str, str], tuple[Any, str]] = {}
    # A dump spells the keys of mappings as text.
    spelled = {key, str(_listed(key))} if is_dump(state) else {key}
    first = ""
    for entry in log:
        other, start, finish, recommended, stimulus, when = tuple(entry)[:6]
        if other == key:
            first = first or start
            detail = [set_off_by(stimulus)]
            cause = causes.get((stimulus, finish))
            if cause is not None:
                detail.insert(0, f"after {cut(repr(cause[0]), 100)} went to {cause[1]}")
            if start == "processing" and str(stimulus).startswith("task-erred"):
                detail.insert(0, "it failed" if finish == "erred" else "to be retried")
            what = f"{start} -> {finish}"
            moments.append((float(when), "scheduler", what, joined(*detail)))
        else:
            for name in spelled & recommended.keys():
                causes[stimulus, recommended[name]] = (other, finish)
        await pace.checkpoint()
    _add_failures(state, key, moments)
    unknown = not first and key not in state.tasks
    if first == "released" or unknown or not log:
        return moments, ""
    return moments, (
        f"the scheduler's log has rolled over: it begins at {clock(log[0][5])}, with "
        f"{len(log)} transitions, so the beginning is missing (raise the setting "
        "distributed.admin.low-level-log-length)"
    )


def _listed(key: Any) -> Any:
    return [_listed(part) for part in key] if isinstance(key, tuple) else key


def _add_failures(state: Any, key: Any, moments: list[Moment]) -> None:
    """Add what was raised; the history of failures may reach back further."""
    entries = [entry for entry in state.erred_tasks if entry.key == key]
    ts = state.tasks.get(key)
    current = (ts.exception_text if ts is not None else None) or ""
    for index, (when, source, what, detail) in enumerate(moments):
        if not what.endswith("-> erred"):
            continue
        same = [entry for entry in entries if abs(entry.timestamp - when) < 1.0]
        text = same[0].exception_text if same else current
        for entry in same:
            entries.remove(entry)
        if text:
            moments[index] = (when, source, what, joined(cut(text, 300), detail))
    moments += [
        (float(entry.timestamp), "scheduler", "erred", cut(entry.exception_text, 300))
        for entry in entries
    ]


async def _events(state: Any, key: Any) -> list[Moment]:
    """Events that name the task; what workers' own topics have is in ``all`` too."""
    pace = Pace()
    moments = []
    for topic, events in state.get_events().items():
        if topic in state.workers or "://" in topic:
            continue
        for when, message in events:
            if names_key(message, key):
                moments.append(event_moment(float(when), str(topic), message, key))
            await pace.checkpoint()
    return moments


# -- the workers' side --------------------------------------------------------


async def _ask_workers(
    state: Any, addresses: list[str], key: Any, start: float, limit: float
) -> dict[str, WorkerStory]:
    """Stories and log lines of the workers that answer."""

    async def ask(address: str) -> WorkerStory | None:
        worker = state.workers.get(address)
        if worker is None:  # it has left meanwhile
            return None
        # The worker's clock may be behind the scheduler's.
        delay = max(0.0, float(worker.time_delay))
        rpc = state.rpc(address)
        logs = await rpc.get_logs(
            start=max(0.0, start - delay - CLOCK_TOLERANCE),
            n=LOG_LINES,
            timestamps=True,
        )
        story = await rpc.get_story(keys_or_stimuli=[key])
        return {"story": list(story), "logs": list(logs)}

    answers = await ask_all(addresses, ask, limit, ASKED_AT_ONCE)
    return {each: answer for each, answer in answers.items() if answer is not None}


def _to_ask(state: Any, key: Any) -> list[str]:
    """Workers to ask: first those that the scheduler names, then others."""
    named = [each for each in _ran_on(state, key) if each in state.workers]
    return list(dict.fromkeys([*named, *state.workers]))[:ASKED_AT_MOST]


def _ran_on(state: Any, key: Any) -> list[str]:
    """Addresses of workers, there or gone, that the scheduler names for a task."""
    ts = state.tasks.get(key)
    if ts is None:
        return []
    found = [str(address) for address in ts.erred_on or ()]
    if ts.processing_on is not None:
        found.append(ts.processing_on.address)
    found += [ws.address for ws in ts.who_has or ()]
    return list(dict.fromkeys(found))


def _dumped_workers(state: Any, key: Any) -> dict[str, WorkerStory]:
    """What workers wrote into a dump, as if they had been asked."""
    answers: dict[str, WorkerStory] = {}
    for address, own in state.worker_dumps.items():
        story = [as_key(entry) for entry in own.get("log") or () if entry]
        times = [
            moment[0]
            for entry in story
            if (moment := entry_moment(address, entry, key)) is not None
        ]
        lines = lines_with_times(own.get("logs") or (), key, times)
        answers[address] = {"story": story, "logs": lines}
    return answers


def _of_worker(
    state: Any, address: str, answer: WorkerStory, key: Any, notes: list[str]
) -> list[Moment]:
    """Moments of one worker, by the scheduler's clock."""
    moments = [
        moment
        for entry in answer["story"]
        if (moment := entry_moment(address, tuple(entry), key)) is not None
    ]
    moments += log_moments(answer["logs"], address, key)
    delay = float(getattr(state.workers.get(address), "time_delay", 0.0) or 0.0)
    if not moments or abs(delay) < CLOCK_TOLERANCE:
        return moments
    notes.append(
        f"the clock of worker {address} is {-delay:+.1f} s off: its times were "
        "converted to the scheduler's"
    )
    # A dump's clock may be off by any number.
    return [
        (min(max(0.0, when + delay), LATEST), source, what, text)
        for when, source, what, text in moments
    ]


def _missing_workers(
    state: Any,
    key: Any,
    answers: Collection[str],
    moments: list[Moment],
    notes: list[str],
) -> None:
    """Add notes on missing parts: workers that have left, logs that rolled over."""
    for address in _ran_on(state, key):
        if address not in state.workers:
            notes.append(f"worker {address} has left, so its log is gone")
        elif address in answers:
            entries = [what for _, source, what, _ in moments if source == address]
            begins = entries and entries[0].startswith(("released ->", *_BEGINNINGS))
            if not begins:
                notes.append(
                    f"the log of worker {address} has rolled over, so the beginning "
                    "is missing there"
                )
