"""From a target, of whatever kind, to its failures: the earliest root cause first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dbgkit import advice
from dbgkit.errors import NoFailure
from dbgkit.model import Failure
from dbgkit.targets.located_before import relocate
from dbgkit.targets.modules import with_missing
from dbgkit.targets.resolve import sort_target
from dbgkit.targets.search import Search


def locate_failures(
    target: Any = None,
    *,
    client: Any = None,
    timeout: float = 30.0,
    specs: bool = False,
    max_bytes: int = 2**30,
    finished: bool = False,
) -> list[Failure]:
    """Failures that a target leads to, the earliest root cause first.

    Parameters
    ----------
    target
        A future, a collection, a key (also as text),
        an exception, several of these, or None.
    client : Client, optional
        By default the current client; used if the target does not have its own.
    timeout : float
        Seconds that each wait may take.
    specs : bool
        Whether to fetch what a replay needs of the first failure.
    max_bytes : int
        The most bytes of run specs to fetch.
    finished : bool
        Whether a task that has finished counts, for a replay on request.

    Returns
    -------
    list of Failure
        Never empty.
    """
    sought = sort_target(target)
    client = sought.client or client
    search = Search(client, timeout, specs, max_bytes, finished)
    groups = [[failure] for failure in sought.failures]
    groups.extend(search.of_sought(sought, bool(groups)))
    found = _merged(groups)
    if sought.failures or len(groups) > 1:
        found = relocate(found, timeout, specs, max_bytes)
    if not found:
        raise NoFailure(
            "no failure was found",
            "pass the exception, a future or a key",
        )
    return [_to_repeat(with_missing(failure, timeout)) for failure in found]


def _to_repeat(failure: Failure) -> Failure:
    """A failure that knows what the next call needs as well: see `advice`."""
    given = advice.again()
    if not given:
        return failure
    return replace(failure, evidence=replace(failure.evidence, again=given))


def _merged(groups: list[list[Failure]]) -> list[Failure]:
    """Failures from several searches, as one list: the earliest first."""
    if len(groups) == 1:
        return groups[0]
    each = {
        failure.key if failure.key is not None else id(failure): failure
        for group in reversed(groups)
        for failure in reversed(group)
    }
    # As on the scheduler: entries without a time come before all others.
    found = sorted(
        reversed(each.values()),
        key=lambda failure: failure.when.timestamp() if failure.when else 0.0,
    )
    keys = [failure.key for failure in found if failure.key is not None]
    return [
        replace(failure, others=tuple(key for key in keys if key != failure.key))
        for failure in found
    ]
