"""What the scheduler's extension answers to each question, field by field.

Each answer is checked once as it arrives, by `read_answer`: whoever reads it after that
relies on its fields. The functions that make them are named next to their shapes.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from distributed.protocol import Serialize
from distributed.protocol.serialize import ToPickle

from dbgkit.cluster.answers_failures import FAILURES, SPAN, VISIT
from dbgkit.cluster.answers_why import WHY
from dbgkit.cluster.shapes import (
    Misfit,
    Shape,
    anything,
    asked,
    by,
    count,
    data,
    each,
    either,
    flag,
    key,
    maybe,
    maybe_number,
    moment,
    number,
    real,
    record,
    row,
    rows,
    scalar,
    table,
    text,
    texts,
    whole,
)
from dbgkit.errors import AnswerUnreadable

# -- tasks ---------------------------------------------------------------------

# ``remote.scheduler.tasks``
ROWS = rows(
    {
        "key": key,
        "state": text,
        "prefix": text,
        "workers": texts,
        "omitted_workers": count,
        "nbytes": maybe_number,
        "waiting_on": count,
        "dependents": count,
        "retries": maybe_number,  # as the user had it
        "suspicious": count,
        "restrictions": text,
        "since": maybe_number,
        "exception": text,
        "blame": key,
    }
)
SUMMARY = table(table(count))
TASKS = record(
    {
        "rows": ROWS,
        "matched": count,
        "summary": SUMMARY,
        "near": table(text),
        "unknown_keys": each(asked),
        **SPAN,
    }
)
COUNTS = record(
    {
        "summary": SUMMARY,
        "workers": table(count),
        "threads": count,
        "address": text,
        **SPAN,
    }
)


def _names_its_nodes(graph: Mapping[str, Any]) -> str:
    """Whether edges and gaps name nodes that are there."""
    named = [at for edge in graph["edges"] for at in edge]
    named += [at for gap in graph["gaps"] for at in gap[:2]]
    named.append(graph["asked"] or 0)
    return "names nodes that are not there" if max(named) >= len(graph["nodes"]) else ""


# ``remote.scheduler.graph``
GRAPH = record(
    {
        "nodes": each(row(key, text, text, whole, whole), 1),
        "edges": each(row(count, count)),
        "gaps": each(row(count, count, count)),
        "asked": maybe(count),
    },
    agree=_names_its_nodes,
)
# ``remote.scheduler.story.tell_history``
STORY = record(
    {
        "now": moment,
        "key": key,
        "state": text,
        "moments": each(row(moment, text, text, text)),
        "notes": each(text),
        "similar": each(text),
    }
)

# -- doctor --------------------------------------------------------------------

# ``remote.scheduler.doctor``, ``remote.common.settings.read_settings``
PACKAGES = maybe(table(text))
SETTINGS = table(scalar)
DOCTOR = record(
    {
        "now": moment,
        "scheduler": PACKAGES,
        "clients": each(record({"id": text, "packages": table(text)})),
        "workers": each(
            record(
                {
                    "address": text,
                    "status": text,
                    "nanny": maybe(text),
                    "silent": maybe(number),
                    "memory": maybe(number),
                    "memory_limit": maybe(number),
                    "packages": PACKAGES,
                }
            )
        ),
        "workers_left_out": count,
        "transitions": record(
            {
                "length": count,
                "most": maybe(count),
                "since": maybe(moment),
                "made": maybe(count),
            }
        ),
        "failures": maybe(
            record({"length": count, "most": maybe(count), "since": maybe(moment)})
        ),
        "allowed_failures": maybe(real),
        "settings": SETTINGS,
        "worker_settings": SETTINGS,
        "not_dumped": each(text),
        "lost_tracebacks": each(key),
    }
)

# -- deaths, recordings --------------------------------------------------------

# ``remote.scheduler.deaths.tell_deaths``. Anybody can report a worker's end: each is
# looked at for itself (see `answers_deaths`), as are the headers of recordings.
DEATHS = record(
    {
        "deaths": each(record({})),
        "omitted": count,
        "total": count,
        "recorded": flag,
        "since": maybe(moment),
        "notes": each(text),
        "now": moment,
    }
)


def _answer(shape: Shape) -> Shape:
    """``remote.scheduler.recordings.ask_recorder`` passes it on."""
    return record({"answer": shape})


# ``remote.scheduler.recordings_store``, by the verb of the recorder's part
RECORDINGS = maybe(
    record(
        {
            "headers": each(record({})),
            "omitted": count,
            "counts": table(count),
            "held": count,
            "hold": count,
            "inputs": record({"kept": count, "nbytes": count}),
            "since": moment,
        }
    )
)
SWITCHED_ON = either(
    "settings",
    record({"settings": table(anything)}),
    record({"was_on": flag, "without": table(text), "broken": table(text)}),
)
SWITCHED_OFF = maybe(record({"others": count, "without": table(text)}))

# -- what a visit tells besides ------------------------------------------------

# ``remote.scheduler.foresight``: verbs, questions and answers, read as they are taken
FORESEEN = each(row(text, record({}), record({})))


def _raised(value: Any) -> None:
    """What ``distributed.core.clean_exception`` makes an exception of."""
    if not isinstance(value, (bytes, str, BaseException, Serialize, ToPickle)):
        raise Misfit(f"is {reprlib.repr(value)}, no exception")


# ``remote.scheduler.foresight.run_on_workers``: what came of a call, or an error
RUN = table(
    by(
        "status",
        {"OK": record({"result": anything}), "gone": anything, "silent": anything},
        record({"exception": _raised}),
    )
)

ANSWERS: dict[str, Shape] = {
    "visit": VISIT,
    "progress": table(count),
    "run": RUN,
    "foreseen": FORESEEN,
    "failures": FAILURES,
    "tasks": TASKS,
    "counts": COUNTS,
    "why": WHY,
    "around": record({"graphs": each(maybe(GRAPH))}),
    "story": STORY,
    "doctor": DOCTOR,
    "deaths": DEATHS,
    "recorder list": _answer(RECORDINGS),
    "recorder fetch": _answer(maybe(table(data, whole))),
    "recorder on": _answer(SWITCHED_ON),
    "recorder off": _answer(SWITCHED_OFF),
}


def read_answer(verb: str, question: Mapping[str, Any], answer: Any) -> Any:
    """An answer of the scheduler's, if it is one.

    Parameters
    ----------
    verb : str
        Of ``remote.scheduler.extension.VERBS`` or ``.QUESTIONS``; or ``"foreseen"``.
    question : mapping
    answer
        As it came.

    Raises
    ------
    AnswerUnreadable
        Nothing that is known here would answer so.

    Notes
    -----
    Cost: below a microsecond for each row of `tasks`, nothing to speak of for others.
    """
    name = f"recorder {question['verb']}" if verb == "recorder" else verb
    try:
        ANSWERS[name](answer)
        _suits(name, question, answer)
    except Misfit as misfit:
        raise _unreadable(name, misfit) from misfit
    return answer


def _suits(name: str, question: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """Whether an answer has what its question asked for.

    Raises
    ------
    Misfit
    """
    if name == "visit" and not question.get("states_only"):
        if len(answer["asked"]) < len(question.get("keys", ())):
            raise Misfit("is shorter than what was asked for").within("asked")
        if question.get("specs") and answer["tasks"]:
            # What leads to the first failure, or to what was asked for, comes along.
            first = (*answer["failures"], *answer["asked"])[:1]
            if first and all(row["key"] != first[0]["key"] for row in answer["tasks"]):
                raise Misfit(f"lacks {first[0]['key']!r}").within("tasks")
    elif name == "why":
        if question["keys"] is None:
            if answer["cluster"] is None:
                raise Misfit("is missing").within("cluster")
        elif not (answer["ends"] or answer["unknown"]):
            raise Misfit("has nothing of what was asked for").within("ends")


def _unreadable(name: str, misfit: Misfit) -> AnswerUnreadable:
    import distributed

    from dbgkit._version import __version__

    return AnswerUnreadable(
        f"the scheduler's answer to {name!r} cannot be read: {misfit}",
        "does the scheduler run another release of Dask? client.get_versions(check="
        "True) tells; if it does not, please report this (here are dbgkit "
        f"{__version__} and distributed {distributed.__version__})",
    )
