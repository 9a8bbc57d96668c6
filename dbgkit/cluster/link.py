"""One conversation with one cluster: each wait has a limit, and nothing is changed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from distributed.comm import CommClosedError
from distributed.utils_comm import gather_from_workers

from dbgkit.cluster.clients import event_loop, is_open, loop_thread_is_here
from dbgkit.cluster.shipping import ShippedFunction, ShippedPlugin, digest_of
from dbgkit.errors import InputMoved, InputUnreadable, SchedulerGone, WaitTimedOut

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

PROBE_AFTER = 2.0  # seconds that a pull may take before its workers are probed
PROBE_LIMIT = 5.0  # seconds for a worker to answer the probe
SLOWEST_PULL = 1_000_000  # bytes a second: Dask sends a long list no faster

_PASSED_ON = "workers cannot be reached from here: the scheduler passes their data on"

# Clients whose scheduler is known to have the extension.
_installed: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def extension_name() -> str:
    """Name of the scheduler extension: one for each version of its source."""
    return f"dbgkit-{digest_of('scheduler')}"


class Link:
    """Asks one cluster, from outside of its event loop.

    Parameters
    ----------
    client : Client
    timeout : float
        Seconds that each wait may take.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        if not is_open(client):
            raise SchedulerGone(
                f"the client is {client.status}",
                "connect a new Client, or hand in the exception: what its traceback "
                "still holds may be enough",
            )
        self.client = client
        self.timeout = timeout

    # -- waiting ------------------------------------------------------------

    def call(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        what: str,
        limit: float | None = None,
        **kwargs: Any,
    ) -> T:
        """Run a coroutine function on the client's loop, and wait within a limit.

        Raises
        ------
        WaitTimedOut
            ``what`` did not come within the limit.
        SchedulerGone
            The connection is down.
        """
        if loop_thread_is_here(self.client):
            raise RuntimeError("a Link may not be used in the client's own loop")
        limit = self.timeout if limit is None else limit

        async def bounded() -> T:
            return await asyncio.wait_for(function(*args, **kwargs), limit)

        waiting = asyncio.run_coroutine_threadsafe(bounded(), event_loop(self.client))
        try:
            # The loop itself may be blocked: then its own limit never strikes.
            return waiting.result(limit + 5)
        except (asyncio.TimeoutError, concurrent.futures.TimeoutError) as error:
            waiting.cancel()
            if self.client.status != "running":
                # It tries to connect again, which may go on for longer than this.
                raise SchedulerGone(
                    f"the connection to the scheduler is lost (the client is "
                    f"{self.client.status})",
                    "check whether the scheduler still runs, and connect a new Client",
                ) from error
            raise WaitTimedOut(
                f"{what} did not come within {limit:g} s",
                "raise timeout=, or look whether the scheduler is overloaded",
            ) from error
        except (CommClosedError, OSError) as error:
            raise SchedulerGone(
                f"the cluster does not answer ({what}): {error}",
                "check whether the scheduler still runs",
            ) from error
        except BaseException:
            waiting.cancel()
            raise

    # -- the scheduler ------------------------------------------------------

    def visit(self, **question: Any) -> dict[str, Any]:
        """One visit to the scheduler: see ``remote.scheduler.Extension.visit``.

        Cost: one call of 0.5 ms, and one more where the extension is not yet there.
        """
        answer: dict[str, Any] = self.call(
            self._ask, "visit", question, what="the scheduler's answer"
        )
        return answer

    def progress(self, keys: Iterable[Any]) -> dict[str, int]:
        """How many of some keys are in which state."""
        counts: dict[str, int] = self.call(
            self._ask, "progress", {"keys": list(keys)}, what="the scheduler's answer"
        )
        return counts

    def question(self, verb: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """One of ``remote.scheduler.QUESTIONS``, answered inside the scheduler."""
        answer: dict[str, Any] = self.call(
            self._ask,
            "ask",
            {"verb": verb, "question": dict(question)},
            what="the scheduler's answer",
        )
        return answer

    async def _ask(self, verb: str, question: Mapping[str, Any]) -> Any:
        name = extension_name()
        # A scheduler that is another one than before has another id.
        scheduler = scheduler_id(self.client)
        answer = None
        if _installed.get(self.client) == scheduler + name:
            answer = await self._handler(verb)(**question)
        # An op without a handler is answered with None (Server._handle_comm in
        # distributed/core.py): somebody else may have taken the extension off.
        if answer is None:
            plugin = ShippedPlugin("scheduler", "Extension", name)
            await self.client.register_plugin(plugin, name=name)
            _installed[self.client] = scheduler + name
            answer = await self._handler(verb)(**question)
        return answer

    def _handler(self, verb: str) -> Any:
        return getattr(self.client.scheduler, f"{extension_name()}-{verb}")

    def remove_extension(self) -> None:
        """Take the extension off the scheduler, if this client has put it there."""
        if _installed.pop(self.client, None) is not None:
            self.call(self._remove, what="the removal of the scheduler extension")

    async def _remove(self) -> None:
        name = extension_name()
        await getattr(self.client.scheduler, f"{name}-remove")()
        await self.client.unregister_scheduler_plugin(name)

    # -- workers ------------------------------------------------------------

    def surroundings(self, address: str, packages: tuple[str, ...]) -> dict[str, Any]:
        """What a worker is surrounded by: see ``remote.surroundings``."""
        function = ShippedFunction("surroundings", "describe_process")

        async def run() -> Any:
            answers = await self.client.run(
                function, packages, workers=[address], on_error="return"
            )
            return answers[address]

        answer = self.call(
            run, what=f"{address}'s description", limit=min(self.timeout, 10.0)
        )
        if isinstance(answer, BaseException):
            raise SchedulerGone(
                f"worker {address} could not describe itself: {answer!r}", ""
            )
        described: dict[str, Any] = answer
        return described

    def worker_logs(self) -> dict[str, list[str]]:
        """Log lines of all workers, as far as they keep them, by address."""

        async def ask() -> Any:
            return await self.client.get_worker_logs()

        logs = self.call(ask, what="the workers' logs")
        return {
            address: [message for _, message in lines]
            for address, lines in logs.items()
            if not isinstance(lines, (str, BaseException))
        }

    # -- data ---------------------------------------------------------------

    def fetch(
        self,
        who_has: Mapping[Any, Iterable[str]],
        nbytes: int,
        told: Callable[[str], None] = lambda text: None,
    ) -> dict[Any, Any]:
        """Values of keys that are in memory, straight from their workers.

        Nothing is registered with the scheduler, so that no future and no state
        changes. Where workers cannot be reached from here, the scheduler passes
        the data on, which ``told`` hears of.

        Parameters
        ----------
        who_has : mapping of Key to iterable of str
            Addresses of the workers that hold each key.
        nbytes : int
            Their size, as far as it is known; the limit of the wait grows with it.
        """
        if not who_has:
            return {}
        return self.call(
            self._fetch,
            {key: set(addresses) for key, addresses in who_has.items()},
            told,
            what=f"{len(who_has)} inputs from the workers",
            limit=self.timeout + nbytes / SLOWEST_PULL,
        )

    async def _fetch(
        self, who_has: dict[Any, set[str]], told: Callable[[str], None]
    ) -> dict[Any, Any]:
        pull = asyncio.ensure_future(gather_from_workers(who_has, rpc=self.client.rpc))
        try:
            await asyncio.wait({pull}, timeout=PROBE_AFTER)
            if not pull.done() and not await self._reaches(who_has, who_has):
                told(_PASSED_ON)
                return await self._fetch_through_scheduler(list(who_has))
            data, missing, unreadable, _ = await pull
        finally:
            pull.cancel()
        values: dict[Any, Any] = dict(data)
        # Either they have moved on, or the workers are out of reach.
        left = [*missing, *unreadable]
        if left and not await self._reaches(who_has, left):
            told(_PASSED_ON)
            missing, unreadable = left, []
        if unreadable:
            raise InputUnreadable(
                f"input {unreadable[0]!r} cannot be deserialised here",
                "install what defines its type, in the workers' version",
                key=unreadable[0],
            )
        if missing:
            values.update(await self._fetch_through_scheduler(list(missing)))
        return values

    async def _fetch_through_scheduler(self, keys: list[Any]) -> dict[Any, Any]:
        response = await self.client.scheduler.gather(keys=keys)
        if response["status"] != "OK":
            raise InputMoved(
                f"input {response['keys'][0]!r} is gone from the workers",
                "try again: the scheduler may compute it anew",
                key=response["keys"][0],
            )
        values: dict[Any, Any] = response["data"]
        return values

    async def _reaches(
        self, who_has: Mapping[Any, set[str]], keys: Iterable[Any]
    ) -> bool:
        """Whether all workers that hold some keys answer."""
        addresses = {address for key in keys for address in who_has[key]}
        return all(await asyncio.gather(*map(self._answers, addresses)))

    async def _answers(self, address: str) -> bool:
        try:
            await asyncio.wait_for(self.client.rpc(address).identity(), PROBE_LIMIT)
        except (OSError, asyncio.TimeoutError):
            return False
        except ValueError:  # an address of a transport that is not here
            return False
        return True


def scheduler_id(client: Client) -> str:
    """Id of the scheduler that a client is connected to.

    ``Client._scheduler_identity`` (distributed/client.py) is set anew on each
    connection; ``scheduler_info`` may ask the scheduler.
    """
    return str(client._scheduler_identity.get("id", ""))
