"""The recorder's switch: who wants it on, and which parts are installed.

Everything that turns it on or off goes through here, in the scheduler's own loop, so
that it is complete or gone, however many clients use it. The scheduler, the workers and
the nannies are asked for their parts: a missing one is put back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

from .plugins import Spread

if TYPE_CHECKING:
    from ..common.wire_recordings import IsOff, RecorderSettings, Without


class Store(Protocol):
    """The recorder's part on the scheduler, as its switch needs it."""

    def add_handlers(self) -> None: ...
    def remove_handlers(self) -> None: ...
    def forget(self) -> None: ...


def page_name(name: str) -> str:
    """Name of the page's part, by that of the recorder's."""
    return f"{name}-dashboard"


class Switch:
    """Has a recorder on for as long as somebody wants it.

    The name is that of the plugins of scheduler and workers; ``deaths`` has name and
    pickle of the part that watches deaths.
    """

    def __init__(
        self, scheduler: Any, name: str, store: Store, deaths: tuple[str, bytes]
    ) -> None:
        self.scheduler = scheduler
        self.name = name
        self.store = store
        self.deaths = deaths
        # Who wants it: ids of clients, each with a token for each use.
        self.claims: dict[str, set[str]] = {}
        self.revision = 0
        self.plugin = b""
        self.spread = Spread(
            scheduler,
            name,
            lambda: scheduler.workers,
            ("plugin-add", "plugin-remove"),
            parting=True,
            on_idle=self._leave,
        )

    @property
    def is_on(self) -> bool:
        return bool(self.claims)

    async def on(
        self,
        owner: str,
        token: str,
        plugin: bytes | None,
        settings: RecorderSettings,
        page: bytes | None,
        limit: float,
    ) -> Without:
        """Turn it on for somebody, and put back what is missing of it.

        Parameters
        ----------
        owner, token : str
        plugin : bytes or None
            The workers' part, if it is another one than before.
        settings : dict
            As that part has them.
        page : bytes or None
            The part that shows a page, if it is wanted.
        limit : float
            Seconds to wait for workers and nannies.

        Returns
        -------
        dict
            ``without``: by address, why it is not there (yet); ``broken``: where it
            failed as it started. Then it is off again, if nobody had it on before.
        """
        was_on = self.is_on
        self.claims.setdefault(owner, set()).add(token)
        if plugin is not None:
            self.revision += 1
            self.plugin = plugin
        self.scheduler.plugins.setdefault(self.name, self.store)
        self.store.add_handlers()
        # Workers that join later start with it.
        self.scheduler.worker_plugins[self.name] = self.plugin
        # First: workers report their black boxes to it as they start.
        deaths = await self._deaths()
        deaths.turn_on(self._leave)
        await self._show(page)
        self.spread.want(self.revision, self.plugin, settings)
        without = await self._settled(limit)
        broken = {} if was_on else dict(self.spread.failed)
        if broken:
            # It would keep later workers from starting.
            await self.off(owner, (), False, limit)
        return {"without": without, "broken": broken}

    async def off(
        self, owner: str, keep: Collection[str], orphans: bool, limit: float
    ) -> IsOff:
        """Turn it off for somebody; for all, if nobody else wants it.

        Parameters
        ----------
        owner : str
        keep : collection of str
            Tokens of uses of the owner's that go on.
        orphans : bool
            Whether claims of those that are no longer connected are dropped.
        limit : float
            Seconds to wait for workers and nannies.

        Returns
        -------
        dict
            ``others``: how many others want it; ``without``: by address, why it is
            still there. It goes as soon as they answer.
        """
        left = self.claims.pop(owner, set()) & set(keep)
        if left:
            self.claims[owner] = left
        if orphans:
            for gone in self.claims.keys() - self.scheduler.clients.keys():
                del self.claims[gone]
        if self.claims:
            others = len(self.claims) - (owner in self.claims)
            return {"others": others, "without": {}}
        await self._end()
        without = await self._settled(limit)
        self._leave()
        return {"others": 0, "without": without}

    async def _end(self) -> None:
        """Begin to remove everything, also what somebody else has left of it."""
        self.scheduler.plugins.setdefault(self.name, self.store)
        if self.scheduler.worker_plugins.pop(self.name, None) and not self.revision:
            self.spread.suppose()
        self.store.forget()
        self._hide()
        self.spread.want_none()
        (await self._deaths()).turn_off(self._leave)

    async def _show(self, page: bytes | None) -> None:
        """Show a page, if there is to be one and there is none yet."""
        name = page_name(self.name)
        if page is not None and name not in self.scheduler.plugins:
            await self.scheduler.register_scheduler_plugin(
                page, name=name, idempotent=True
            )
            if not self.is_on:  # it was turned off meanwhile
                self._hide()

    def _hide(self) -> None:
        page = self.scheduler.plugins.pop(page_name(self.name), None)
        if page is not None:
            page.leave()

    async def _deaths(self) -> Any:
        """The part that watches deaths, which is put there if it is not."""
        name, pickled = self.deaths
        found = self.scheduler.plugins.get(name)
        if found is None:
            await self.scheduler.register_scheduler_plugin(
                pickled, name=name, idempotent=True
            )
            found = self.scheduler.plugins[name]
        return found

    async def _settled(self, limit: float) -> dict[str, str]:
        deaths = self.scheduler.plugins.get(self.deaths[0])
        spreads = [self.spread, *([] if deaths is None else [deaths.spread])]
        found = await asyncio.gather(*(each.settled(limit) for each in spreads))
        return {address: why for each in found for address, why in each.items()}

    def _leave(self) -> None:
        """Leave the scheduler, once it is off and no worker or nanny has it."""
        deaths = self.scheduler.plugins.get(self.deaths[0])
        is_idle = self.spread.is_idle and (deaths is None or deaths.spread.is_idle)
        if self.is_on or not is_idle:
            return
        if deaths is not None:
            deaths.leave()
            self.scheduler.plugins.pop(self.deaths[0], None)
        self.store.remove_handlers()
        if self.scheduler.plugins.get(self.name) is self.store:
            del self.scheduler.plugins[self.name]


def plain(settings: RecorderSettings) -> RecorderSettings:
    """Settings to compare: on the way, lists become tuples."""
    return {**settings, "secret_names": list(settings["secret_names"])}


def merged(current: RecorderSettings, given: RecorderSettings) -> RecorderSettings:
    """Settings of a recorder that is on, and those that are given.

    What somebody wanted hidden stays hidden, and a page stays for whoever wanted it.
    """
    names = [*current["secret_names"], *given.get("secret_names", ())]
    page = current["dashboard"] or given.get("dashboard", False)
    return plain(
        {
            **current,
            **given,
            "secret_names": list(dict.fromkeys(names)),
            "dashboard": page,
        }
    )
