"""A page on the scheduler's own HTTP server: failures by root cause, and what blocks.

It asks what the client's side asks, of the same extension, and only while somebody
looks at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic, time
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin
from tornado.web import HTTPError, RequestHandler

from ..common.pacing import Pace
from ..common.sentences import clock, counted, size
from .dashboard_facts import Item, Teller
from .dashboard_html import EVERY, HEADERS, Html, joined, page, tag
from .dashboard_place import add_page, drop_page, has_dashboard
from .dashboard_why import Line, overview_line, stand_of

GROUPS = 30
DEATHS = 10
HEADERS_READ = 1_000  # of recordings
REST = 10  # times as long as the answer took, until it is made anew
PATIENCE = 10.0  # seconds that a reader waits for the answer
LONGEST = 120.0  # seconds until an answer is given up
PING = 1.0  # seconds for a worker to say that it is there


class Dashboard(SchedulerPlugin):  # type: ignore[misc]
    """The page, for as long as this plugin is there.

    Parameters
    ----------
    recorder, deaths : str
        Names of the recorder's parts on the scheduler.
    extension : (str, bytes)
        Name and pickle of what answers questions: it is put there if it is not.
    """

    def __init__(
        self, recorder: str, deaths: str, extension: tuple[str, bytes]
    ) -> None:
        self.recorder = recorder
        self.deaths = deaths
        self.extension = extension
        self.scheduler: Any = None
        self.shown = ""
        self._due = 0.0
        self._making: asyncio.Task[None] | None = None

    async def start(self, scheduler: Any) -> None:
        """Called again as the scheduler starts, where a preload has put it there."""
        if self.scheduler is None:
            self.scheduler = scheduler
            self.application = add_page(scheduler, Handler, self)

    def leave(self) -> None:
        """Take the page away."""
        drop_page(self.scheduler, self.application)
        if self._making is not None:
            self._making.cancel()

    async def before_close(self) -> None:
        self.leave()

    async def html(self) -> str:
        """The page, at most some seconds old, unless it takes longer to be made.

        However many readers there are, it is made once.
        """
        if self._making is None and monotonic() >= self._due:
            self._making = asyncio.ensure_future(self._make())
        if self._making is not None:
            making = self._making
            await asyncio.wait({making}, timeout=PATIENCE)
            if making.cancelled():
                raise HTTPError(404)
            if making.done():
                making.result()
        return self.shown or page(
            "dbgkit", tag("p", "The scheduler is still counting.")
        )

    async def _make(self) -> None:
        began = monotonic()
        try:
            self.shown = await asyncio.wait_for(self._made(), LONGEST)
        finally:
            took = monotonic() - began
            self._due = monotonic() + max(EVERY * 0.8, took * REST)
            self._making = None

    async def _made(self) -> str:
        found = self.scheduler.plugins.get(self.extension[0])
        if found is None:
            name, pickled = self.extension
            await self.scheduler.register_scheduler_plugin(
                pickled, name=name, idempotent=True
            )
            found = self.scheduler.plugins[name]
        failures = await found.ask("failures", {"limit": GROUPS})
        why = await found.ask("why", {"keys": None, "ping": PING})
        held = await self._ask(self.recorder, limit=HEADERS_READ)
        deaths = await self._ask(self.deaths, limit=DEATHS)
        settings = getattr(self.scheduler.plugins.get(self.recorder), "settings", {})
        names = settings.get("secret_names", ())
        now = time()
        teller = Teller(self.scheduler.address, names, now)
        recorded = {each["key"] for each in (held or {}).get("headers", ())}
        items, pace = [], Pace()
        for group in failures["groups"]:
            items.append(teller.failures(group, recorded))
            await pace.checkpoint()
        address = self.scheduler.address
        stand = stand_of(why, teller.key)
        return page(
            f"dbgkit · {address}",
            tag("h1", "dbgkit"),
            tag("p", teller.safe(address), " · ", overview_line(why["cluster"])),
            tag("p", f"as of {clock(now)}", *self._links(), class_="dim"),
            *_section(
                "What blocks",
                "Nothing that the scheduler knows of is blocked",
                [_line(teller, each, "yellow") for each in stand.blocks],
                *stand.notes,
            ),
            *_advised(teller, stand.blocks),
            *_running(teller, stand.runs),
            *_section(
                "Failures by root cause",
                "No task has failed",
                items,
                *_totals(failures),
            ),
            *_deaths(teller, deaths),
            *_recordings(teller, held),
        )

    def _links(self) -> Iterable[str]:
        """To Dask's own dashboard, which is next to it: a proxy changes the rest."""
        if has_dashboard(self.scheduler):
            yield from (" · ", tag("a", "Dask's dashboard", href="status"))

    async def _ask(self, name: str, **options: Any) -> Any:
        """What a part of the recorder has; None where it is off."""
        handler = self.scheduler.handlers.get(f"{name}-list")
        return None if handler is None else await handler(**options)


