"""Whether all sides have the same packages: a check of `doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dbgkit.diagnose.sentences import first_lines
from dbgkit.model import Finding

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import Examined

# What the scheduler itself runs on: others need not be installed there.
_SCHEDULER_NEEDS = {
    *("python", "dask", "distributed", "msgpack"),
    *("cloudpickle", "tornado", "toolz", "lz4"),
}
# Tasks are pickled by these: another version can make them unreadable.
_WIRE = {"dask", "distributed", "cloudpickle"}
# What Dask itself works with, and tasks seldom do.
_MEANS = {"msgpack", "tornado", "toolz", "lz4"}


def check_versions(facts: Examined, here: Mapping[str, str] | None) -> Finding:
    """Whether client, scheduler and workers have the same packages."""
    sides: list[tuple[str, Mapping[str, str] | None]] = [
        ("client", here),
        ("scheduler", facts["scheduler"]),
        *((f"worker {each['address']}", each["packages"]) for each in facts["workers"]),
        *((f"client {each['id']}", each["packages"]) for each in facts["clients"]),
    ]
    differing = {
        name: who
        for name, who in _spread(sides).items()
        if len(who) > 1 and not _is_noise(name, who)
    }
    if not differing:
        who = (
            "scheduler and workers" if here is None else "client, scheduler and workers"
        )
        return Finding("versions", "ok", f"{who} have the same versions")
    grave = [name for name, found in differing.items() if _is_grave(name, found)]
    return Finding(
        "versions",
        "problem" if grave else "warning",
        f"versions differ: {', '.join(differing)}",
        "install the same versions everywhere: a task that is replayed here may "
        "give another outcome than it did there, or not be readable at all",
        first_lines(
            f"{name}: {'; '.join(_versions(found))}"
            for name, found in differing.items()
        ),
    )


def _spread(
    sides: Iterable[tuple[str, Mapping[str, str] | None]],
) -> dict[str, dict[str, list[str]]]:
    """By package who has each version."""
    known = [(side, packages) for side, packages in sides if packages]
    found: dict[str, dict[str, list[str]]] = {}
    for name in sorted({name for _, packages in known for name in packages}):
        found[name] = {}
        for side, packages in known:
            if side != "scheduler" or name in _SCHEDULER_NEEDS:
                version = packages.get(name, "missing")
                found[name].setdefault(version, []).append(side)
    return found


def _versions(found: Mapping[str, list[str]]) -> list[str]:
    texts = []
    for version, sides in found.items():
        named = [side for side in sides if not side.startswith("worker ")]
        workers = [side for side in sides if side.startswith("worker ")]
        if len(workers) > 2:
            workers = [f"{len(workers)} workers"]
        texts.append(f"{version} ({', '.join(named + workers)})")
    return texts


def _is_noise(name: str, versions: Iterable[str]) -> bool:
    """Whether no task can notice: Dask's own means, of one major version."""
    majors = {version.split(".")[0] for version in versions}
    if name == "lz4":  # each connection takes what both sides have
        majors.discard("missing")
    return name in _MEANS and len(majors) == 1


def _is_grave(name: str, versions: Iterable[str]) -> bool:
    """Whether tasks may not be readable: pickles of functions hold bytecode."""
    if name == "python":
        return len({tuple(version.split(".")[:2]) for version in versions}) > 1
    return name in _WIRE
