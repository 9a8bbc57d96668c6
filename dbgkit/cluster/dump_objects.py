"""Tasks, workers, groups and clients of a cluster dump, as a scheduler has them.

They have those attributes of distributed.scheduler's classes that the questions of
``dbgkit.remote`` read, so that a dump is asked what a live scheduler is asked. A dump
names objects by their ``repr``: the links between them are made as they are followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Protocol

from dbgkit.cluster import dump_forms as forms
from dbgkit.remote.common.keys import as_key

_STATUS = re.compile(r"Status\.(\w+)")


class Links(Protocol):
    """What a dump's objects are linked by: names of others, looked up in the dump."""

    @property
    def worker_dumps(self) -> Mapping[str, Mapping[str, Any]]: ...

    def group_of(self, task: DumpTask) -> DumpGroup: ...

    def task_named(self, text: str) -> DumpTask | None: ...

    def tasks_named(self, texts: Iterable[str] | None) -> set[DumpTask]: ...

    def worker_named(self, text: str) -> DumpWorker | None: ...

    def workers_named(self, texts: Iterable[str] | None) -> set[DumpWorker]: ...

    def clients_named(self, texts: Iterable[str] | None) -> set[DumpClient]: ...


def _field(name: str, make: Callable[[Any], Any] = lambda value: value) -> Any:
    """A property of a task: a field of the dump, made into what a scheduler has."""
    return property(lambda task: make(task._get(name)))


def _tasks(name: str) -> Any:
    """A property of a task: others that a field of the dump names."""
    return property(lambda task: task._links.tasks_named(task._get(name)))


def _names(value: Any) -> set[str]:
    return set(value or ())


class DumpTask:
    """A ``TaskState``; what dumps do not hold (run spec, exception) is None."""

    __slots__ = ("_links", "_raw", "key", "state")

    run_spec = None
    exception = None
    traceback = None

    dependencies: set[DumpTask] = _tasks("dependencies")
    dependents: set[DumpTask] = _tasks("dependents")
    waiting_on: set[DumpTask] = _tasks("waiting_on")
    waiters: set[DumpTask] = _tasks("waiters")
    erred_on: list[str] = _field("erred_on", lambda value: list(value or ()))
    type: str | None = _field("type")
    retries: int = _field("retries", lambda value: value or 0)
    suspicious: int = _field("suspicious", lambda value: value or 0)
    actor: bool = _field("actor", bool)
    has_lost_dependencies: bool = _field("has_lost_dependencies", bool)
    exception_text: str | None = _field("exception_text")
    traceback_text: str | None = _field("traceback_text")
    worker_restrictions: set[str] = _field("worker_restrictions", _names)
    host_restrictions: set[str] = _field("host_restrictions", _names)
    loose_restrictions: bool = _field("loose_restrictions", bool)

    def __init__(self, raw: Any, links: Links) -> None:
        # There may be millions: usual entries are recognised at once.
        part = raw
        if type(raw) is not dict or type(raw.get("state")) is not str:
            part = forms.Checked(raw, forms.TASK)
        self._raw = raw
        self._links = links
        self.state: str = part["state"]
        key = part.get("key")
        if type(key) is not str:
            key = as_key(forms.Checked(raw, forms.TASK)["key"])
        self.key = key

    def __repr__(self) -> str:
        return f"<TaskState {self.key!r} {self.state}>"

    def _get(self, name: str) -> Any:
        """A field, checked as it is read; None if it is missing."""
        value = self._raw.get(name)
        if value is None or forms.TASK[name](value):
            return value
        return forms.Checked(self._raw, forms.TASK)[name]  # which says what is wrong

    @property
    def prefix(self) -> DumpPrefix:
        return self.group.prefix

    @property
    def group(self) -> DumpGroup:
        return self._links.group_of(self)

    @property
    def group_key(self) -> str:
        return str(self._get("group_key") or "")

    @property
    def exception_blame(self) -> DumpTask | None:
        text = self._get("exception_blame")
        return self._links.task_named(text) if text else None

    @property
    def processing_on(self) -> DumpWorker | None:
        text = self._get("processing_on")
        return self._links.worker_named(text) if text else None

    @property
    def who_has(self) -> set[DumpWorker]:
        return self._links.workers_named(self._get("who_has"))

    @property
    def who_wants(self) -> set[DumpClient]:
        return self._links.clients_named(self._get("who_wants"))

    @property
    def nbytes(self) -> int:
        nbytes = self._get("nbytes")
        return -1 if nbytes is None else int(nbytes)

    @property
    def annotations(self) -> Mapping[str, Any]:
        # Most have none, and all are asked.
        return self._get("annotations") if self._raw.get("annotations") else {}

    @property
    def priority(self) -> tuple[Any, ...] | None:
        priority = self._get("priority")
        return None if priority is None else tuple(priority)

    @property
    def resource_restrictions(self) -> dict[str, float]:
        return dict(self._get("resource_restrictions") or {})


