"""Asking workers what their tasks do now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.cluster.workers import PROBE_LIMIT, run_on
from dbgkit.model.secret_names import secret_names

if TYPE_CHECKING:
    from dbgkit.cluster.link import Link
    from dbgkit.remote.common.wire_peek import Peeked, PeekQuestion

_SAMPLE = ShippedFunction("worker.peek", "sample")


class Samples(NamedTuple):
    """What workers answered, and which did not, by address."""

    answers: Mapping[str, Peeked]
    errors: Mapping[str, BaseException]
    silent: Sequence[str]


def sample_workers(
    link: Link,
    wanted: Mapping[str, list[Any] | None],
    *,
    times: int,
    every: float,
    limit: int,
) -> Samples:
    """So many samples of tasks on their workers, of all workers at once.

    ``wanted`` has the keys to look at by the worker's address; None: the longest of
    what it runs, at most ``limit``. Beyond the time that the samples take, workers have
    a few seconds to answer.
    """
    question: PeekQuestion = {
        "keys": None,
        "limit": limit,
        "times": times,
        "every": every,
        "secret_names": list(secret_names()),
    }
    arguments = {at: ({**question, "keys": keys},) for at, keys in wanted.items()}
    patience = (times - 1) * every + min(PROBE_LIMIT, link.timeout)
    said = run_on(link, _SAMPLE, arguments, patience)
    errors = {at: one for at, one in said.items() if isinstance(one, BaseException)}
    return Samples(
        {at: one for at, one in said.items() if at not in errors},
        errors,
        [at for at in wanted if at not in said],
    )
