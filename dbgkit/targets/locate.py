"""From a target, of whatever kind, to its failures: the earliest root cause first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dbgkit.cluster.clients import (
    held_future_states,
    is_open,
    was_opened_here,
)
from dbgkit.cluster.link import Link
from dbgkit.errors import Cancelled, NoFailure, NotFailed, SchedulerGone, UnknownKey
from dbgkit.model import Evidence, Failure, advice
from dbgkit.targets.again import relocate
from dbgkit.targets.carried import backend_client, failed_batches, told_by_batch
from dbgkit.targets.failure import (
    failure_from_fact,
    failure_of_local_task,
    failure_of_meta,
)
from dbgkit.targets.held import (
    beginnings,
    held_beginnings,
    is_told_by,
    keys_holding,
    texts_of,
)
from dbgkit.targets.kinds import CERTAIN, failure_of_kind, kind_of
from dbgkit.targets.led import exception_for, raised_in
from dbgkit.targets.matching import locate_in_graph
from dbgkit.targets.modules import with_missing
from dbgkit.targets.optimizing import expression_here, inner_expression
from dbgkit.targets.refusals import (
    ask_why,
    gone,
    interrupted,
    lost_future,
    lost_with_scheduler,
    not_failed,
    told_by_text,
    unanswered,
    unread_graph,
)
from dbgkit.targets.resolve import Sought, sort_target
from dbgkit.targets.tracebacks import Trace, chain, trace, whole_of

_OF_ANOTHER = ("it may be another client's failure",)
_UNFOLLOWED = (
    "it fell because of more tasks than were looked at: an earlier one may have failed"
)


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
        See the words of the project: a future, a collection, a key (also as text),
        an exception, several of these, or None.
    client : Client, optional
        The current client, where the target does not name its own.
    timeout : float
        Seconds that each wait may take.
    specs : bool
        Whether the first failure comes with what a replay needs.
    max_bytes : int
        The most bytes of run specs to bring.
    finished : bool
        Whether a task that has finished counts, for a replay on request.

    Returns
    -------
    list of Failure
        Never empty.
    """
    sought = sort_target(target)
    client = sought.client or client
    finder = _Finder(client, timeout, specs, max_bytes, finished)
    groups = [[failure] for failure in sought.failures]
    groups.extend(finder.of_sought(sought, bool(groups)))
    found = _merged(groups)
    if sought.failures or len(groups) > 1:
        found = relocate(found, timeout, specs, max_bytes)
    if not found:
        raise NoFailure(
            "nothing has failed that could be found",
            "hand in the exception, a future or a key",
        )
    return [with_missing(failure, timeout) for failure in found]