class DumpWorker:
    """A ``WorkerState``; `own` is what the worker reported about itself."""

    def __init__(self, address: str, part: Any, links: Links) -> None:
        raw = self._raw = forms.Checked(part, forms.WORKER)
        self._links = links
        self.address: str = raw.get("address", address)
        self.name = raw.get("name", address)
        self.host: str = raw.get("host") or ""
        self.pid: int = raw.get("pid") or 0
        self.nanny: str | None = raw.get("nanny")
        self.nthreads: int = raw.get("nthreads") or 0
        self.nbytes: int = raw.get("nbytes") or 0
        self.memory_limit: int = raw.get("memory_limit") or 0
        self.local_directory: str = raw.get("local_directory") or ""
        self.last_seen: float = raw.get("last_seen") or 0.0
        self.time_delay: float = raw.get("time_delay") or 0.0
        self.resources: dict[str, float] = dict(raw.get("resources") or {})
        self.metrics: dict[str, Any] = dict(raw.get("metrics") or {})

    def __repr__(self) -> str:
        return f"<WorkerState {self.address!r}>"

    @cached_property
    def status(self) -> Any:
        """A ``distributed.core.Status``."""
        from distributed.core import Status

        text = str(self._raw.get("status", ""))
        found = _STATUS.search(text)
        name = found[1] if found else text
        return Status[name] if name in Status.__members__ else Status.undefined

    @cached_property
    def processing(self) -> set[DumpTask]:
        return self._links.tasks_named(self._raw.get("processing"))

    @cached_property
    def long_running(self) -> set[DumpTask]:
        return self._links.tasks_named(self._raw.get("long_running"))

    @cached_property
    def executing(self) -> dict[DumpTask, float]:
        found = {
            self._links.task_named(text): value
            for text, value in (self._raw.get("executing") or {}).items()
        }
        return {task: value for task, value in found.items() if task is not None}

    @property
    def own(self) -> Mapping[str, Any] | None:
        """What the worker itself dumped; None where it did not answer."""
        return self._links.worker_dumps.get(self.address)


class DumpGroup:
    """A ``TaskGroup``."""

    def __init__(self, name: str, part: Any) -> None:
        raw = forms.Checked(part, forms.GROUP)
        self.name: str = raw.get("name", name)
        self.states: dict[str, int] = dict(raw.get("states") or {})
        self.span_id: str | None = raw.get("span_id")
        self.all_durations: dict[str, float] = dict(raw.get("all_durations") or {})
        self.prefix = DumpPrefix("")

    def __len__(self) -> int:
        return sum(self.states.values())


class DumpPrefix:
    """A ``TaskPrefix``; a dump has its groups only, so that these are summed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.groups: list[DumpGroup] = []

    def add(self, group: DumpGroup) -> None:
        self.groups.append(group)
        group.prefix = self

    @cached_property
    def states(self) -> dict[str, int]:
        states: dict[str, int] = {}
        for group in self.groups:
            for state, count in group.states.items():
                states[state] = states.get(state, 0) + count
        return states


class DumpClient:
    """A ``ClientState``."""

    def __init__(self, name: str, part: Any, links: Links) -> None:
        raw = self._raw = forms.Checked(part, forms.CLIENT)
        self._links = links
        self.client_key: str = raw.get("client_key", name)
        self.last_seen: float = raw.get("last_seen") or 0.0

    @cached_property
    def wants_what(self) -> set[DumpTask]:
        return self._links.tasks_named(self._raw.get("wants_what"))
