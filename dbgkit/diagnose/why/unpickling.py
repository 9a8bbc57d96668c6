"""Causes of tasks that end whatever worker receives them: it cannot unpickle them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dbgkit import advice as advised
from dbgkit.diagnose.sentences import Words, counted, seconds, show
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.targets.modules import Lack, advice_of, evidence_of, modules_of
from dbgkit.targets.unreadable import (
    Unreadable,
    reason_of,
    unreadable_advice,
    unreadable_evidence,
)

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Needs

_NO_USE = "waiting does not help: every further worker would end in the same way"
_CLOSES = (
    "a worker that cannot deserialize a task closes, and its nanny does not restart it"
)
_START_SOME = "then start workers: cluster.scale(n), or dask worker ADDRESS"


def find_module_missing(look: Look) -> Iterator[Cause[tuple[Needs, Lack]]]:
    for end in look.answer["ends"]:
        lack, needs = look.lack_of(end), end.get("needs")
        if lack is not None and needs is not None:
            yield Cause((needs, lack), end, like=(lack.modules, lack.certain))


def module_missing(cause: Cause[tuple[Needs, Lack]]) -> Words:
    needs, lack = cause.first
    surely = "as" if lack.certain else "most likely as"
    evidence = [evidence_of(lack)] if lack.certain else []
    evidence += [*_lasted(cause, needs), _CLOSES]
    advice = [_NO_USE, *advice_of(lack)]
    if not needs["workers"]:
        advice.append(_START_SOME)
    advice.append(
        "registering a module by value does not help: the graph is pickled as a whole"
    )
    summary = f"{_ends(cause)}, {surely} {modules_of(lack)} is missing there"
    return summary, evidence, advice


# What a task needs, why it cannot be unpickled, how many nannies closed in good order.
NotRead = tuple["Needs", Unreadable, int]


def find_cannot_unpickle(look: Look) -> Iterator[Cause[NotRead]]:
    for end in look.answer["ends"]:
        found, needs = look.unread_of(end), end.get("needs")
        if found is not None and needs is not None:
            yield Cause((needs, found, look.starts.left), end, like=found)


def cannot_unpickle(cause: Cause[NotRead]) -> Words:
    needs, found, closed = cause.first
    reason = reason_of(found)
    because = f": {reason}" if reason else ""
    surely = "as" if found.error or found.names else "most likely as"
    lasted = _lasted(cause, needs, told=bool(found.error))
    evidence = [*unreadable_evidence(found), *lasted, _CLOSES]
    advice = [_NO_USE, *unreadable_advice(found)]
    if not found.known:
        evidence.append(
            "the error is not recorded: the worker wrote it to its standard error, "
            'below "Failed to deserialize"'
        )
        if needs["by_value"]:
            evidence.append(
                "it holds code, which only workers of the same Python can unpickle; "
                "which one they ran is not recorded"
            )
        advice.append(
            "look for that line in the output of the workers, or of the cluster's jobs"
        )
    if closed and not found.known:
        evidence.append(
            "they did not crash: their nannies have logged that they closed as they "
            "could not read on what the scheduler sent"
        )
    elif not found.known:
        advice.append(
            "if they had no nannies, it may have crashed them instead: "
            f"{advised.call('record')} before the next worker starts makes "
            f"{advised.call('deaths')} say more"
        )
    if not needs["workers"]:
        advice.append(_START_SOME)
    return (
        f"{_ends(cause)}, {surely} it cannot be unpickled there{because}",
        evidence,
        advice,
    )


def _ends(cause: Cause[Any]) -> str:
    if cause.count > 1:
        return f"{cause.tasks} end every worker that receives one of them"
    return f"{show(cause.key)} ends every worker that receives it"


def _lasted(cause: Cause[Any], needs: Needs, told: bool = False) -> list[str]:
    if not needs["lasted"]:
        return []
    longest = max(needs["lasted"])
    when = "at once" if longest < 0.1 else f"within {seconds(longest)}"
    return [
        f"{counted(len(needs['lasted']), 'worker')} that {show(cause.key)} was "
        f"sent to ended {when}{'' if told else ', without an error message'}"
    ]
