"""One conversation with one cluster: each wait has a limit, and nothing is changed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from distributed.comm import CommClosedError
from distributed.core import PooledRPCCall
from distributed.protocol.pickle import dumps
from distributed.utils_comm import gather_from_workers

from dbgkit.cluster.answers import read_answer
from dbgkit.cluster.answers_workers import read_said
from dbgkit.cluster.asking import ask_with_plugin, check_sendable, result_of
from dbgkit.cluster.clients import (
    event_loop,
    is_inproc,
    is_open,
    loop_thread_is_here,
)
from dbgkit.cluster.connection import Connection, address_of, scheduler_id
from dbgkit.cluster.foreseen import Foreseen
from dbgkit.cluster.packed import PICKLED, Loads, NeverRead, PackedPool, unpacked
from dbgkit.cluster.reach import CONNECT_LIMIT, reach_of
from dbgkit.cluster.shipping import (
    ShippedFunction,
    ShippedPlugin,
    digest_of,
    recorder_name,
)
from dbgkit.errors import (
    AnswerUnreadable,
    InputMoved,
    InputUnreadable,
    SchedulerGone,
    WaitTimedOut,
)
from dbgkit.model import advice
from dbgkit.remote.common.texts import safe_str

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

PROBE_AFTER = 2.0  # seconds that a pull may take before its workers are probed
PROBE_LIMIT = 5.0  # seconds for a worker to answer the probe
SLOWEST_PULL = 1_000_000  # bytes a second: Dask sends a long list no faster
MOST_TRIES = 5  # to put back an extension that others take off
PATIENCE = 2.0  # seconds for who failed first of a collective to be heard of
FRESH = 5.0  # seconds for which an answer that came along holds
RECORDED_BYTES = 32_000_000  # of recordings that come along with a visit

_PASSED_ON = "workers cannot be reached from here: the scheduler passes their data on"
PASSED_ON = "data came through the scheduler: the workers cannot be reached from here"

# Clients whose scheduler is known to have the extension.
_installed: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def extension_name() -> str:
    """Name of the scheduler extension: one for each version of its source."""
    return f"dbgkit-{digest_of('scheduler.extension')}"


class Link:
    """Asks one cluster, from outside of its event loop.

    Parameters
    ----------
    client : Client
    timeout : float
        Seconds that each wait may take.

    Attributes
    ----------
    notes : list of str
        What is to be said of how data came here.
    foreseen : Foreseen
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
        self._connection = Connection(client)
        self._end: float | None = None
        self.notes: list[str] = []
        self.foreseen = Foreseen()

    # -- waiting ------------------------------------------------------------

    @contextmanager
    def altogether(self, share: float = 1.0) -> Iterator[None]:
        """All waits within the block take no longer than one may.

        Parameters
        ----------
        share : float
            Of what is left of such a block around it.
        """
        before, self._end = self._end, monotonic() + share * self.left()
        try:
            yield
        finally:
            self._end = before

    def left(self) -> float:
        """Seconds that the next wait may take."""
        if self._end is None:
            return self.timeout
        return max(0.0, min(self.timeout, self._end - monotonic()))

    def call(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        what: str,
        limit: float | None = None,
        look: str = "whether the scheduler is overloaded",
        **kwargs: Any,
    ) -> T:
        """Run a coroutine function on the client's loop, and wait within a limit.

        ``look``: what to look into where it does not come.

        Raises
        ------
        WaitTimedOut
            ``what`` did not come within the limit.
        SchedulerGone
            The connection is down, or leads to another scheduler than before.
        """
        if loop_thread_is_here(self.client):
            raise RuntimeError("a Link may not be used in the client's own loop")
        limit = self.timeout if limit is None else limit
        if self._end is not None:
            limit = min(limit, self.left())
        self._connection.check(limit)

        async def bounded() -> T:
            return await asyncio.wait_for(function(*args, **kwargs), limit)

        waiting = asyncio.run_coroutine_threadsafe(bounded(), event_loop(self.client))
        try:
            # The loop itself may be blocked: then its own limit never strikes.
            answer = waiting.result(limit + 5)
        except (asyncio.TimeoutError, concurrent.futures.TimeoutError) as error:
            waiting.cancel()
            # It may have been lost meanwhile, and be back by now.
            self._connection.check(0)
            raise WaitTimedOut(
                f"{what} did not come within {limit:g} s",
                f"raise {advice.option('timeout')}, or look {look}",
            ) from error
        except (CommClosedError, OSError) as error:
            raise self._cut(what, error, limit) from error
        except BaseException:
            waiting.cancel()
            raise
        if is_open(self.client):
            # What another scheduler answers is no answer to what this one was asked.
            self._connection.check(limit)
        return answer

    def _cut(self, what: str, error: Exception, limit: float) -> SchedulerGone:
        """What to say of an answer that did not come, as a connection was cut."""
        if self._connection.check_cut(limit):
            return SchedulerGone(
                f"the connection to the scheduler was lost for a moment, and {what} "
                "with it",
                "try again: it is back",
            )
        return SchedulerGone(
            f"the cluster does not answer ({what}): {error}",
            "check whether the scheduler still runs",
        )

    def scheduler(self) -> str:
        """Id of the scheduler; one that was started anew has another."""
        self._connection.check(self.left())
        return self._connection.scheduler

    # -- the scheduler ------------------------------------------------------

    def visit(self, **question: Any) -> dict[str, Any]:
        """One visit to the scheduler: ``remote.scheduler.extension.Extension.visit``.

        A replay's visit brings what it will ask the recorder for, to be `expect`-ed.

        Cost: one call of 0.5 ms.
        """
        question.setdefault("patience", min(PATIENCE, self.timeout / 4))
        if question.get("specs") or "recordings_of" in question:
            question["foresee"] = {
                "recorder": recorder_name(),
                "nbytes": RECORDED_BYTES,
                "key": question.pop("recordings_of", None),
            }
        answer: dict[str, Any] = self._answer("visit", question)
        answer["arrived"] = monotonic()
        answer["scheduler"] = self._connection.scheduler
        return answer

    def progress(self, keys: Iterable[Any]) -> dict[str, int]:
        """How many of some keys are in which state."""
        counts: dict[str, int] = self._answer("progress", {"keys": list(keys)})
        return counts

    def question(
        self,
        verb: str,
        question: Mapping[str, Any],
        foresee: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """One of ``remote.scheduler.extension.QUESTIONS``, answered over there.

        Parameters
        ----------
        verb : str
        question : mapping
        foresee : mapping, optional
            Names by which the scheduler answers what will be asked next as well: see
            ``remote.scheduler.foresight``. Those questions then cost nothing.
        """
        found, answer = self.foreseen.take(verb, question)
        if found:
            return dict(read_answer(verb, question, answer))
        asked: dict[str, Any] = {"verb": verb, "question": dict(question)}
        if foresee is not None:
            asked["foresee"] = dict(foresee)
        said = self.call(self._ask, "ask", asked, what="the scheduler's answer")
        answer = dict(read_answer(verb, question, said))
        self._keep_foreseen(answer.pop("foreseen", ()))
        return answer

    def expect(self, visit: Mapping[str, Any]) -> None:
        """Take the answers that came along with a visit, unless it is long ago."""
        if monotonic() - visit.get("arrived", -FRESH) < FRESH:
            self._keep_foreseen(visit.get("foreseen", ()))

    def _keep_foreseen(self, answers: Any) -> None:
        """Keep answers that came along; each is read once it is asked for."""
        self.foreseen.keep(read_answer("foreseen", {}, answers))

    def _answer(self, verb: str, question: Mapping[str, Any], **options: Any) -> Any:
        """What the extension answers, as it was agreed; see `call`.

        Raises
        ------
        AnswerUnreadable
            It is nothing that an extension of ours would answer.
        """
        options.setdefault("what", "the scheduler's answer")
        answer = self.call(self._ask, verb, question, **options)
        return read_answer(verb, question, answer)

    async def _ask(self, verb: str, question: Mapping[str, Any]) -> Any:
        check_sendable(self.client, question)
        name = extension_name()
        # A scheduler that is another one than before has another id.
        scheduler = scheduler_id(self.client)
        answer = None
        if _installed.get(self.client) == scheduler + name:
            answer = await self._handler(verb)(**question)
        # An op without a handler is answered with None (Server._handle_comm in
        # distributed/core.py): somebody else may have taken the extension off.
        if answer is None:
            plugin = ShippedPlugin("scheduler.extension", "Extension", name)
            answer = await ask_with_plugin(
                self.client, plugin, name, f"{name}-{verb}", question
            )
            if answer is None:
                answer = await self._put_back(plugin, name, verb, question)
            _installed[self.client] = scheduler + name
        return answer

    async def _put_back(
        self, plugin: ShippedPlugin, name: str, verb: str, question: Mapping[str, Any]
    ) -> Any:
        """Ask an extension of which half was there, or which cannot be put there.

        Somebody may have unregistered its plugin in between, or its handlers.
        """
        for _ in range(MOST_TRIES):
            # Why it cannot be there is told by putting it there.
            await self.client.register_plugin(plugin, name=name)
            answer = await self._handler(verb)(**question)
            if answer is not None:
                return answer
            with suppress(ValueError):  # it went meanwhile
                await self.client.unregister_scheduler_plugin(name)
        raise SchedulerGone(
            "the scheduler's extension is taken off as soon as it is put there",
            "try again, or find out which client takes it off",
        )

    def _handler(self, verb: str) -> Any:
        return getattr(self.client.scheduler, f"{extension_name()}-{verb}")

    def remove_extension(self) -> None:
        """Take the extension off the scheduler, if this client has put it there."""
        if _installed.pop(self.client, None) is not None:
            self.call(self._remove, what="the removal of the scheduler extension")

    async def _remove(self) -> None:
        await self._handler("remove")()

    # -- workers ------------------------------------------------------------

    def run_on(
        self,
        function: ShippedFunction,
        arguments: Mapping[str, tuple[Any, ...]],
        limit: float,
    ) -> dict[str, Any]:
        """What a function comes to on some workers, each with its own arguments.

        Workers that the scheduler does not list are not asked. They are left out, as
        are those that do not answer within the limit. What a function raised is its
        answer; of an answer that is none, that it cannot be read.

        Cost: one call, and the scheduler's to the workers, all at once.
        """
        if not arguments:
            return {}
        question = {
            "function": dumps(function),
            "arguments": {where: dumps(args) for where, args in arguments.items()},
            "limit": limit,
        }
        answers = self._answer(
            "run", question, what="the workers' answers", limit=limit + 5
        )
        return {
            address: read_said(function, address, said)
            for address, said in results_of(answers).items()
        }

    def surroundings(self, address: str, packages: tuple[str, ...]) -> dict[str, Any]:
        """What a worker is surrounded by: see ``remote.worker.environment``."""
        function = ShippedFunction("worker.environment", "describe_process")
        limit = min(self.timeout, 10.0)
        answer = self.run_on(function, {address: (packages,)}, limit).get(address)
        if answer is None:
            raise SchedulerGone(f"worker {address} has left, or does not answer", "")
        if isinstance(answer, AnswerUnreadable):
            raise answer
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
        *,
        loads: Loads,
        called: Mapping[Any, Any] = MappingProxyType({}),
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
        loads : callable
            Unpickles, in the calling thread: ``loads(data, buffers=...)``.
        called : mapping, optional
            What to call keys that are known to nobody else.

        Raises
        ------
        InputUnreadable
            A value cannot be unpickled here.
        """
        if not who_has:
            return {}
        came = self.call(
            self._fetch,
            {key: set(addresses) for key, addresses in who_has.items()},
            told,
            what=_told_inputs(
                {called.get(key, key): where for key, where in who_has.items()}
            ),
            limit=self.timeout + nbytes / SLOWEST_PULL,
            look=f"whether the worker still answers: {advice.call('doctor')}",
        )
        values = {}
        for key in list(came):
            name = called.get(key, key)
            try:
                values[key] = unpacked(came.pop(key), loads)
            except NeverRead as error:
                raise WaitTimedOut(
                    f"input {name!r} was not unpickled here within {error.limit:g} s: "
                    "it waits for something",
                    f"{advice.option('where', 'worker')} reads it where it was made",
                ) from None
            except Exception as error:  # unpickling runs anybody's code
                raise _unreadable(name, error) from error
        return values

    async def _fetch(
        self, who_has: dict[Any, set[str]], told: Callable[[str], None]
    ) -> dict[Any, Any]:
        limit = min(CONNECT_LIMIT, self.timeout / 2)
        who_has, far = await reach_of(self.client).sort(self.client, who_has, limit)
        if far:
            passed_on = await self._pass_on(far, list(far), told)
            return {**passed_on, **await self._fetch(who_has, told)}
        pull = asyncio.ensure_future(gather_from_workers(who_has, rpc=self._packed()))
        try:
            await asyncio.wait({pull}, timeout=PROBE_AFTER)
            if not pull.done() and not await self._reaches(who_has, who_has):
                return await self._pass_on(who_has, list(who_has), told)
            data, missing, unreadable, _ = await pull
        finally:
            pull.cancel()
        values: dict[Any, Any] = dict(data)
        # Either they have moved on, or the workers are out of reach.
        left = [*missing, *unreadable]
        if left and not await self._reaches(who_has, left):
            values.update(await self._pass_on(who_has, left, told))
            missing = unreadable = []
        if unreadable:
            raise InputUnreadable(
                f"input {unreadable[0]!r} cannot be deserialised here",
                _where_it_is_known(),
                key=unreadable[0],
            )
        if missing:
            values.update(await self._fetch_through_scheduler(list(missing)))
        return values

    async def _pass_on(
        self,
        who_has: Mapping[Any, set[str]],
        keys: list[Any],
        told: Callable[[str], None],
    ) -> dict[Any, Any]:
        """Values of which no worker can be reached; that there is none is remembered.

        Unless the scheduler has no data of theirs either.
        """
        told(_PASSED_ON)
        values = await self._fetch_through_scheduler(keys)
        reach_of(self.client).remember({each for key in keys for each in who_has[key]})
        if PASSED_ON not in self.notes:
            self.notes.append(PASSED_ON)
        return values

    async def _fetch_through_scheduler(self, keys: list[Any]) -> dict[Any, Any]:
        packed = self._packed()
        scheduler = PooledRPCCall(address_of(self.client), packed, PICKLED)
        response = await scheduler.gather(keys=keys, serializers=PICKLED)
        if response["status"] != "OK":
            raise InputMoved(
                f"input {response['keys'][0]!r} is gone from the workers",
                "try again: the scheduler may compute it anew",
                key=response["keys"][0],
            )
        values: dict[Any, Any] = response["data"]
        return values

    def _packed(self) -> Any:
        pool = self.client.rpc
        return pool if is_inproc(self.client) else PackedPool(pool)

    async def _reaches(
        self, who_has: Mapping[Any, set[str]], keys: Iterable[Any]
    ) -> bool:
        """Whether all workers that hold some keys answer."""
        addresses = {address for key in keys for address in who_has[key]}
        answers = await asyncio.gather(*map(self._answers, addresses))
        lost = {each for each, good in zip(addresses, answers, strict=True) if not good}
        reach_of(self.client).lose(lost)
        return not lost

    async def _answers(self, address: str) -> bool:
        try:
            await asyncio.wait_for(self.client.rpc(address).identity(), PROBE_LIMIT)
        except (OSError, asyncio.TimeoutError):
            return False
        except ValueError:  # an address of a transport that is not here
            return False
        return True


def _told_inputs(who_has: Mapping[Any, Iterable[str]]) -> str:
    """Inputs that are waited for, and who is to send them."""
    keys = list(map(repr, who_has))
    holders = sorted({address for each in who_has.values() for address in each})
    told = [
        ", ".join(each[:2]) + (f" and {len(each) - 2:,} more" if len(each) > 2 else "")
        for each in (keys, holders)
    ]
    return f"input{'s' if len(keys) > 1 else ''} {told[0]} from {told[1]}"


def results_of(answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What workers answered, by address, those left out that did not."""
    return {
        address: result_of(answer)
        for address, answer in answers.items()
        if answer["status"] not in ("gone", "silent")
    }


def _where_it_is_known() -> str:
    """What to do where a class is not known here."""
    return (
        "install what defines its type, in the workers' version, or have a worker run "
        f"it: {advice.option('where', 'worker')}"
    )


def _unreadable(key: Any, error: Exception) -> InputUnreadable:
    """Why a value that came is none, in one line.

    What a worker cannot pickle comes as a text that ends with Python's own of it,
    traceback and all: ``serialization_error_loads`` in distributed/protocol.
    """
    text = safe_str(error)
    if isinstance(error, TypeError) and "Traceback (most recent call last)" in text:
        why = text.rstrip().rpartition("\n")[2].strip()
        return InputUnreadable(
            f"input {key!r} cannot leave its worker: {why}",
            "look at the task's recording, where the recorder was on",
            key=key,
        )
    return InputUnreadable(
        f"input {key!r} cannot be deserialised here: {text}",
        _where_it_is_known(),
        key=key,
    )
