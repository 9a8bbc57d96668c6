"""Cluster dumps: what ``Client.dump_cluster_state`` wrote, read back as a state."""

from __future__ import annotations

import gc
import os
import re
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import dask
import msgpack

from dbgkit.cluster import dump_forms as forms
from dbgkit.cluster.dump_objects import (
    DumpClient,
    DumpGroup,
    DumpPrefix,
    DumpTask,
    DumpWorker,
)
from dbgkit.errors import DumpUnreadable
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.secrets.names import is_secret_name

_CHUNK = 2**24  # bytes that are read at a time
_GZIP = b"\x1f\x8b"
_NAMED = re.compile(r"""^<\w+ (['"])(?P<name>.*?)\1""", re.DOTALL)
_DEFAULT_ALLOWED_FAILURES = 3  # distributed.yaml, distributed.scheduler


class Transition(NamedTuple):
    """One entry of the scheduler's transition log (distributed.scheduler)."""

    key: Any
    start: str
    finish: str
    recommendations: Mapping[Any, str]
    stimulus_id: str
    timestamp: float


class DumpState:
    """A scheduler's state out of a dump; see `dump_objects` for what it holds.

    Attributes
    ----------
    taken : float
        When it was taken, as far as its content shows.
    tasks, workers, clients, task_groups, task_prefixes, transition_log
        As ``distributed.Scheduler`` has them.
    worker_dumps : mapping of str to mapping
        What each worker reported about itself, without its configuration.
    silent_workers : tuple of str
        Workers that the scheduler knew and that did not answer.
    """

    # Not in any dump.
    erred_tasks: tuple[Any, ...] = ()
    computations: tuple[Any, ...] = ()

    def __init__(self, content: Mapping[str, Any], path: str = "") -> None:
        self.path = path
        raw = self._raw = forms.Checked(content["scheduler"], forms.SCHEDULER)
        self._workers_raw = forms.named_parts(content, "workers")
        self.versions: Mapping[str, Any] = content.get("versions") or {}
        self.address: str = raw.get("address", "")
        self.id: str = raw.get("id", "")
        self.time_started: float | None = raw.get("started")
        self.transition_counter: int | None = raw.get("transition_counter")
        self.tasks: dict[Any, DumpTask] = {}
        for each in raw["tasks"].values():
            task = DumpTask(each, self)
            self.tasks[task.key] = task
        self.workers = {
            address: DumpWorker(address, each, self)
            for address, each in forms.named_parts(raw, "workers").items()
        }
        self.clients = {
            name: DumpClient(name, each, self)
            for name, each in forms.named_parts(raw, "clients").items()
        }
        self.task_groups = {
            name: DumpGroup(name, each)
            for name, each in forms.named_parts(raw, "task_groups").items()
        }
        self.silent_workers = tuple(
            address
            for address in self.workers
            if not isinstance(self._workers_raw.get(address), dict)
        )

    # -- as on the scheduler ------------------------------------------------

    @cached_property
    def task_prefixes(self) -> dict[str, DumpPrefix]:
        from dask.utils import key_split

        prefixes: dict[str, DumpPrefix] = {}
        for group in self.task_groups.values():
            name = key_split(group.name)
            prefixes.setdefault(name, DumpPrefix(name)).add(group)
        return prefixes

    @cached_property
    def transition_log(self) -> deque[Transition]:
        return deque(
            Transition(as_key(entry[0]), *entry[1:6])
            for entry in forms.transitions(self._raw.get("transition_log"))
        )

    @cached_property
    def unrunnable(self) -> dict[DumpTask, None]:
        """Tasks without a worker; dumps do not say since when."""
        return {ts: None for ts in self.tasks.values() if ts.state == "no-worker"}

    @cached_property
    def queued(self) -> set[DumpTask]:
        return {ts for ts in self.tasks.values() if ts.state == "queued"}

    @cached_property
    def running(self) -> set[DumpWorker]:
        return {ws for ws in self.workers.values() if ws.status.name == "running"}

    @property
    def total_nthreads(self) -> int:
        return sum(ws.nthreads for ws in self.workers.values())

    @property
    def extensions(self) -> Mapping[str, Any]:
        """As raw data: most are there by their ``repr`` only."""
        return self._raw.get("extensions") or {}

    @property
    def allowed_failures(self) -> int:
        """As the workers' configuration has it, as the scheduler's own is not in it."""
        value = self.setting("distributed.scheduler.allowed-failures")
        return value if isinstance(value, int) else _DEFAULT_ALLOWED_FAILURES

    # -- what the workers said ----------------------------------------------

    @cached_property
    def worker_dumps(self) -> dict[str, Mapping[str, Any]]:
        # The configuration may hold secrets: `setting` gives only single values.
        return {
            address: forms.Checked(
                {name: value for name, value in each.items() if name != "config"},
                forms.OWN,
            )
            for address, each in self._workers_raw.items()
            if isinstance(each, dict)
        }

    def setting(self, name: str) -> Any:
        """A value of the workers' Dask configuration, as ``dask.config.get`` names it.

        None where it is unknown, and for secrets.
        """
        if any(map(is_secret_name, name.split("."))):
            return None
        for each in self._workers_raw.values():
            config = each.get("config") if isinstance(each, dict) else None
            if isinstance(config, dict):
                value = dask.config.get(name, None, config)
                if value is not None:
                    return value
        return None

    @cached_property
    def taken(self) -> float:
        times = [0.0]
        times += [ws.last_seen for ws in self.workers.values()]
        times += [cs.last_seen for cs in self.clients.values()]
        for entry in forms.transitions(self._raw.get("transition_log"), last=1):
            times.append(entry[5])
        for each in self.worker_dumps.values():
            times.append(forms.last_handled(each.get("stimulus_log")))
        return max(times)

    # -- links --------------------------------------------------------------

    @cached_property
    def _by_text(self) -> dict[str, DumpTask]:
        return {f"<TaskState {ts.key!r} {ts.state}>": ts for ts in self.tasks.values()}

    def task_named(self, text: str) -> DumpTask | None:
        """The task that a ``repr`` names."""
        return self._by_text.get(text)

    def tasks_named(self, texts: Iterable[str] | None) -> set[DumpTask]:
        return {ts for text in texts or () if (ts := self._by_text.get(text))}

    def worker_named(self, text: str) -> DumpWorker | None:
        found = _NAMED.match(text)
        return self.workers.get(found["name"]) if found else None

    def workers_named(self, texts: Iterable[str] | None) -> set[DumpWorker]:
        return {ws for text in texts or () if (ws := self.worker_named(text))}

    def clients_named(self, texts: Iterable[str] | None) -> set[DumpClient]:
        found = map(_NAMED.match, texts or ())
        clients = [self.clients.get(match["name"]) for match in found if match]
        return {cs for cs in clients if cs is not None}

    def group_of(self, task: DumpTask) -> DumpGroup:
        group = self.task_groups.get(task.group_key)
        if group is None:
            group = DumpGroup(task.group_key, {"states": {task.state: 1}})
        if not group.prefix.name:
            from dask.utils import key_split

            name = key_split(task.key)
            prefix = self.task_prefixes.get(name) or DumpPrefix(name)
            if group.prefix is not prefix:
                prefix.add(group)
        return group


