"""What a replay starts from: run specs and inputs, of the cluster or of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.cluster.clients import is_inproc, is_open
from dbgkit.cluster.link import Link
from dbgkit.errors import InputsTooLarge, NoTask, RunSpecUnreadable
from dbgkit.model import Failure
from dbgkit.replays.nodes import P2P_WRAPPERS, is_p2p, read_spec, without_p2p, write
from dbgkit.source import Reader
from dbgkit.targets.graphs import barriers_after, closure, follow_aliases, is_alias
from dbgkit.targets.refusals import not_again

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Restrictions, TaskForm, WorkerForm

_P2P_MARKS = (b"distributed.shuffle", *(name.encode() for name in P2P_WRAPPERS))


def _free() -> Restrictions:
    return {}


@dataclass
class Row:
    """One task that the replay may need: where its value is, what computes it.

    ``reader`` unpickles all that belongs to one replay.
    """

    key: Any
    dependencies: tuple[Any, ...]
    state: str = "unknown"
    nbytes: int | None = None
    type: str = ""
    who_has: tuple[str, ...] = ()
    lost: bool = False
    group_size: int | None = None
    restrictions: Restrictions = field(default_factory=_free)
    spec: bytes | None = None
    spec_bytes: int = 0
    spec_error: str = ""
    node: Any = None
    alias_of: Any = None
    stored_as: Any = None  # the key under which workers hold it, if it is an alias
    of_file: bool = False  # its spec names a file, and is read alike in any process
    reader: Reader = field(default_factory=Reader, repr=False)

    @property
    def held(self) -> bool:
        """Whether its value is in memory on the cluster."""
        return self.state == "memory"

    @property
    def takes_part_in_p2p(self) -> bool:
        """Whether it, or a step of it, is part of a P2P shuffle; does not read it."""
        if self.spec is not None:
            return any(mark in self.spec for mark in _P2P_MARKS)
        return self.node is not None and is_p2p(self.node)

    def as_node(self) -> Any:
        """Its run spec, to be looked at only; None if it is not here."""
        return self.node if self.spec is None else self.read()

    def replace(self, node: Any) -> None:
        """Have another node run in its place."""
        self.node, self.spec = node, None
        self.dependencies = tuple(node.dependencies)

    def read(self) -> Any:
        """Its run spec: new objects each time, so that literals stay as they are."""
        if self.spec is None and self.node is not None:
            self.spec = write(self.node, f"the task {self.key!r}", self.key)
        if self.spec is None:
            if self.spec_error:
                why = f"cannot send the task {self.key!r}: {self.spec_error}"
                raise RunSpecUnreadable(f"the scheduler {why}", key=self.key)
            raise InputsTooLarge(
                f"the run spec of {self.key!r} has {self.spec_bytes:,} bytes of "
                "literals, over the limit",
                f"raise {advice.option('max_bytes')} to fetch it",
                key=self.key,
            )
        return read_spec(self.spec, self.key, self.reader)

    def written(self) -> bytes:
        """Its run spec for a process of its own.

        Written again, so that its classes are those of the inputs; but one of a file as
        it is: read there, its code has the text that the file holds. Raises here
        already, if it cannot be read.
        """
        node = self.read()
        if self.of_file and self.spec is not None:
            return self.spec
        return write(node, f"the task {self.key!r}", self.key)


@dataclass
class Material:
    """The failed task, and all rows up to what is in memory.

    Attributes
    ----------
    key : Key
        The task to run; None where only the graph's outputs are known.
    rows : dict of Key to Row
    have : mapping of Key to object
        Values that are in this process already.
    link : Link or None
        The cluster, if there is one to ask.
    shared : bool
        Whether the values to pull live in this process anyway (inproc).
    workers : mapping of str to mapping
        What is known of the workers that are named in the rows.
    restarted : bool
        Whether it is another scheduler than the one that reported the failure.
    """

    key: Any
    rows: dict[Any, Row]
    have: Mapping[Any, Any]
    link: Link | None
    shared: bool
    workers: Mapping[str, WorkerForm]
    outputs: tuple[Any, ...] = ()
    reader: Reader = field(default_factory=Reader, repr=False)
    restarted: bool = False

    def worker_of(self, failure: Failure) -> Mapping[str, Any]:
        """What is known of the worker that it failed on; empty if nothing is."""
        known = self.workers.get(failure.worker or "")
        # Only KilledWorker knows of a worker that was killed.
        last = getattr(failure.exception, "last_worker", None)
        if known or last is None:
            return known or {}
        names = ("name", "nthreads", "memory_limit")
        return {name: getattr(last, name, None) for name in names}

    @property
    def roots(self) -> tuple[Any, ...]:
        """What is to be computed: the failed task, or the graph's outputs."""
        return self.outputs if self.key is None else (self.key,)

    def inputs_of(self, keys: Iterable[Any]) -> list[Any]:
        """What some tasks take, apart from each other; each once."""
        inside = set(keys)
        found = (name for key in keys for name in self.rows[key].dependencies)
        return list(dict.fromkeys(name for name in found if name not in inside))

    def stored_as(self, key: Any) -> Any:
        """The key under which workers hold the value of an input."""
        return self.rows[key].stored_as or key

    def nbytes(self, keys: Iterable[Any]) -> int:
        """Bytes of the values of some tasks, as far as they are known."""
        return sum(self.rows[key].nbytes or 0 for key in keys)


