"""Asking workers: each runs a function of ours, all at once, within a limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from distributed.protocol.pickle import dumps

from dbgkit.cluster.answers import read_said
from dbgkit.cluster.asking import result_of
from dbgkit.cluster.link import Link
from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.errors import AnswerUnreadable, NotHere, SchedulerGone
from dbgkit.remote.common.texts import safe_repr

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import Called
    from dbgkit.remote.common.wire_tasks import Surroundings

T = TypeVar("T")

PROBE_LIMIT = 5.0  # seconds for a worker to answer a small question


def ask_workers(
    link: Link,
    function: ShippedFunction,
    arguments: Mapping[str, tuple[Any, ...]],
    kind: type[T],
    limit: float | None = None,
    *,
    nannies: bool = False,
) -> dict[str, T]:
    """What some workers answer, by address; those without such an answer are left out.

    ``arguments`` are those of each worker, by its address. What is not of the ``kind``,
    or cannot be read, or was raised, is not an answer. All have ``limit`` seconds, at
    most as long as a wait of the link. With ``nannies``, their nannies are asked.
    """
    limit = min(PROBE_LIMIT if limit is None else limit, link.timeout)
    said = run_on(link, function, arguments, limit, nannies=nannies)
    return {each: answer for each, answer in said.items() if isinstance(answer, kind)}


def run_on(
    link: Link,
    function: ShippedFunction,
    arguments: Mapping[str, tuple[Any, ...]],
    limit: float,
    *,
    nannies: bool = False,
) -> dict[str, Any]:
    """What a function returns on some workers, each with its own arguments.

    Workers that the scheduler does not list are not asked. They are left out, as are
    those that do not answer within the limit. If a function raised, the exception is
    its answer; if an answer cannot be read, the error that says so.

    Cost: one call, and the scheduler's to the workers, all at once.
    """
    if not arguments:
        return {}
    question = {
        "function": dumps(function),
        "arguments": {where: dumps(args) for where, args in arguments.items()},
        "limit": limit,
        **({"nannies": True} if nannies else {}),
    }
    answers = link.answer("run", question, what="the workers' answers", limit=limit + 5)
    return read_all_said(function, answers)


def read_all_said(
    function: ShippedFunction, answers: Mapping[str, Called]
) -> dict[str, Any]:
    """What workers answered, each checked as an answer of that function."""
    return {
        address: _refused(address)
        if answer["status"] == "refused"
        else read_said(function, address, result_of(answer))
        for address, answer in answers.items()
        if answer["status"] not in ("gone", "silent")
    }


def _refused(address: str) -> NotHere:
    """The error of a worker that is configured to run no functions."""
    return NotHere(
        f"worker {address} runs no functions: its configuration has 'run' in "
        "distributed.worker.blocked-handlers",
        "whoever administers the cluster decides that",
    )


def addresses_of(link: Link) -> list[str]:
    """Addresses of all workers that the scheduler knows."""
    return sorted(link.call(link.client.nthreads, what="the scheduler's answer"))


def surroundings(link: Link, address: str, packages: tuple[str, ...]) -> Surroundings:
    """A worker's environment: see ``remote.worker.environment``."""
    function = ShippedFunction("worker.environment", "describe_process")
    limit = min(link.timeout, 10.0)
    answer = run_on(link, function, {address: (packages,)}, limit).get(address)
    if answer is None:
        raise SchedulerGone(f"worker {address} has left, or does not answer", "")
    if isinstance(answer, AnswerUnreadable):
        raise answer
    if isinstance(answer, BaseException):
        raise SchedulerGone(
            f"worker {address} could not describe itself: {safe_repr(answer)}", ""
        )
    described: Surroundings = answer
    return described


def logs_of(link: Link, *, nannies: bool = False) -> dict[str, list[str]]:
    """Log lines that all workers, or their nannies, still have, by address."""
    what = f"the {'nannies' if nannies else 'workers'}' logs"
    logs = link.call(link.client.get_worker_logs, nanny=nannies, what=what)
    return {
        address: [str(message) for _, message in lines]
        for address, lines in logs.items()
        if not isinstance(lines, (str, BaseException))
    }