class _Finder:
    """One search: which client, which limits."""

    def __init__(
        self, client: Any, timeout: float, specs: bool, max_bytes: int, finished: bool
    ) -> None:
        self.client = client
        self.timeout = timeout
        self.specs = specs
        self.max_bytes = max_bytes
        self.finished = finished

    def of_sought(self, sought: Sought, found: bool) -> list[list[Failure]]:
        """Failures of each part of a target; ``found``: others are there already.

        That a part has not failed is an error only where no other part has.
        """
        groups = [self.of_exception(exception) for exception in sought.exceptions]
        found = found or bool(groups)
        finished = self.finished
        # The outputs of a collection that was persisted are futures: ask for them
        # first, and go to its graph only where none of them has failed.
        if sought.keys:
            # What is finished is taken only where nothing has failed.
            self.finished = finished and not (found or sought.collections)
            try:
                return [*groups, self.of_keys(sought.keys, sought.futures)]
            except (NotFailed, UnknownKey, Cancelled) as error:
                if not (found or (sought.collections and isinstance(error, NotFailed))):
                    raise
        for collection in sought.collections:
            try:
                groups.append(self.of_collection(collection))
            except NoFailure:
                if not (found or groups or sought.keys):
                    raise
        if sought.keys and not (found or groups):
            self.finished = finished
            groups.append(self.of_keys(sought.keys, sought.futures))
        if sought.nothing:
            groups.append(self.newest())
        return groups

    # -- keys ---------------------------------------------------------------

    def of_keys(self, keys: list[Any], futures: dict[Any, Any]) -> list[Failure]:
        client = self._open_client()
        answer = self._link(client).visit(
            keys=keys,
            specs=self.specs,
            max_bytes=self.max_bytes,
            texts=held_beginnings(client, keys),
        )
        failures = self._from_answer(answer, client)
        if failures:
            return failures
        return [self._not_failed(answer["asked"][0], client, futures)]

    def _not_failed(self, row: Any, client: Any, futures: dict[Any, Any]) -> Failure:
        """A task that was asked for and has not failed: wanted all the same, or not."""
        key = row["key"] if row["key"] is not None else row["asked"]
        state = row["state"]
        if state == "memory" and self.finished:
            return self._finished(key, client)
        future = futures.get(key)
        status = future.status if future is not None else ""
        if state == "unknown" and (lost := lost_future([future])) is not None:
            raise lost
        if state == "unknown" and key in (held := held_future_states(client)):
            unread = unread_graph(held[key].exception)
            if unread is not None:
                raise unread
        raise not_failed(key, state, status, client)

    def _finished(self, key: Any, client: Any) -> Failure:
        answer = self._link(client).visit(
            keys=[key], specs=True, max_bytes=self.max_bytes, finished=True
        )
        row = next((row for row in answer["tasks"] if row["key"] == key), None)
        if row is None:
            raise not_failed(key, "unknown", "", client)
        fact = {
            "key": key,
            "asked": key,
            "exception_text": "",
            "traceback_text": "",
            "erred_on": row["who_has"],
            "group_size": row["group_size"],
        }
        return failure_from_fact(
            fact,
            evidence=Evidence(client=client, visit=answer, scheduler="distributed"),
            notes=("it had not failed on the cluster",),
        )

    def _from_answer(
        self,
        answer: dict[str, Any],
        client: Any,
        exception: BaseException | None = None,
        notes: tuple[str, ...] = (),
    ) -> list[Failure]:
        facts = answer["failures"]
        keys = [fact["key"] for fact in facts]
        held = held_future_states(client)
        failures = []
        for index, fact in enumerate(facts):
            said = notes
            if index == 0 and answer["omitted"]:
                said = (*notes, f"{answer['omitted']} further failures were left out")
            if index == 0 and answer["unfollowed"]:
                said = (*said, _UNFOLLOWED)
            failures.append(
                failure_from_fact(
                    fact,
                    evidence=Evidence(
                        client=client,
                        visit=answer if index == 0 else None,
                        scheduler="distributed",
                    ),
                    exception=exception_for(fact, facts, exception, held),
                    others=tuple(key for key in keys if key != fact["key"]),
                    notes=said,
                )
            )
        return failures

    # -- exceptions ---------------------------------------------------------

    def of_exception(self, exception: BaseException) -> list[Failure]:
        unread = unread_graph(exception)
        if unread is not None:
            raise unread
        lost = lost_with_scheduler(chain(exception))
        if lost is not None:
            raise lost
        exception = whole_of(exception)
        found = trace(exception)
        client = found.client or self.client
        if found.meta is not None:
            return [failure_of_meta(found)]
        if found.local_task is not None:
            return [failure_of_local_task(found)]
        keys = self._keys_of(found, client)
        kind = None if keys else kind_of(exception, found)
        if kind is not None and kind.code == "carried":
            carried = self._of_batches(kind.exception)
            return carried or [failure_of_kind(kind)]
        if kind is not None and kind.code in CERTAIN:
            return [failure_of_kind(kind)]
        if not keys and found.expression is None:
            found.expression = inner_expression(found.exception)
        graph_left = found.expression is not None or bool(found.collections)
        if keys:
            try:
                return self._of_held(found, keys)
            except (NotFailed, UnknownKey, Cancelled) as error:
                # compute() lets go of its futures as it raises: the client may
                # still list them when the scheduler has already forgotten them.
                if not graph_left:
                    raise lost_future(found.futures) or error from None
        if graph_left:
            return locate_in_graph(
                found,
                client=client,
                timeout=self.timeout,
                specs=self.specs,
                max_bytes=self.max_bytes,
                from_answer=self._from_answer,
            )
        if found.futures and self.client.status != "running":
            # Its futures no longer know what they held.
            raise unanswered(found.futures[0].key, self.client.status)
        kind = kind or kind_of(exception, found)
        if kind.code == "remote" and not found.futures:
            copied = self._of_copy(found.exception)
            if copied:
                return copied
        return [failure_of_kind(kind)]

    def _of_copy(self, exception: BaseException) -> list[Failure]:
        """Failures with the very text of an exception that tells nothing else."""
        texts = texts_of(exception)
        client = self.client
        if client is None or not is_open(client) or not texts:
            return []
        link = self._link(client)
        entries = [
            entry
            for text in sorted(texts)
            for entry in link.visit(exception_text=text)["erred"]
        ]
        keys = list(dict.fromkeys(entry["key"] for entry in entries))
        if not keys:
            return []
        answer = link.visit(keys=keys, specs=self.specs, max_bytes=self.max_bytes)
        return self._from_answer(answer, client, None, (told_by_text(len(keys)),))

    def _keys_of(self, found: Trace, client: Any) -> list[Any]:
        keys = keys_holding(found, client)
        if found.futures and (owner := found.futures[0]._client) is not None:
            self.client = owner
        elif client is not None:
            self.client = client
        return keys

    def _of_held(self, found: Trace, keys: list[Any]) -> list[Failure]:
        client = self._open_client()
        error = None if interrupted(found.exception) else found.exception
        answer = self._link(client).visit(
            keys=keys,
            specs=self.specs,
            max_bytes=self.max_bytes,
            texts=beginnings([error]),
            chain=raised_in(error),
        )
        notes: tuple[str, ...] = ()
        if error is not None:
            count = sum(is_told_by(error, fact) for fact in answer["failures"])
            if count > 1:
                notes = (f"{count} tasks failed with this exception",)
        failures = self._from_answer(answer, client, error, notes)
        if not failures:
            state = answer["asked"][0]["state"]
            if state == "unknown":
                raise gone(keys[0], found)
            raise NotFailed(
                f"{keys[0]!r} has not failed: it is in state {state!r}",
                ask_why(keys[0]),
                key=keys[0],
                state=state,
            )
        return failures

    def _of_batches(self, exception: BaseException) -> list[Failure]:
        """Batches of joblib's that failed, which the scheduler calls finished."""
        client = backend_client(exception)
        batches = failed_batches(exception, client, self.timeout)
        others = tuple(key for key, _ in batches[1:])
        return [
            replace(
                told_by_batch(self._finished(key, client), exception, address),
                others=others,
            )
            for key, address in batches[:1]
        ]

    # -- collections, and nothing at all ------------------------------------

    def of_collection(self, collection: Any) -> list[Failure]:
        found = Trace(NoFailure("no exception is at hand"))
        found.collections = [collection]
        found.expression = expression_here([collection])
        return locate_in_graph(
            found,
            client=self._open_client(),
            timeout=self.timeout,
            specs=self.specs,
            max_bytes=self.max_bytes,
            from_answer=self._from_answer,
        )

    def newest(self) -> list[Failure]:
        if self.client is None:
            raise NoFailure(
                "there is no exception at hand, and no client",
                "hand in an exception, or connect a distributed.Client",
            )
        client = self._open_client()
        link = self._link(client)
        question = {"specs": self.specs, "max_bytes": self.max_bytes}
        answer = link.visit(newest_of=client.id, **question)
        # Whoever looks from beside the job has no work of its own.
        others = answer["of_any"] and not was_opened_here(client)
        notes = _OF_ANOTHER if others else ()
        failures = self._from_answer(answer, client, notes=notes)
        if not failures:
            raise NoFailure(
                "no task has failed that the scheduler still knows",
                "hand in the exception: its traceback may hold the graph",
            )
        return failures

    # -- who to ask ---------------------------------------------------------

    def _open_client(self) -> Any:
        if self.client is None:
            raise NoFailure(
                "there is no client to ask",
                f"connect a distributed.Client, or pass {advice.option('client')}",
            )
        if not is_open(self.client):
            raise SchedulerGone(
                f"the client is {self.client.status}",
                "hand in the exception: its traceback may hold enough, or use "
                f"{advice.call('debugging')} around the with block of the client",
            )
        return self.client

    def _link(self, client: Any) -> Link:
        return Link(client, self.timeout)


def _merged(groups: list[list[Failure]]) -> list[Failure]:
    """Failures that were found apart, as one list: the earliest first."""
    if len(groups) == 1:
        return groups[0]
    each = {
        failure.key if failure.key is not None else id(failure): failure
        for group in reversed(groups)
        for failure in reversed(group)
    }
    # As on the scheduler: what has no time happened before all that has one.
    found = sorted(
        reversed(each.values()),
        key=lambda failure: failure.when.timestamp() if failure.when else 0.0,
    )
    keys = [failure.key for failure in found if failure.key is not None]
    return [
        replace(failure, others=tuple(key for key in keys if key != failure.key))
        for failure in found
    ]
