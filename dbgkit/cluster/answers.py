"""Which answer belongs to which question, and what the client makes of any other.

Each answer is checked once as it arrives: whoever reads it after that relies on the
types of ``dbgkit.remote.common.wire``. What one worker answers is checked for itself:
what is asked of many is read without it. So is each end of a worker, and each
recording: anybody can report some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.checks import Misfit
from dbgkit.cluster.shapes import Shape, agrees, shape_of
from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.errors import AnswerUnreadable
from dbgkit.remote.common.wire import Count, Mapped

if TYPE_CHECKING:
    from dbgkit.remote.common import wire_failures as failures
    from dbgkit.remote.common import wire_tasks as tasks
    from dbgkit.remote.common.wire import AnyQuestion


class _Types:
    """The types of one ``remote.common.wire_*``; imported with the first answer."""

    def __init__(self, subject: str) -> None:
        self._module = f"dbgkit.remote.common.wire_{subject}"

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._module), name)


_deaths, _failures = _Types("deaths"), _Types("failures")
_recordings, _replays, _tasks = _Types("recordings"), _Types("replays"), _Types("tasks")
_why, _late, _waits = _Types("why"), _Types("why_late"), _Types("why_waits")
_workers, _peek, _live = _Types("why_workers"), _Types("peek"), _Types("live")

# Verbs of ``remote.scheduler.extension``, and what gives the types of their answers:
# each verb needs few of them.
ANSWERS: dict[str, Callable[[], Any]] = {
    "visit": lambda: _failures.Visit,
    "progress": lambda: dict[str, Count],
    "run": lambda: dict[str, _replays.Called],  # type: ignore[name-defined]
    # ``remote.scheduler.foresight``: verbs, questions and answers, read as they are
    # taken.
    "foreseen": lambda: list[tuple[str, Mapped, Mapped]],
    "failures": lambda: _failures.Failures,
    "tasks": lambda: _tasks.Tasks,
    "counts": lambda: _tasks.Counts,
    "workers": lambda: _tasks.Workers,
    "running": lambda: _peek.Running,
    "why": lambda: _why.Why,
    "waits": lambda: _waits.WaitsForm,
    "around": lambda: _tasks.Around,
    "story": lambda: _tasks.StoryForm,
    "doctor": lambda: _tasks.Examined,
    "deaths": lambda: _deaths.DeathsForm,
    "recorder list": lambda: _recordings.ListedForm,
    "recorder fetch": lambda: _recordings.FetchedForm,
    "recorder on": lambda: _recordings.SwitchedOnForm,
    "recorder off": lambda: _recordings.SwitchedOffForm,
    "live list": lambda: _live.LiveStopsForm,
    "live on": lambda: _live.LiveOnForm,
    "live off": lambda: _live.LiveOffForm,
}
PARTS = ("recorder", "live")  # questions to a part, which has verbs of its own
# Functions that are sent to workers, and what gives the types of what they return.
FUNCTIONS: dict[tuple[str, str], Callable[[], Any]] = {
    ("worker.why", "look_at_tasks"): lambda: _workers.Probe,
    ("worker.peek", "sample"): lambda: _peek.Peeked,
    ("worker.why_errors", "last_errors"): lambda: list[_workers.LoggedError],  # type: ignore[name-defined]
    ("common.leases", "holders_of"): lambda: _waits.Holders,
    ("nanny.why", "look_at_process"): lambda: _late.Usage | None,
    ("common.modules", "missing_modules"): lambda: list[str],
    ("common.modules", "missing_names"): lambda: list[tuple[str, str]],
    ("worker.doctor", "probe_worker"): lambda: _tasks.Checked,
    ("worker.replay", "look"): lambda: _replays.Look,
    ("common.boxes", "read_boxes_of"): lambda: list[_deaths.BoxUnread | _deaths.Box],  # type: ignore[name-defined]
    ("worker.environment", "describe_process"): lambda: _tasks.Surroundings,
}


@cache
def answer_shape(name: str) -> Shape:
    """The check of what a verb answers."""
    return shape_of(ANSWERS[name]())


@cache
def function_shape(module: str, name: str) -> Shape | None:
    """The check of what a function returns that is sent to workers."""
    kind = FUNCTIONS.get((module, name))
    return None if kind is None else shape_of(kind())


@agrees("wire_tasks.GraphForm")
def _names_its_nodes(graph: tasks.GraphForm) -> str:
    """Whether edges and gaps name nodes that are there."""
    named = [at for edge in graph["edges"] for at in edge]
    named += [at for gap in graph["gaps"] for at in gap[:2]]
    named.append(graph["asked"] or 0)
    return "names nodes that do not exist" if max(named) >= len(graph["nodes"]) else ""


@agrees("wire_failures.Fact")
def _has_frames_of_its_cause(fact: failures.Fact) -> str:
    if fact.get("cause_text") and "cause_frames" not in fact:
        return "has the text of a cause, but not its frames"
    return ""


@agrees("wire_tasks.Held")
def _has_functions(held: tasks.Held) -> str:
    if held["bytes"] and not held["functions"]:
        return "has bytes that are not a function's"
    return ""


def read_answer(verb: str, question: AnyQuestion, answer: Any) -> Any:
    """An answer of the scheduler's; `AnswerUnreadable` if it has an unknown form.

    ``verb`` is one of ``remote.scheduler.extension.VERBS`` or ``.QUESTIONS``, or
    ``"foreseen"``. Costs below a microsecond for each row of `tasks`.
    """
    name = f"{verb} {question['verb']}" if verb in PARTS else verb
    try:
        answer_shape(name)(answer)
        _suits(name, question, answer)
    except Misfit as misfit:
        raise _unreadable(name, misfit) from misfit
    return answer


def _suits(name: str, question: AnyQuestion, answer: Mapping[str, Any]) -> None:
    """Raise a `Misfit` if an answer lacks what its question asked for."""
    if name == "visit" and not question.get("states_only"):
        if len(answer["asked"]) < len(question.get("keys", ())):
            raise Misfit("is shorter than what was asked for").within("asked")
        if question.get("specs") and answer["tasks"]:
            # With it comes what leads to the first failure, or to the requested one.
            first = (*answer["failures"], *answer["asked"])[:1]
            if first and all(row["key"] != first[0]["key"] for row in answer["tasks"]):
                raise Misfit(f"lacks {first[0]['key']!r}").within("tasks")
    elif name == "why":
        if question["keys"] is None:
            if answer["cluster"] is None:
                raise Misfit("is missing").within("cluster")
        elif not (answer["ends"] or answer["unknown"]):
            raise Misfit("has nothing that was asked for").within("ends")


def _unreadable(name: str, misfit: Misfit) -> AnswerUnreadable:
    import distributed

    from dbgkit._version import __version__

    return AnswerUnreadable(
        f"the scheduler's answer to {name!r} cannot be read: {misfit}",
        "client.get_versions(check=True) tells whether the scheduler runs another "
        "release of Dask; if it does not, please report this (here are dbgkit "
        f"{__version__} and distributed {distributed.__version__})",
    )


def read_said(function: ShippedFunction, address: str, said: Any) -> Any:
    """What a worker answered; an error in its place if it cannot be read.

    What the function raised there is an answer.
    """
    shape = function_shape(function.module, function.name)
    if shape is None or isinstance(said, BaseException):
        return said
    try:
        shape(said)
    except Misfit as misfit:
        return AnswerUnreadable(
            f"the answer of worker {address} cannot be read: {misfit}",
            "client.get_versions(check=True) tells whether it runs another release of "
            "Dask",
        )
    return said
