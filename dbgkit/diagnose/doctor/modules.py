"""Whether workers have the user's modules, and as they are here: checks of `doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from itertools import accumulate
from types import ModuleType
from typing import TYPE_CHECKING

from dbgkit.diagnose.sentences import counted, first_lines, several
from dbgkit.model import Finding
from dbgkit.remote.common.frames import is_own
from dbgkit.remote.common.modules import held_by
from dbgkit.remote.worker.doctor_modules import ModuleFiles

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_tasks import Checked, ModuleForm

Probes = Mapping[str, "Checked | None"]

MOST_MODULES = 500
_SCRATCH = "dask-scratch-space"  # where schedulers and workers have their folders
# Of what Python loads as it starts, whose place differs from one system to the next.
_STARTUP = ("sitecustomize", "usercustomize")


def modules_here() -> tuple[list[ModuleForm], int]:
    """The user's own modules that this process has imported; how many were left out.

    Those that are pickled by value do not have to be on the workers.
    """
    names = list(_own_modules())
    files = ModuleFiles()
    found = [files.describe(name, _original(name)) for name in names[:MOST_MODULES]]
    read = [each for each in found if each["digest"]]
    return read, len(names) - len(read)


def _own_modules() -> Iterator[str]:
    import cloudpickle

    by_value = cloudpickle.list_registry_pickle_by_value()
    for name, module in list(sys.modules.items()):
        if type(module) is not ModuleType or held_by(module, "__name__") != name:
            continue
        if name in ("__main__", *_STARTUP) or name.split(".")[0] == "dbgkit":
            continue
        parts = name.split(".")
        if any(".".join(parts[: at + 1]) in by_value for at in range(len(parts))):
            continue
        file = held_by(module, "__file__")
        if isinstance(file, str) and file.endswith(".py") and is_own(file):
            yield name


def _original(name: str) -> str | None:
    """The user's own file of a module that was uploaded to a scheduler in this process.

    ``Client.upload_file`` has this process import the scheduler's copy in its place
    (distributed/utils.py, ``import_file``).
    """
    if _SCRATCH not in (sys.modules[name].__file__ or ""):
        return None
    path = [each for each in sys.path if _SCRATCH not in each]
    spec = None
    for part in accumulate(name.split("."), "{}.{}".format):
        spec = PathFinder.find_spec(part, path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec.origin if spec is not None else None


def check_modules(here: list[ModuleForm], probes: Probes) -> Iterable[Finding]:
    """Whether workers would run the same code as is read here."""
    asked = {at: probe["modules"] for at, probe in probes.items() if probe}
    if not asked:
        return
    if not here:
        said = "this process has imported no modules of yours to compare with workers"
        yield Finding("modules", "ok", said)
        return
    mine = {each["name"]: each for each in here}
    found = [
        *_missing(mine, asked),
        *_differing(mine, asked),
        *_edited(mine, asked),
    ]
    yield from found
    if not found:
        said = f"workers have {counted(len(mine), 'module')} of yours as they are here"
        yield Finding("modules", "ok", said)


Asked = Mapping[str, "list[ModuleForm]"]


def _missing(mine: Mapping[str, ModuleForm], asked: Asked) -> Iterator[Finding]:
    by_module: dict[str, list[str]] = {}
    for address, modules in asked.items():
        gone = {each["name"] for each in modules if not each["file"]}
        for name in gone:
            # What a missing package has is missing with it.
            if name.rpartition(".")[0] not in gone:
                by_module.setdefault(name, []).append(address)
    if not by_module:
        return
    names = sorted(by_module)
    yield Finding(
        "modules",
        "warning",
        f"workers cannot import {several(map(repr, names))}",
        "tasks that use such a module end their workers, or fail: "
        f"{_upload(mine[names[0]])} brings it to all workers, later ones too",
        first_lines(
            f"{name}: {mine[name]['file']} here, missing on {_who(by_module[name])}"
            for name in names
        ),
    )


def _differing(mine: Mapping[str, ModuleForm], asked: Asked) -> Iterator[Finding]:
    groups: dict[tuple[str, str, str, bool], list[str]] = {}
    for address, modules in asked.items():
        for each in modules:
            name, digest = each["name"], each["digest"]
            if each["file"] and digest != mine[name]["digest"]:
                group = name, each["file"], digest, each["local"]
                if each["local"]:  # the folder of each worker has a name of its own
                    group = name, os.path.basename(each["file"]), digest, True
                groups.setdefault(group, []).append(address)
    if not groups:
        return
    names = sorted({name for name, *_ in groups})
    uploaded = sorted({name for name, _, _, local in groups if local})
    advice = "copy the same files everywhere, or import them from one place"
    if uploaded:
        first = mine[uploaded[0]]
        advice = f"upload the file again: {_upload(first)} replaces it on all workers"
    yield Finding(
        "modules",
        "warning",
        f"workers have other source files of {several(map(repr, names))} than this "
        "process: tasks do not run the code that you read here",
        advice,
        first_lines(
            _other(mine[name]["file"], group, groups[group])
            for group in sorted(groups)
            for name in group[:1]
        ),
    )


def _other(here: str, group: tuple[str, str, str, bool], who: list[str]) -> str:
    name, file, digest, local = group
    what = "another text" if digest else "a file that was not read"
    if local:
        what = "an uploaded version of another text"
    place = "" if file == here or local else f" in {file}"
    return f"{name}: {here} here, {what}{place} on {_who(who)}"


def _edited(mine: Mapping[str, ModuleForm], asked: Asked) -> Iterator[Finding]:
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for address, modules in asked.items():
        for each in modules:
            if each["edited"]:
                group = each["name"], tuple(each["edited"])
                groups.setdefault(group, []).append(address)
    if groups:
        names = sorted({name for name, _ in groups})
        yield Finding(
            "modules",
            "warning",
            f"{several(map(repr, names))} changed after workers had imported it: they "
            "still run the old code",
            "client.restart() has them import it again, and drops all results; for one "
            f"module, {_upload(mine[names[0]])} is enough",
            first_lines(
                f"{name}: {', '.join(functions)} on {_who(groups[name, functions])}"
                for name, functions in sorted(groups)
            ),
        )
    edited = {name: each["edited"] for name, each in mine.items() if each["edited"]}
    if edited:
        names = sorted(edited)
        yield Finding(
            "modules",
            "warning",
            f"{several(map(repr, names))} changed after this process had "
            "imported it: what is replayed here runs the old code",
            "importlib.reload(module), or start this process again",
            first_lines(
                f"{name}: {', '.join(edited[name])}" for name in sorted(edited)
            ),
        )


def _upload(module: ModuleForm) -> str:
    """How to bring a module to the workers: a package goes as a zip."""
    package, _, part = module["name"].partition(".")
    if part or os.path.basename(module["file"]) == "__init__.py":
        return f"client.upload_file('{package}.zip')"
    return f"client.upload_file({module['file']!r})"


def _who(addresses: list[str]) -> str:
    if len(addresses) == 1:
        return f"worker {addresses[0]}"
    return f"{len(addresses)} workers ({several(sorted(addresses))})"
