"""Answers what will certainly be asked next in the same visit.

Each visit costs a round trip, which over a slow line is most of an answer's cost. The
client asks as if nothing had been sent ahead: if the question was foreseen, it has the
answer already. So a wrong guess here costs only a visit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from distributed.protocol.pickle import dumps

from .asking import ask_all

if TYPE_CHECKING:
    from ..common.wire import Foresee
    from ..common.wire_deaths import DeathsQuestion
    from ..common.wire_failures import GroupForm
    from ..common.wire_recordings import ListedHeader, RecorderQuestion
    from ..common.wire_replays import Called
    from ..common.wire_why import Why

Ask = Callable[[str, Any], Awaitable[Any]]
# An end, as it came or with what was added to it.
OneEnd = TypeVar("OneEnd", bound=Mapping[str, Any])
# Verb, question and answer.
Foreseen = list[tuple[str, Any, Any]]

MOST_RECORDED = 5  # recordings of one task that are looked through
MOST_KILLED = 20  # tasks whose workers' deaths are looked up
MOST_PICTURES = 8  # ends around which the graph may be wanted
ASKED_AT_ONCE = 32  # workers
PICTURED = 40  # tasks of one picture
_KILLED = "KilledWorker"
_NO_PICTURE = ("finished", "unknown-key")


def recordings_question(name: str, keys: list[Any], limit: int) -> RecorderQuestion:
    """Which recordings there are of some tasks."""
    return {"name": name, "verb": "list", "options": {"keys": keys, "limit": limit}}


def contents_question(
    name: str, headers: Iterable[ListedHeader], nbytes: int
) -> RecorderQuestion:
    """What the recordings of some headers hold."""
    numbers = [header["number"] for header in headers if header["size"]]
    options = {"numbers": numbers, "nbytes": nbytes}
    return {"name": name, "verb": "fetch", "options": options}


def deaths_question(
    name: str, keys: list[Any] | None, limit: int, recorded_only: bool
) -> DeathsQuestion:
    """How workers that had some tasks went away."""
    return {
        "name": name,
        "keys": keys,
        "limit": limit,
        "recorded_only": recorded_only,
    }


def deaths_limit(keys: list[Any]) -> int:
    """The most deaths to be reported of some tasks."""
    return 4 * len(keys) + 10


def workers_to_ask(answer: Why, live: bool) -> dict[str, list[Any]]:
    """Per worker the keys that ``why`` asks it for; without keys: all that it runs.

    Live, only workers that are known to answer are asked about what they process.
    """
    asks: list[tuple[str, list[Any]]] = []
    for end in answer["ends"]:
        if end["code"] == "processing":
            asks.append((end["worker"], [end["key"]]))
        elif end["code"] == "queued":
            asks += [(place["worker"], []) for place in end["places"]]
        elif end["code"] == "workers-paused":
            asks += [(worker["address"], []) for worker in end["paused"]]
    if answer["cluster"]:
        asks += [(worker["address"], []) for worker in answer["cluster"]["paused"]]
    there = answer["answering"]
    asks = [ask for ask in asks if there.get(ask[0], not live)]
    unknown = [entry["key"] for entry in answer["unknown"]]
    asks += [(each, unknown) for each in answer["may_run_it"] if there.get(each, True)]
    wanted: dict[str, list[Any]] = {}
    for worker, keys in asks:
        wanted.setdefault(worker, []).extend(keys)
    return wanted


def tasks_had(ends: Iterable[OneEnd]) -> list[tuple[OneEnd, Any]]:
    """Ends whose tasks were on workers that died, each with the key that they had."""
    return [
        (end, end.get("blame", end["key"]))
        for end in ends
        if end.get("killed") or end.get("suspicious")
    ]


async def foresee(
    scheduler: Any, ask: Ask, verb: str, answer: Any, names: Foresee
) -> Foreseen:
    """Questions that follow from the answer to one of a verb, each with its own.

    The names are of the client's version: ``recorder`` and ``deaths``; with ``nbytes``,
    the most of recordings to send; ``probe``, the function that examines tasks on a
    worker, pickled; and ``limit``, the seconds that it may take.
    """
    if verb == "failures":
        return await _after_failures(ask, answer["groups"], names)
    if verb == "why":
        probes = await _probes(scheduler, answer, names)
        return [*probes, *await _after_why(ask, answer, names)]
    return []


async def recordings_of(ask: Ask, keys: list[Any], names: Foresee) -> Foreseen:
    """What the recorder holds of some tasks: which, and their contents."""
    limit = MOST_RECORDED * len(keys)
    question = recordings_question(names["recorder"], keys, limit)
    listed = await ask("recorder", question)
    found: Foreseen = [("recorder", question, listed)]
    if listed["answer"] is not None:
        headers = listed["answer"]["headers"]
        question = contents_question(names["recorder"], headers, names["nbytes"])
        found.append(("recorder", question, await ask("recorder", question)))
    return found


async def _after_failures(
    ask: Ask, groups: list[GroupForm], names: Foresee
) -> Foreseen:
    if not groups:
        return []
    keys = [group["example"]["key"] for group in groups]
    found = await recordings_of(ask, keys, names)
    killed = [
        key
        for group in groups
        if group["exception_type"] in (_KILLED, "", None)
        for key in (group["example"]["key"], *group["keys"])
    ]
    return [*found, *await _deaths(ask, killed, names)]


async def _deaths(ask: Ask, keys: list[Any], names: Foresee) -> Foreseen:
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return []
    question = deaths_question(names["deaths"], wanted, deaths_limit(wanted), True)
    return [("deaths", question, await ask("deaths", question))]


async def _probes(scheduler: Any, answer: Why, names: Foresee) -> Foreseen:
    """What workers say about tasks assigned to them, silent workers left out."""
    asked = workers_to_ask(answer, True)
    if not asked:
        return []
    arguments = {address: dumps((keys,)) for address, keys in asked.items()}
    answers = await run_on_workers(scheduler, names["probe"], arguments, names["limit"])
    return [("probe", asked, answers)]


async def _after_why(ask: Ask, answer: Why, names: Foresee) -> Foreseen:
    had = [key for _, key in tasks_had(answer["ends"])[:MOST_KILLED]]
    found = await _deaths(ask, had, names)
    ends = [end for end in answer["ends"] if end["code"] not in _NO_PICTURE]
    for end in ends[:MOST_PICTURES]:
        key, chain = end.get("blame", end["key"]), list(end["chain"])
        if end["code"] == "cascaded":
            chain.append(key)
        task = {"key": key, "chain": chain, "length": end["length"]}
        question = {"tasks": [task], "limit": PICTURED}
        found.append(("around", question, await ask("around", question)))
    return found


def _refused(error: Exception) -> Called | None:
    """The answer of a worker that runs no functions; None of one that is gone.

    ``Server._handle_comm`` (distributed/core.py) says so of what stands in
    ``blocked-handlers``; of which class the exception is depends on the comm.
    """
    if "handler has been explicitly disallowed" in str(error):
        return {"status": "refused", "exception": dumps(error)}
    return None


async def run_on_workers(
    scheduler: Any,
    function: bytes,
    arguments: Mapping[str, bytes],
    limit: float,
    nannies: bool = False,
) -> dict[str, Called]:
    """Run a function on workers, all at once, with a tuple of arguments for each.

    With ``nannies`` on the nannies of these, without which a worker counts as gone. The
    function and the tuples are pickled by ``distributed.protocol.pickle``; the
    limit is in seconds, for all to answer.

    Returns
    -------
    dict
        Per address the worker's answer, with ``status`` ``"OK"`` and ``result``, or
        ``"error"``; or ``status`` ``"gone"``, ``"silent"``, or ``"refused"`` where
        workers are configured to run no functions.
    """

    async def ask(address: str) -> Called | None:
        # `broadcast` would try to connect to whatever it is given.
        worker = scheduler.workers.get(address)
        if worker is None or (nannies and not worker.nanny):
            return {"status": "gone"}
        message = {  # as `Client.run` sends it
            "op": "run",
            "function": function,
            "args": arguments[address],
            "kwargs": b"",
            "wait": True,
        }
        answers = await scheduler.broadcast(
            msg=message, workers=[address], nanny=nannies, on_error="return"
        )
        answer = answers.get(address)
        return _refused(answer) if isinstance(answer, Exception) else answer

    answers = await ask_all(arguments, ask, limit, ASKED_AT_ONCE)
    return {each: answer or {"status": "silent"} for each, answer in answers.items()}
