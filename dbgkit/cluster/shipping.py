"""Code that is not installed over there travels inside its own pickle, as source.

Pickling by reference fails where dbgkit is not installed, by value ties the two
Python versions together, and ``Client.upload_file`` can keep late workers from
starting. So what is pickled says: make a package of these sources, and take that name
out of it. The package's name has a digest of its sources, so that two versions on one
scheduler do not disturb each other.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from distributed.diagnostics.plugin import NannyPlugin, SchedulerPlugin, WorkerPlugin

# What each module needs of its siblings, in the order to run them.
_PARTS = {
    "scheduler": (
        "parsing",
        "keys",
        "pacing",
        "followers",
        "roots",
        "around",
        "texts",
        "codes",
        "frames",
        "frame_codes",
        "summarize_objects",
        "calls",
        "origins_values",
        "origins_steps",
        "origins",
        "came_from",
        "pickled",
        "p2p",
        "needs",
        "facts",
        "survey",
        "survey_index",
        "traces",
        "leaders",
        "inner_table",
        "inner",
        "survey_groups",
        "survey_inner",
        "survey_joined",
        "survey_followers",
        "survey_failures",
        "newest",
        "causes_ends",
        "causes_cluster",
        "causes",
        "histories_words",
        "histories",
        "probes",
        "checks",
        "recorder_asking",
        "deaths_events",
        "foresight",
        "leases",
        "rows",
        "handling",
        "scheduler",
    ),
    "surroundings": ("surroundings",),
    "probing": ("probing",),
    "needs": ("needs",),
    "probes": ("probes",),
    "leases": ("leases",),
    "worker_parts": ("worker_parts",),
    "recorder": (
        "codes",
        "frames",
        "parsing",
        "texts",
        "redact_names",
        "redact_values",
        "redact_tokens",
        "redact_shapes",
        "redact_spans",
        "redact_named",
        "redact_source",
        "redact",
        "summarize_objects",
        "summarize_arrays",
        "summarize_tables",
        "summarize_labelled",
        "summarize_data",
        "summarize_values",
        "summarize_builtins",
        "summarize_errors",
        "summarize",
        "keep",
        "fingerprints",
        "calls",
        "origins_values",
        "origins_steps",
        "origins",
        "origins_words",
        "packing",
        "recordings",
        "own_files",
        "apart",
        "boxes",
        "box_folders",
        "blackbox",
        "deaths_worker",
        "carried",
        "pool_files",
        "announcing",
        "handling",
        "recorder",
    ),
    "record_store": (
        "parsing",
        "keys",
        "kept_inputs",
        "handling",
        "spreading",
        "switching",
        "record_store",
    ),
    "deaths": (
        "parsing",
        "keys",
        "pacing",
        "deaths_events",
        "handling",
        "spreading",
        "deaths",
    ),
    "deaths_nanny": (
        "own_files",
        "apart",
        "boxes",
        "handling",
        "announcing",
        "deaths_nanny",
    ),
    "boxes": ("own_files", "apart", "boxes"),
}
# A replay on a worker records what it raises, as the recorder does.
_recorder = _PARTS["recorder"]
_PARTS["rerun_thread"] = (
    *_recorder[: _recorder.index("recordings") + 1],
    "carried",
    "unpickling",
    "raised",
    "steps",
    "handed",
    "rerun",
    "leases",
    "rerun_leases",
    "rerun_waits",
    "rerun_surroundings",
    "rerun_thread",
)
_PARTS["rerun"] = ("rerun",)
_LOAD = "exec(loader, space) or space['found']"
_LOAD_AND_CALL = "exec(loader, space) or space['found'](*arguments)"
# Runs over there, with `package`, `sources` and `name` as globals.
# Two threads may get there at once: none takes a module that is only half there.
_LOADER = """
import sys
import threading
import types


def add(full, source):
    module = sys.modules.get(full)
    if module is None:
        module = types.ModuleType(full)
        module.__package__ = package
        module.__path__ = []
        sys.modules[full] = module
        try:
            exec(compile(source, f"<{full}>", "exec"), module.__dict__)
        except BaseException:
            del sys.modules[full]
            raise
    return module


whole = sys.modules.setdefault(package, types.ModuleType(package))
whole.__path__ = []
with vars(whole).setdefault("loading", threading.RLock()):
    for part, source in sources:
        found = getattr(add(f"{package}.{part}", source), name, None)
"""


@cache
def sources_of(module: str) -> tuple[tuple[str, str], ...]:
    """Names and source texts of a module of ``dbgkit.remote``, and what it needs."""
    folder = resources.files("dbgkit.remote")
    return tuple(
        (part, (folder / f"{part}.py").read_text("utf-8")) for part in _PARTS[module]
    )


@cache
def digest_of(module: str) -> str:
    """Short digest of a module's sources: one name for one version of it."""
    return hashlib.sha256(repr(sources_of(module)).encode()).hexdigest()[:12]


def recorder_name() -> str:
    """Name of the recorder's plugins: one for each version of all that it is made of.

    The parts of two versions have nothing in common, so that neither can take
    anything from the other.
    """
    return f"dbgkit-recorder-{_recorder_digest()}"


def deaths_name() -> str:
    """Name of the plugins that watch deaths, which go with the recorder's."""
    return f"dbgkit-deaths-{_recorder_digest()}"


def _recorder_digest() -> str:
    parts = ("recorder", "record_store", "deaths", "deaths_nanny")
    digests = " ".join(map(digest_of, parts))
    return hashlib.sha256(digests.encode()).hexdigest()[:12]


def package_of(module: str) -> str:
    """Name of the package that the sources become over there."""
    return f"dbgkit_remote_{module}_{digest_of(module)}"


def _names(module: str, name: str) -> dict[str, Any]:
    space = {
        "__name__": package_of(module),
        "package": package_of(module),
        "sources": sources_of(module),
        "name": name,
    }
    return {"loader": _LOADER, "space": space}


class ShippedFunction:
    """Pickles as one function of a module of ``dbgkit.remote``."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.name} is to be run where it is sent to")

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_LOAD, _names(self.module, self.name))


class _Shipped:
    """Pickles as an instance of a plugin class of a module of ``dbgkit.remote``."""

    idempotent = True  # read by Client.register_plugin

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module = module
        self.class_name = name
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        names = _names(self.module, self.class_name)
        return eval, (_LOAD_AND_CALL, {**names, "arguments": self.arguments})


class ShippedPlugin(_Shipped, SchedulerPlugin):  # type: ignore[misc]
    """A plugin of the scheduler: see `_Shipped`."""


class ShippedWorkerPlugin(_Shipped, WorkerPlugin):  # type: ignore[misc]
    """A plugin of every worker: see `_Shipped`."""


class ShippedNannyPlugin(_Shipped, NannyPlugin):  # type: ignore[misc]
    """A plugin of every nanny: see `_Shipped`."""
