"""Whether this process can reach the workers: a check of `doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dbgkit import advice
from dbgkit.cluster.link import Link
from dbgkit.cluster.reach import CONNECT_LIMIT, reach_of
from dbgkit.diagnose.sentences import first_lines
from dbgkit.model import Finding


def look_for_ways(link: Link, addresses: Iterable[str]) -> dict[str, bool]:
    """Whether workers that answer the scheduler can be reached from here, by address.

    What was found out is remembered, so that no replay has to wait for it.
    """
    reach = reach_of(link.client)

    async def look() -> dict[str, bool]:
        ways = await reach.try_all(link.client, addresses, CONNECT_LIMIT)
        reach.remember(address for address, good in ways.items() if not good)
        return ways

    what = "connections to the workers"
    return link.call(look, what=what, limit=CONNECT_LIMIT + 5)


def check_reach(ways: Mapping[str, bool]) -> list[Finding]:
    """Whether data can come directly from the workers; see `look_for_ways`."""
    if not ways:
        return []
    missed = [address for address, good in ways.items() if not good]
    if not missed:
        return [Finding("reach", "ok", "data comes directly from the workers")]
    return [
        Finding(
            "reach",
            "warning",
            f"{len(missed)} of {len(ways)} workers cannot be reached from here: "
            "their data comes through the scheduler",
            "that is slower, and takes the scheduler's memory: debug from within the "
            "workers' network, or leave large data there with "
            f"{advice.option('where', 'worker')}",
            first_lines(f"worker {address}" for address in missed),
        )
    ]
