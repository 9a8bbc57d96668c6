"""What workers lack to unpickle tasks that end whatever worker receives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.starting import Starts, starts_here
from dbgkit.cluster.view import LiveView, View
from dbgkit.cluster.why import lacked_names, missing_on_workers, none_comes_again
from dbgkit.model import Death
from dbgkit.targets.modules import Lack, lacking
from dbgkit.targets.unreadable import Unreadable, unreadable

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why import End

COMES_AGAIN = 15.0  # seconds within which a nanny restarts its worker


def not_unpickled(
    view: View, ends: Sequence[End], deaths: Mapping[Any, Sequence[Death]]
) -> tuple[dict[Any, Lack], dict[Any, Unreadable]]:
    """Why workers cannot unpickle tasks that ended other workers, by key.

    They lack a module, or there is another reason.
    """
    lacks: dict[Any, Lack] = {}
    unread: dict[Any, Unreadable] = {}
    here = starts_here(view.client) if view.client else Starts()
    missing: dict[str, dict[str, list[str]]] = {}
    lacked: dict[str, dict[str, Any]] = {}
    for end in ends:
        needs = end.get("needs")
        if needs is None:
            continue
        # For tasks that Dask stopped retrying only workers that are there count.
        gone = needs["since"] > COMES_AGAIN or none_comes_again(view.client)
        stay_away = end["state"] != "erred" and gone
        suspicious, died = end.get("suspicious", 0), deaths.get(end["key"], ())
        which = repr((needs["modules"], needs["names"]))
        if which not in missing:
            missing[which] = lacked[which] = {}
            if isinstance(view, LiveView):
                missing[which] = missing_on_workers(view.link, needs)
        lack = lacking(
            needs,
            missing[which],
            stay_away=stay_away,
            suspicious=suspicious,
            deaths=died,
        )
        if lack is not None:
            lacks[end["key"]] = lack
            continue
        if isinstance(view, LiveView) and not lacked[which]:
            lacked[which] = lacked_names(view.link, needs)
        found = unreadable(
            needs,
            lacked[which],
            # What crashed was no error of unpickling.
            stay_away=stay_away and not needs["workers"] and not here.ended,
            suspicious=suspicious,
            deaths=died,
        )
        if found is not None:
            unread[end["key"]] = found
    return lacks, unread
