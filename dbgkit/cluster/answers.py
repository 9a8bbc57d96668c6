"""Which answer belongs to which question, and what the client makes of any other.

Each answer is checked once as it arrives: whoever reads it after that relies on the
types of ``dbgkit.remote.common.wire``. What one worker answers is checked for itself:
what is asked of many is read without it. So is each end of a worker, and each
recording: anybody can report some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.checks import Misfit
from dbgkit.cluster.shapes import agrees, shape_of
from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.errors import AnswerUnreadable
from dbgkit.remote.common import wire_failures as failures
from dbgkit.remote.common import wire_recordings as recordings
from dbgkit.remote.common import wire_replays as replays
from dbgkit.remote.common import wire_tasks as tasks
from dbgkit.remote.common import wire_why as why
from dbgkit.remote.common.wire import Count, Mapped
from dbgkit.remote.common.wire_deaths import Box, BoxUnread, DeathsForm
from dbgkit.remote.common.wire_why_late import Usage
from dbgkit.remote.common.wire_why_waits import Holders, WaitsForm
from dbgkit.remote.common.wire_why_workers import LoggedError, Probe

if TYPE_CHECKING:
    from dbgkit.remote.common.wire import AnyQuestion

# Verbs of ``remote.scheduler.extension``, and the types of their answers.
ANSWERS: dict[str, Any] = {
    "visit": failures.Visit,
    "progress": dict[str, Count],
    "run": dict[str, replays.Called],
    # ``remote.scheduler.foresight``: verbs, questions and answers, read as they are
    # taken.
    "foreseen": list[tuple[str, Mapped, Mapped]],
    "failures": failures.Failures,
    "tasks": tasks.Tasks,
    "counts": tasks.Counts,
    "workers": tasks.Workers,
    "why": why.Why,
    "waits": WaitsForm,
    "around": tasks.Around,
    "story": tasks.StoryForm,
    "doctor": tasks.Examined,
    "deaths": DeathsForm,
    "recorder list": recordings.ListedForm,
    "recorder fetch": recordings.FetchedForm,
    "recorder on": recordings.SwitchedOnForm,
    "recorder off": recordings.SwitchedOffForm,
}
# Functions that are sent to workers, and the types of what they return.
FUNCTIONS: dict[tuple[str, str], Any] = {
    ("worker.why", "look_at_tasks"): Probe,
    ("worker.why_errors", "last_errors"): list[LoggedError],
    ("common.leases", "holders_of"): Holders,
    ("nanny.why", "look_at_process"): Usage | None,
    ("common.modules", "missing_modules"): list[str],
    ("common.modules", "missing_names"): list[tuple[str, str]],
    ("worker.doctor", "probe_worker"): tasks.Checked,
    ("worker.replay", "look"): replays.Look,
    ("common.boxes", "read_boxes_of"): list[BoxUnread | Box],
    ("worker.environment", "describe_process"): tasks.Surroundings,
}


@agrees(tasks.GraphForm)
def _names_its_nodes(graph: tasks.GraphForm) -> str:
    """Whether edges and gaps name nodes that are there."""
    named = [at for edge in graph["edges"] for at in edge]
    named += [at for gap in graph["gaps"] for at in gap[:2]]
    named.append(graph["asked"] or 0)
    return "names nodes that do not exist" if max(named) >= len(graph["nodes"]) else ""


@agrees(failures.Fact)
def _has_frames_of_its_cause(fact: failures.Fact) -> str:
    if fact.get("cause_text") and "cause_frames" not in fact:
        return "has the text of a cause, but not its frames"
    return ""


@agrees(tasks.Held)
def _has_functions(held: tasks.Held) -> str:
    if held["bytes"] and not held["functions"]:
        return "has bytes that are not a function's"
    return ""


def read_answer(verb: str, question: AnyQuestion, answer: Any) -> Any:
    """An answer of the scheduler's; `AnswerUnreadable` if it has an unknown form.

    ``verb`` is one of ``remote.scheduler.extension.VERBS`` or ``.QUESTIONS``, or
    ``"foreseen"``. Costs below a microsecond for each row of `tasks`.
    """
    name = f"recorder {question['verb']}" if verb == "recorder" else verb
    try:
        shape_of(ANSWERS[name])(answer)
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
    kind = FUNCTIONS.get((function.module, function.name))
    if kind is None or isinstance(said, BaseException):
        return said
    try:
        shape_of(kind)(said)
    except Misfit as misfit:
        return AnswerUnreadable(
            f"the answer of worker {address} cannot be read: {misfit}",
            "client.get_versions(check=True) tells whether it runs another release of "
            "Dask",
        )
    return said