class Handler(RequestHandler):  # type: ignore[misc]
    """Answers to GET, and nothing else; who may, Dask's own pages say."""

    def initialize(self, page: Dashboard) -> None:
        self.page = page

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    async def get(self) -> None:
        self.finish(await self.page.html())


# -- the parts of the page -----------------------------------------------------------


def _section(
    title: str, none: str, items: Iterable[Item], *notes: str
) -> Iterable[Html]:
    """A title, what is said of all, and each; or that there is none."""
    shown = [_item(item) for item in items]
    if not shown:
        return [tag("h2", title), tag("p", f"{none}.", class_="green")]
    return [
        tag("h2", title),
        *(tag("p", note, class_="dim") for note in notes if note),
        *shown,
    ]


def _item(item: Item) -> Html:
    title = (tag("span", text, class_=style) for style, text in item.title)
    lines = (tag("p", line, class_="dim") for line in item.lines)
    go_on = [tag("code", item.go_on)] if item.go_on else []
    return tag("div", tag("p", joined(*title)), *lines, *go_on, class_="item")


def _line(teller: Teller, line: Line, style: str) -> Item:
    return Item(
        ((style, teller.safe(line.text)),), tuple(map(teller.safe, line.evidence))
    )


def _advised(teller: Teller, blocks: Any) -> Iterable[Html]:
    """What leads on from what blocks: the page itself has no advice."""
    if blocks:
        why = tag("code", teller.command("why"))
        yield tag("p", "To see what helps:", why, class_="dim")


def _running(teller: Teller, lines: list[Line]) -> Iterable[Html]:
    if not lines:
        return []
    note = "To see whether one of these is stuck, and where:"
    return [
        *_section("What runs", "", [_line(teller, each, "") for each in lines]),
        tag("p", note, tag("code", teller.command("why")), class_="dim"),
    ]


def _totals(failures: Any) -> list[str]:
    """How many failed, besides those that are shown."""
    text = f"{counted(failures['total'], 'task')} failed"
    if failures["cascaded"]:
        text += f"; {failures['cascaded']:,} more failed because of them"
    if failures["healed"]:
        text += f"; {failures['healed']:,} failed and then succeeded in a retry"
    more = failures["omitted"]
    omitted = counted(more, "more root cause")
    return [text, f"{omitted}, not shown" if more else ""]


def _deaths(teller: Teller, held: Any) -> Iterable[Html]:
    """Workers that went away, of which nobody had asked that."""
    deaths = [each for each in (held or {}).get("deaths", ()) if not _wanted(each)]
    if not deaths:
        return []
    return [
        *_section("Workers that went away", "", map(teller.death, deaths)),
        tag("p", "To see why:", tag("code", teller.command("deaths")), class_="dim"),
    ]


def _wanted(death: Any) -> bool:
    return bool(death["restarted"] or death["expected"] is True)


def _recordings(teller: Teller, held: Any) -> Iterable[Html]:
    if held is None:
        return []
    count = len(held["headers"]) + held["omitted"]
    text = f"{counted(count, 'recording')} of failures, {size(held['held'])}"
    dropped = held["counts"].get("dropped", 0)
    if dropped:
        text += f"; {dropped:,} older ones were dropped"
    return [
        tag("h2", "Recordings"),
        tag("p", text, tag("code", teller.command("recordings"))),
    ]