def gather_material(
    failure: Failure, timeout: float, sources: tuple[str, ...] = ()
) -> Material:
    """All that a replay of this failure can start from.

    Costs nothing if the scheduler's answer has the specs, and one visit if they come
    from a graph. Raises `NoTask` if no task raised the failure.
    """
    evidence = failure.evidence
    client = evidence.client
    link = Link(client, timeout) if client is not None and is_open(client) else None
    shared = link is not None and is_inproc(client)
    reader = Reader(sources, limit=timeout)
    if evidence.graph is not None:
        return _of_graph(failure, link, shared, reader)
    if evidence.refusal is not None:
        raise evidence.refusal
    if evidence.specs is not None:
        return _of_file(failure, evidence.specs, reader)
    visit = evidence.visit
    if failure.found_in == "history":
        raise not_again(failure)
    if visit is None or not visit["tasks"]:
        why = failure.notes[0] if failure.notes else "no task raised it"
        raise NoTask(
            f"there is no task to replay: {why}",
            "compute it again, and hold its future while you debug it"
            if failure.exception is None
            else f"{advice.call('debug')} enters the exception as it is",
            key=failure.key,
        )
    rows = {row["key"]: _row(row, reader) for row in visit["tasks"]}
    _fill_up(rows, failure.key)
    restarted = link is not None and link.scheduler() != visit["scheduler"]
    if link is not None and not restarted:
        link.expect(visit)
    else:
        # What was in memory was lost with the cluster, or the scheduler.
        for row in rows.values():
            row.state, row.lost = "unknown", row.spec is None
    _see_through_aliases(failure.key, rows)
    _split_off_p2p(rows, failure.key)
    return Material(
        failure.key,
        rows,
        {},
        link,
        shared,
        visit["workers"],
        reader=reader,
        restarted=restarted,
    )


def _of_file(failure: Failure, specs: Mapping[Any, bytes], reader: Reader) -> Material:
    """The one row of a task that a file holds, with its inputs among its literals."""
    rows = {
        key: Row(key, (), spec=spec, of_file=True, reader=reader)
        for key, spec in specs.items()
    }
    return Material(failure.key, rows, {}, None, False, {}, reader=reader)


def _row(wire: TaskForm, reader: Reader) -> Row:
    return Row(
        reader=reader,
        key=wire["key"],
        dependencies=tuple(wire["dependencies"]),
        state=wire["state"],
        nbytes=wire["nbytes"],
        type=wire["type"],
        who_has=tuple(wire["who_has"]),
        lost=wire["lost"],
        group_size=wire["group_size"],
        restrictions=wire["restrictions"],
        spec=wire["spec"],
        spec_bytes=wire["spec_bytes"],
        spec_error=wire["spec_error"],
        alias_of=wire["alias_of"],
    )


