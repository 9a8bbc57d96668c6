"""The search for failures: by keys, by exceptions, by collections, or the newest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.cluster.clients import held_future_states, is_open, was_opened_here
from dbgkit.cluster.link import Link
from dbgkit.errors import (
    Cancelled,
    DbgkitError,
    NoFailure,
    NotFailed,
    SchedulerGone,
    UnknownKey,
)
from dbgkit.model import Evidence, Failure
from dbgkit.remote.scheduler.failed import forgotten_fact
from dbgkit.targets.carried import (
    backend_client,
    failed_batches,
    failure_of_batch,
    remote_text,
)
from dbgkit.targets.failure import (
    failure_from_fact,
    failure_of_local_task,
    failure_of_meta,
)
from dbgkit.targets.history_entry import entry_for
from dbgkit.targets.led import exception_for, raised_in
from dbgkit.targets.optimizing import expression_here, inner_expression
from dbgkit.targets.past import forgotten_failures, recorded_batch, said_of_past
from dbgkit.targets.refusals import (
    after_close,
    ask_why,
    found_by_text,
    gone,
    interrupted,
    lost_future,
    lost_with_scheduler,
    not_failed,
    unanswered,
    unread_graph,
)
from dbgkit.targets.resolve import Sought
from dbgkit.targets.scheduler_texts import (
    beginnings,
    has_text_of,
    held_beginnings,
    keys_holding,
    texts_of,
)
from dbgkit.targets.tracebacks import Trace, chain, trace, whole_of
from dbgkit.targets.without_task import CERTAIN, failure_of_kind, kind_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Visit

_OF_ANOTHER = ("it may be another client's failure",)
_UNFOLLOWED = (
    "it failed because of more tasks than were checked: an earlier one may have failed"
)


def _as_list(failure: Failure | None) -> list[Failure]:
    return [] if failure is None else [failure]


@dataclass(frozen=True)
class Search:
    """One search: which client to ask, within which limits; see `locate_failures`."""

    client: Any
    timeout: float
    specs: bool
    max_bytes: int
    finished: bool

    def of_sought(self, sought: Sought, found: bool) -> list[list[Failure]]:
        """Failures of each part of a target; ``found``: others were found already.

        It is an error that a part has not failed only if no other part has.
        """
        if sought.exceptions:
            located = [self.of_exception(exception) for exception in sought.exceptions]
            clients = [group[0].evidence.client for group in located]
            # The rest is sought where they were raised.
            asked = next((each for each in reversed(clients) if each), self.client)
            rest = replace(sought, exceptions=[])
            return [*located, *replace(self, client=asked).of_sought(rest, True)]
        groups: list[list[Failure]] = []
        # The outputs of a collection that was persisted are futures: ask for them
        # first, and go to its graph only where none of them has failed.
        if sought.keys:
            # A finished task is taken only if nothing has failed.
            finished = self.finished and not (found or sought.collections)
            try:
                return [self.of_keys(sought.keys, sought.futures, finished)]
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
            groups.append(self.of_keys(sought.keys, sought.futures, self.finished))
        if sought.nothing:
            groups.append(self.newest())
        return groups

    # -- keys ---------------------------------------------------------------

    def of_keys(
        self, keys: list[Any], futures: dict[Any, Any], finished: bool
    ) -> list[Failure]:
        """Failures that keys lead to; ``finished``: finished tasks count too."""
        client = self._open_client()
        answer = self._link(client).visit(
            keys=keys, texts=held_beginnings(client, keys), **self._limits
        )
        failures = self._from_answer(answer, client)
        if failures:
            return failures
        row = answer["asked"][0]
        key = row["key"] if row["key"] is not None else row["asked"]
        if row["state"] == "memory" and finished:
            return [self._finished(key, client)]
        refused = self._not_failed(answer, key, row["state"], client, futures.get(key))
        if isinstance(refused, UnknownKey):
            past = forgotten_failures(answer, client, self.timeout)
            if past:
                return past
        raise refused

    def _not_failed(
        self, answer: Visit, key: Any, state: str, client: Any, future: Any
    ) -> DbgkitError:
        """Why a requested task is not a failure."""
        status = future.status if future is not None else ""
        if state == "unknown" and (lost := lost_future([future])) is not None:
            return lost
        if state == "unknown" and key in (held := held_future_states(client)):
            unread = unread_graph(held[key].exception)
            if unread is not None:
                return unread
        return not_failed(key, state, status, client, said_of_past(answer, key))

    def _finished(self, key: Any, client: Any) -> Failure:
        answer = self._link(client).visit(
            keys=[key], specs=True, max_bytes=self.max_bytes, finished=True
        )
        row = next((row for row in answer["tasks"] if row["key"] == key), None)
        if row is None:
            raise not_failed(key, "unknown", "", client)
        fact = forgotten_fact(entry_for(key, erred_on=row["who_has"]))
        return failure_from_fact(
            {**fact, "group_size": row["group_size"]},
            evidence=Evidence(client=client, visit=answer, scheduler="distributed"),
            notes=("it had not failed on the cluster",),
        )

    def _from_answer(
        self,
        answer: Visit,
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
        """Failures that an exception leads to: by its frames, else by what it is."""
        lost = unread_graph(exception) or lost_with_scheduler(chain(exception))
        if lost is not None:
            raise lost
        exception = whole_of(exception)
        found = trace(exception)
        if found.meta is not None:
            return [failure_of_meta(found)]
        if found.local_task is not None:
            return [failure_of_local_task(found)]
        if (closed := after_close(exception, found.futures)) is not None:
            raise closed
        owner = found.futures[0]._client if found.futures else None
        client = found.client or self.client
        keys = keys_holding(found, client)
        search = replace(self, client=owner if owner is not None else client)
        kind = None if keys else kind_of(exception, found)
        if kind is not None and kind.code == "carried":
            return self._of_batches(kind.exception) or [failure_of_kind(kind)]
        if kind is not None and kind.code in CERTAIN:
            return [failure_of_kind(kind)]
        if not keys and found.expression is None:
            found.expression = inner_expression(found.exception)
        graph_left = found.expression is not None or bool(found.collections)
        if keys:
            try:
                return search._of_held(found, keys, graph_left)
            except (NotFailed, UnknownKey, Cancelled) as error:
                # compute() releases its futures as it raises: the client may
                # still list them when the scheduler has already forgotten them.
                if not graph_left:
                    raise lost_future(found.futures) or error from None
        if graph_left:
            return replace(self, client=client)._in_graph(found)
        if found.futures and search.client.status != "running":
            # Its futures no longer know what they held.
            raise unanswered(found.futures[0].key, search.client.status)
        kind = kind or kind_of(exception, found)
        copied: list[Failure] = []
        if kind.code == "remote" and not found.futures:
            copied = search._of_copy(found.exception)
        return copied or [failure_of_kind(kind)]

    def _in_graph(self, found: Trace) -> list[Failure]:
        from dbgkit.targets.matching import locate_in_graph

        return locate_in_graph(
            found,
            client=self.client,
            timeout=self.timeout,
            limits=self._limits,
            from_answer=self._from_answer,
        )

    def _of_copy(self, exception: BaseException) -> list[Failure]:
        """Failures with exactly the text of an exception that has no other traces."""
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
        answer = link.visit(keys=keys, **self._limits)
        return self._from_answer(answer, client, None, (found_by_text(len(keys)),))

    def _of_held(
        self, found: Trace, keys: list[Any], graph_left: bool
    ) -> list[Failure]:
        """Failures of futures; ``graph_left``: what is forgotten is found otherwise."""
        client = self._open_client()
        error = None if interrupted(found.exception) else found.exception
        answer = self._link(client).visit(
            keys=keys,
            texts=beginnings([error]),
            chain=raised_in(error),
            **self._limits,
        )
        notes: tuple[str, ...] = ()
        if error is not None:
            count = sum(has_text_of(fact, error) for fact in answer["failures"])
            if count > 1:
                notes = (f"{count} tasks failed with this exception",)
        failures = self._from_answer(answer, client, error, notes)
        if not failures:
            state = answer["asked"][0]["state"]
            if state == "unknown":
                refused = gone(keys[0], found)
                if not graph_left and isinstance(refused, UnknownKey):
                    past = forgotten_failures(answer, client, self.timeout)
                    if past:
                        return [replace(past[0], exception=error), *past[1:]]
                raise refused
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
        text = remote_text(exception)
        batches = failed_batches(exception, client, self.timeout)
        others = tuple(key for key, _ in batches[1:])
        return [
            replace(
                failure_of_batch(self._finished(key, client), exception, address),
                others=others,
            )
            for key, address in batches[:1]
        ] or _as_list(recorded_batch(exception, text, client, self.timeout))

    # -- collections, and nothing at all ------------------------------------

    def of_collection(self, collection: Any) -> list[Failure]:
        found = Trace(NoFailure("there is no exception"))
        found.collections = [collection]
        found.expression = expression_here([collection])
        return replace(self, client=self._open_client())._in_graph(found)

    def newest(self) -> list[Failure]:
        if self.client is None:
            raise NoFailure(
                "there is no exception, and no client",
                "pass an exception, or connect a distributed.Client",
            )
        client = self._open_client()
        answer = self._link(client).visit(newest_of=client.id, **self._limits)
        # A client in another process than the job's has no work of its own.
        others = answer["of_any"] and not was_opened_here(client)
        notes = _OF_ANOTHER if others else ()
        failures = self._from_answer(answer, client, notes=notes)
        if not failures:
            notes = () if was_opened_here(client) else _OF_ANOTHER
            failures = forgotten_failures(answer, client, self.timeout, notes)
        if not failures:
            raise NoFailure(
                "the scheduler knows of no failed task",
                "pass the exception: its traceback may hold the graph",
            )
        return failures

    # -- who to ask ---------------------------------------------------------

    def _open_client(self) -> Any:
        if self.client is None:
            raise NoFailure(
                "there is no client to ask",
                f"connect a distributed.Client, or use {advice.option('client')}",
            )
        if not is_open(self.client):
            raise SchedulerGone(
                f"the client is {self.client.status}",
                "pass the exception: its traceback may hold enough, or use "
                f"{advice.call('debugging')} around the with block of the client",
            )
        return self.client

    @property
    def _limits(self) -> dict[str, Any]:
        """What a visit is to bring besides the failures."""
        return {"specs": self.specs, "max_bytes": self.max_bytes}

    def _link(self, client: Any) -> Link:
        return Link(client, self.timeout)