def read_dump(path: Any) -> DumpState:
    """Read a cluster dump: msgpack or yaml, packed with gzip or not.

    ``path`` may be a URL that fsspec understands. If it does not exist, is not a dump,
    or is cut off, `DumpUnreadable` says so.
    """
    name = str(path)
    with _no_collection():
        return _read(name)


def _read(name: str) -> DumpState:
    content = _parse(_bytes_of(name), name)
    scheduler = content.get("scheduler") if isinstance(content, dict) else None
    # Yaml that is cut off between two lines is yaml: keys are sorted there. The first
    # ones are the scheduler's "address" and "clients", the last ones are "workers", and
    # in it each worker's "type".
    if not isinstance(scheduler, dict) or not {"address", "clients"} <= set(scheduler):
        raise DumpUnreadable(f"{name!r} is not a cluster dump", forms.HINT)
    if not {"tasks", "workers"} <= set(scheduler):
        raise _cut_off(name)
    workers = content.get("workers")
    if not isinstance(workers, dict) or any(
        isinstance(each, dict) and "type" not in each for each in workers.values()
    ):
        raise _cut_off(name)
    return DumpState(content, name)


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collections meanwhile.

    Millions of objects are made, none of them garbage; collecting again and again would
    take as long as the rest.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _bytes_of(name: str) -> bytes:
    import fsspec

    if os.path.exists(name) and not os.path.isfile(name):
        raise DumpUnreadable(f"{name!r} is not a file", forms.HINT)
    try:
        with fsspec.open(name, "rb") as file:
            data = _bytes_in(file, name)
        return _unpacked(data, name) if data.startswith(_GZIP) else data
    except zlib.error as error:
        raise _damaged(name, error) from error
    except FileNotFoundError as error:
        raise DumpUnreadable(f"{name!r} does not exist", forms.HINT) from error
    except (OSError, ValueError, ImportError) as error:
        raise DumpUnreadable(f"{name!r} cannot be read: {error}", forms.HINT) from error