def _fill_up(rows: dict[Any, Row], key: Any) -> None:
    """Mark as lost the inputs of which the scheduler has reported nothing."""
    stack, seen = [key], {key}
    while stack:
        row = rows.get(stack.pop())
        if row is None or (row.held and row.key != key):
            continue
        for name in row.dependencies:
            if name not in seen:
                seen.add(name)
                stack.append(name)
                rows.setdefault(name, Row(name, (), lost=True))


def _see_through_aliases(key: Any, rows: Mapping[Any, Row]) -> None:
    """An alias of a key that is held counts as held, and is not computed.

    That is so for partitions of a persisted DataFrame, in what is built on it.
    """
    for row in rows.values():
        seen, found = {row.key}, row
        while not found.held and found.alias_of in rows and found.alias_of not in seen:
            seen.add(found.alias_of)
            found = rows[found.alias_of]
        if found is not row and found.held and key not in seen:
            row.state, row.who_has = found.state, found.who_has
            row.nbytes, row.type = found.nbytes, found.type
            row.stored_as = found.stored_as or found.key


def _of_graph(
    failure: Failure, link: Link | None, shared: bool, reader: Reader
) -> Material:
    """Rows made from a graph, and from what the scheduler holds of it."""
    evidence = failure.evidence
    graph, have = evidence.graph or {}, evidence.cache or {}
    key, outputs = failure.key, evidence.outputs
    if key is not None:
        if key not in graph:
            raise NoTask(f"{key!r} is not in the graph", key=key)
        key = follow_aliases(graph, key)
    part = closure(graph, outputs if key is None else [key])
    rows = {
        name: Row(
            name,
            tuple(node.dependencies),
            node=node,
            alias_of=node.target if is_alias(node) else None,
            reader=reader,
        )
        for name, node in part.items()
        if name not in have or name == key
    }
    if key in rows and rows[key].takes_part_in_p2p:
        # The barriers know what is shuffled by; their inputs are not needed.
        for name, node in barriers_after(graph, key).items():
            rows.setdefault(name, Row(name, (), node=node))
    outside = {d for row in rows.values() for d in row.dependencies} - rows.keys()
    outside -= have.keys()
    workers: Mapping[str, WorkerForm] = {}
    if link is not None:
        answer = link.visit(
            keys=[*rows, *outside], states_only=True, recordings_of=failure.key
        )
        link.expect(answer)
        workers = answer["workers"]
        for wire in answer["tasks"]:
            known, row = _row(wire, reader), rows.get(wire["key"])
            if row is not None:
                # The scheduler's run spec is the same, and not needed twice.
                known.node, known.spec, known.lost = row.node, None, False
                known.alias_of, known.dependencies = row.alias_of, row.dependencies
            rows[known.key] = known
    for name in outside - rows.keys():
        rows[name] = Row(name, (), lost=True)
    if key is not None and isinstance(key, tuple):
        rows[key].group_size = sum(
            isinstance(name, tuple) and name[0] == key[0] for name in graph
        )
    # A failed task is not in memory, whatever its key's state is now.
    if key is not None and rows[key].held:
        rows[key].state = "unknown"
    _split_off_p2p(rows, key)
    _see_through_aliases(key, rows)
    return Material(key, rows, have, link, shared, workers, outputs, reader)


def _split_off_p2p(rows: dict[Any, Row], key: Any) -> None:
    """Turn the steps of a fused task that take from a P2P shuffle into inputs."""
    row = rows.get(key)
    if row is None or not row.takes_part_in_p2p:
        return
    node, taken = without_p2p(row.read())
    if not taken:
        return
    for name, step in taken.items():
        part = Row(name, tuple(step.dependencies), node=step, reader=row.reader)
        rows.setdefault(name, part)
    row.replace(node)


def needed(material: Material, keys: Iterable[Any]) -> list[Any]:
    """Keys that have to be computed for some keys, without those that are held or here.

    In no particular order; includes `keys` themselves if not held.
    """
    found: dict[Any, None] = {}
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key in found or key in material.have:
            continue
        row = material.rows.get(key)
        if row is None or (row.held and key != material.key):
            continue
        found[key] = None
        stack.extend(row.dependencies)
    return list(found)
