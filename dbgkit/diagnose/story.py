"""One task's story, from all logs that still mention it."""

from __future__ import annotations

import difflib
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.clients import held_future_states
from dbgkit.cluster.view import LiveView, View
from dbgkit.diagnose.sentences import show
from dbgkit.errors import NoFailure, NotFailed, UnknownKey, WrongTarget
from dbgkit.model import Moment, Timeline
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.targets.locate import locate_failures
from dbgkit.targets.resolve import sort_target

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import StoryForm

_HAND_IN_KEY = "pass a key: a story is that of one task"
WORKER_LIMIT = 10.0  # most seconds for the workers to tell their parts


def tell_story(
    view: View,
    target: Any = None,
    *,
    timeout: float = 30.0,
    at_hand: BaseException | None = None,
) -> Timeline:
    """What happened to a task, in order of time.

    The target is what `dbgkit.locate` takes; in a dump a key or a failure. None is the
    exception ``at_hand``, if it is a task's, or the newest root cause.

    Raises
    ------
    UnknownKey, WrongTarget, NoFailure
        Nothing is known about the key; no task can be found; nothing has failed.
    """
    key, notes = _key_of(view, target, timeout, at_hand)
    # Workers that do not answer must not use up the time that the answer has.
    limit = min(WORKER_LIMIT, timeout / 2)
    answer = view.ask("story", {"key": key, "limit": limit})
    if key is None and answer["key"] is None:
        raise NoFailure(
            "the cluster's logs have no failed task, or no longer have one",
            _HAND_IN_KEY,
        )
    if answer["state"] == "unknown":
        if not answer["moments"]:
            raise _unknown(view, answer)
        notes.append("the scheduler has forgotten this task")
    return Timeline(
        key=answer["key"],
        moments=tuple(
            Moment(
                datetime.fromtimestamp(when, tz=timezone.utc),
                found_in,
                what,
                redact_text(detail),
            )
            for when, found_in, what, detail in answer["moments"]
        ),
        notes=(*notes, *answer["notes"]),
    )


def _key_of(
    view: View, target: Any, timeout: float, at_hand: BaseException | None
) -> tuple[Any, list[str]]:
    """The one key that a target leads to, and notes; None: the newest failure's."""
    if target is None:
        if isinstance(view, LiveView):
            return _newest(view, timeout, at_hand)
        return None, []
    sought = sort_target(target)
    if sought.failures and not sought.exceptions:
        keys = [failure.key for failure in sought.failures]
    elif isinstance(view, LiveView) and (sought.exceptions or sought.collections):
        keys = _located(view, target, timeout)
    else:
        keys = sought.keys
    if not keys or keys[0] is None:
        raise WrongTarget("no task can be found from this target", _HAND_IN_KEY)
    return keys[0], _left_out(len(keys) - 1)


def _newest(
    view: LiveView, timeout: float, at_hand: BaseException | None
) -> tuple[Any, list[str]]:
    """The task of the exception at hand, else the one that failed last."""
    failures = locate_failures(at_hand, client=view.client, timeout=timeout)
    if failures[0].key is None:
        return None, [
            "the last exception is not from a task: this is the newest failure's story"
        ]
    return failures[0].key, _left_out(len(failures) - 1)


def _located(view: LiveView, target: Any, timeout: float) -> list[Any]:
    """Keys of the root causes, the earliest first; those asked for, if none failed."""
    try:
        failures = locate_failures(target, client=view.client, timeout=timeout)
    except (NotFailed, NoFailure):
        return sort_target(target).keys
    return [failure.key for failure in failures]


def _left_out(count: int) -> list[str]:
    if count <= 0:
        return []
    return [f"{count} further task{'s were' if count > 1 else ' was'} left out"]


def _unknown(view: View, answer: StoryForm) -> UnknownKey:
    key = answer["key"]
    known = list(answer["similar"])
    if isinstance(view, LiveView):
        known += [str(name)[:200] for name in held_future_states(view.client)]
    known = [name for name in known if name != str(key)]  # not yet heard of there
    close = difflib.get_close_matches(str(key), known, n=1)
    where = "neither the scheduler nor any worker knows"
    if not view.live:
        where = "this dump has nothing about"
    return UnknownKey(
        f"{where} {show(key)}",
        f"did you mean {show(close[0])}?"
        if close
        else "the logs may have rolled over since, or it was a task of another cluster",
        key=key,
    )
