"""The client's side of workers' deaths: watching on, off, and what is known."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from distributed.protocol.pickle import dumps

from dbgkit.cluster.link import Link
from dbgkit.cluster.shapes import fits
from dbgkit.cluster.shipping import (
    ShippedFunction,
    ShippedNannyPlugin,
    ShippedPlugin,
    deaths_name,
)
from dbgkit.cluster.view import LiveView, View
from dbgkit.cluster.workers import addresses_of, ask_workers
from dbgkit.remote.common.wire_deaths import DeathForm
from dbgkit.remote.scheduler.deaths import unpack_keys
from dbgkit.remote.scheduler.foresight import deaths_question

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_deaths import BoxPlace, DeathsForm, DeathsQuestion

REPORT_AFTER = 3.0  # seconds in which a nanny reports its worker's end
PAUSE = 0.1  # seconds between two checks for such a report


def death_watch() -> ShippedPlugin:
    """The scheduler's part, which brings the nannies' along."""
    name = deaths_name()
    watch = ShippedNannyPlugin("nanny.deaths", "DeathWatch", name)
    return ShippedPlugin("scheduler.deaths_store", "DeathStore", name, dumps(watch))


def known_deaths(
    view: View,
    keys: Iterable[Any] | None = None,
    limit: int = 50,
    *,
    recorded_only: bool = False,
) -> DeathsForm:
    """What the scheduler knows of workers that went away, the newest first.

    Waits a moment for what nannies have still to report. With ``keys``, only workers
    that had one of these tasks; with ``recorded_only``, without what is only in Dask's
    own events and logs.

    Deaths that no nanny reported, and whose black box another worker of that host could
    read, have it as ``box``; as ``unread``, why it could not. ``odd``: how many entries
    were left out because they are malformed.
    """
    wanted = None if keys is None else list(keys)
    question = deaths_question(deaths_name(), wanted, limit, recorded_only)
    answer = _ask(view, question)
    end = time.monotonic() + REPORT_AFTER
    while _awaits_report(answer) and time.monotonic() < end:
        time.sleep(PAUSE)
        answer = _ask(view, question)
    if isinstance(view, LiveView) and answer["recorded"]:
        notes = _add_boxes(view.link, answer["deaths"])
        answer["notes"] = [*answer["notes"], *notes]
    return answer


def _ask(view: View, question: DeathsQuestion) -> DeathsForm:
    """The scheduler's answer; ``odd`` counts entries that our code did not report."""
    answer = view.ask("deaths", question).copy()
    fitting = [death.copy() for death in answer["deaths"] if fits(DeathForm, death)]
    answer["odd"] = len(answer["deaths"]) - len(fitting)
    answer["deaths"] = fitting
    return answer


def _awaits_report(answer: DeathsForm) -> bool:
    """Whether a nanny may be about to report a worker that has just gone."""
    return answer["recorded"] and any(
        death["nanny"]
        and death["report"] is None
        and not death["expected"]
        and answer["now"] - death["when"] < REPORT_AFTER
        for death in answer["deaths"]
    )


def _add_boxes(link: Link, deaths: list[DeathForm]) -> list[str]:
    """Have other workers on the same hosts read the files that nobody has read yet.

    Returns notes on those that did not answer.
    """
    unread = [
        death
        for death in deaths
        if death["report"] is None and death["box_at"] and not death["expected"]
    ]
    if not unread:
        return []
    siblings = {_host_of(each): each for each in reversed(addresses_of(link))}
    wanted: dict[str, list[BoxPlace]] = {}
    for death in unread:
        sibling = siblings.get(_host_of(death["worker"]))
        if sibling is not None and death["box_at"] is not None:
            wanted.setdefault(sibling, []).append(death["box_at"])
    function = ShippedFunction("common.boxes", "read_boxes_of")
    arguments = {sibling: (boxes,) for sibling, boxes in wanted.items()}
    read = ask_workers(link, function, arguments, list)
    boxes = {(box["worker"], box["pid"]): box for each in read.values() for box in each}
    for death in unread:
        box = boxes.get((death["worker"], death["pid"]))
        if box is not None and "unread" in box:
            death["unread"] = box["unread"]
        elif box is not None:
            death["box"] = box
            unpack_keys(box, death["processing"])
    return [
        f"{sibling} did not answer, so what workers that died on its host left there "
        "is not known"
        for sibling in wanted
        if sibling not in read
    ]


def _host_of(address: str) -> str:
    return urlsplit(address).hostname or ""