def _bytes_in(file: Any, name: str) -> bytes:
    """The content of a file, unless it is larger than `most_bytes`."""
    most, size, parts = most_bytes(), 0, []
    while part := file.read(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > most:
            raise _too_large(name, most)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unpacked(packed: bytes, name: str) -> bytes:
    """The content of a gzip file, unless it is larger than `most_bytes`."""
    most, size, parts = most_bytes(), 0, []
    while packed:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        parts.append(member.decompress(packed, most - size + 1))
        size += len(parts[-1])
        if size > most:
            raise _too_large(name, most)
        if not member.eof:
            raise _cut_off(name)
        packed = member.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(name: str, most: int) -> DumpUnreadable:
    return DumpUnreadable(
        f"{name!r} holds more than {most / 2**20:,.0f} MiB, a quarter of the memory "
        "that is free here",
        "read it where there is more memory",
    )


def most_bytes() -> int:
    """At most so many bytes of a dump are read: as objects they take much more.

    ``distributed.system.MEMORY_LIMIT`` knows the limits of containers.
    """
    import psutil
    from distributed.system import MEMORY_LIMIT

    free: int = min(MEMORY_LIMIT, psutil.virtual_memory().available)
    return free // 4


def _parse(data: bytes, name: str) -> Any:
    """Msgpack begins with the byte of a map, yaml with a name."""
    if not data:
        raise DumpUnreadable(f"{name!r} is empty", forms.HINT)
    if data[0] in range(0x80, 0x90) or data[0] in (0xDE, 0xDF):
        try:
            # Keys that are numbers stay numbers.
            return msgpack.unpackb(data, strict_map_key=False)
        except msgpack.ExtraData as error:
            raise DumpUnreadable(
                f"{name!r} is not a cluster dump", forms.HINT
            ) from error
        except MemoryError as error:
            raise _damaged(name, "it announces more data than it holds") from error
        except (ValueError, TypeError) as error:
            raise _cut_off(name) from error
    return _parse_yaml(data, name)


def _parse_yaml(data: bytes, name: str) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if not data[:200].lstrip().startswith(b"scheduler:"):
        raise DumpUnreadable(f"{name!r} is not a cluster dump", forms.HINT)
    # yaml.dump ends each file with a newline.
    if not data.endswith(b"\n"):
        raise _cut_off(name)
    try:
        return yaml.load(data, Loader=loader)
    except (yaml.constructor.ConstructorError, RecursionError) as error:
        raise _damaged(name, error) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _cut_off(name) from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # PyYAML's own constructors raise them for an invalid number or date.
        raise _damaged(name, error) from error


def _damaged(name: str, why: Any) -> DumpUnreadable:
    return DumpUnreadable(f"{name!r} is damaged: {why}", forms.HINT)


def _cut_off(name: str) -> DumpUnreadable:
    return DumpUnreadable(
        f"{name!r} is cut off: the dump was not written completely",
        "make it again: client.dump_cluster_state(path) waits until it is written",
    )
