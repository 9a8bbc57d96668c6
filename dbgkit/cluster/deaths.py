"""The client's side of what becomes of workers: on, off, and what is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from distributed.protocol.pickle import dumps

from dbgkit.cluster.link import Link
from dbgkit.cluster.shipping import (
    ShippedFunction,
    ShippedNannyPlugin,
    ShippedPlugin,
    digest_of,
)
from dbgkit.cluster.view import LiveView, View
from dbgkit.remote.deaths_events import unpack_keys

REPORT_AFTER = 3.0  # seconds in which a nanny reports its worker's end
PAUSE = 0.1  # seconds between two looks for such a report
SIBLINGS_LIMIT = 5.0  # seconds for another worker of the host to read a black box


def deaths_name() -> str:
    """Name of the plugins: one for each version of their sources."""
    return f"dbgkit-deaths-{digest_of('deaths')}-{digest_of('deaths_nanny')}"


def death_watch() -> ShippedPlugin:
    """The scheduler's part, which brings the nannies' along."""
    name = deaths_name()
    watch = ShippedNannyPlugin("deaths_nanny", "DeathWatch", name)
    return ShippedPlugin("deaths", "DeathStore", name, dumps(watch))


def forget_deaths(link: Link) -> None:
    """Take off what unregistering a plugin leaves, the nannies' part too."""
    question = {"name": deaths_name(), "verb": "remove", "options": {}}
    link.question("recorder", question)


def known_deaths(
    view: View,
    keys: Iterable[Any] | None = None,
    limit: int = 50,
    *,
    recorded_only: bool = False,
) -> dict[str, Any]:
    """What the scheduler knows of workers that went away, the newest first.

    Waits a moment for what nannies have still to report.

    Parameters
    ----------
    view : LiveView or DumpView
    keys : iterable of Key, optional
        Only workers that had one of these tasks.
    limit : int
    recorded_only : bool
        Whether to leave out what Dask's own events and logs tell.

    Returns
    -------
    dict
        See ``remote.deaths_events.tell_deaths``. Deaths that no nanny reported, and
        whose black box another worker of that host could read, have it as ``box``.
    """
    question = {
        "name": deaths_name(),
        "keys": None if keys is None else list(keys),
        "limit": limit,
        "recorded_only": recorded_only,
    }
    answer = view.ask("deaths", question)
    end = time.monotonic() + REPORT_AFTER
    while _awaits_report(answer) and time.monotonic() < end:
        time.sleep(PAUSE)
        answer = view.ask("deaths", question)
    if isinstance(view, LiveView) and answer["recorded"]:
        notes = _add_boxes(view.link, answer["deaths"])
        answer["notes"] = [*answer["notes"], *notes]
    return answer


def _awaits_report(answer: Mapping[str, Any]) -> bool:
    """Whether a nanny may be about to report a worker that has just gone."""
    return answer["recorded"] and any(
        death["nanny"]
        and death["report"] is None
        and not death["expected"]
        and answer["now"] - death["when"] < REPORT_AFTER
        for death in answer["deaths"]
    )


def _add_boxes(link: Link, deaths: list[dict[str, Any]]) -> list[str]:
    """Have other workers of the same hosts read what nobody else has read.

    Returns notes on those that did not answer.
    """
    unread = [
        death
        for death in deaths
        if death["report"] is None and death["pid"] and not death["expected"]
    ]
    if not unread:
        return []
    siblings: dict[str, str] = {}
    for address in link.client.scheduler_info(n_workers=-1)["workers"]:
        siblings.setdefault(_host_of(address), address)
    wanted: dict[str, list[tuple[str, int]]] = {}
    for death in unread:
        sibling = siblings.get(_host_of(death["worker"]))
        if sibling is not None:
            # An address may be used again, and so may a process id.
            gone = (death["worker"], death["pid"])
            wanted.setdefault(sibling, []).append(gone)
    if not wanted:
        return []
    answers = link.call(
        _read_on, link, wanted, what="workers' answers", limit=2 * SIBLINGS_LIMIT
    )
    boxes = [box for found in answers.values() for box in found or ()]
    found = {(box["worker"], box["pid"]): box for box in boxes}
    for death in unread:
        box = death["box"] = found.get((death["worker"], death["pid"]))
        if box is not None:
            unpack_keys(box, death["processing"])
    return [
        f"{sibling} did not answer, and could not tell what workers that had died on "
        "its host had left there"
        for sibling, boxes_read in answers.items()
        if boxes_read is None
    ]


def _host_of(address: str) -> str:
    return urlsplit(address).hostname or ""


async def _read_on(
    link: Link, wanted: Mapping[str, list[tuple[str, int]]]
) -> dict[str, list[dict[str, Any]] | None]:
    """What each of some workers reads; None of one that does not answer."""
    function = ShippedFunction("boxes", "read_boxes_of")

    async def read(sibling: str) -> list[dict[str, Any]] | None:
        running = link.client.run(
            function, wanted[sibling], workers=[sibling], on_error="return"
        )
        try:
            answers = await asyncio.wait_for(running, SIBLINGS_LIMIT)
        except asyncio.TimeoutError:
            return None
        answer = answers.get(sibling)
        return answer if isinstance(answer, list) else None

    return dict(zip(wanted, await asyncio.gather(*map(read, wanted)), strict=True))
