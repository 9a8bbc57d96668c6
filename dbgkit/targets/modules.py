"""Tasks whose workers ended because they lack one of the task's modules."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbgkit.cluster.link import Link
from dbgkit.model import Death, Failure

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Module, Needs

_SHOWN = 5  # workers that are named
AT_ONCE = 5.0  # seconds from when a worker was sent a task until it was gone
_NOT_READ = re.compile(r"Failed to deserialize \((?P<error>.*)\)$", re.DOTALL)
# How workers ended that closed in good order, or of which nothing is known.
QUIETLY = ("unknown", "lost-connection")


@dataclass(frozen=True)
class Lack:
    """Modules that a task needs and workers lack, and their files on the scheduler.

    ``workers`` said so; there are none if no worker is left to say so.
    """

    modules: tuple[str, ...]
    files: tuple[str, ...]
    workers: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether a worker said so."""
        return bool(self.workers)


def lacking(
    needs: Needs,
    answers: Mapping[str, list[str]],
    *,
    stay_away: bool = False,
    suspicious: int = 0,
    deaths: Iterable[Death] = (),
) -> Lack | None:
    """What workers lack for a task that made workers go away, if anything.

    ``answers`` are those of workers that were asked, by address. If none is left to
    ask, ``stay_away`` says that no nanny starts a new one, as it would after a crash;
    ``deaths`` are of the ``suspicious`` workers that had the task.
    """
    if not needs["modules"]:
        return None
    if answers:
        lack = {where: names for where, names in answers.items() if names}
        missing = {name for names in lack.values() for name in names}
        wanted = [each for each in needs["modules"] if each["name"] in missing]
        return _lack(wanted, sorted(lack)) if wanted else None
    deaths = list(deaths)
    errors = {death.worker: error for death in deaths if (error := not_read(death))}
    named = [each for each in needs["modules"] if _is_named(each, errors.values())]
    if named:
        return _lack(named, sorted(errors))
    lasted = needs["lasted"]
    at_once = 0 < suspicious <= len(lasted) and max(lasted) < AT_ONCE
    if not (stay_away and at_once) or any(d.verdict not in QUIETLY for d in deaths):
        return None
    # Installed packages come with an environment; files of one's own do not.
    own = [each for each in needs["modules"] if _is_own(each["file"])]
    return _lack(own, []) if own else None


def not_read(death: Death) -> str:
    """The error with which a worker could not unpickle what it was sent, if recorded.

    ``distributed.protocol.core.loads`` logs it before the worker closes.
    """
    found = (_NOT_READ.search(line.text) for line in death.logged)
    return next((match["error"] for match in found if match), "")


def _is_named(module: Module, errors: Iterable[str]) -> bool:
    """Whether an error says that a module is missing, or the package that it is in."""
    package = module["name"].split(".")[0]
    texts = {f"No module named {name!r}" for name in (module["name"], package)}
    return any(error.endswith(text) for error in errors for text in texts)


def _lack(modules: Sequence[Module], workers: list[str]) -> Lack:
    return Lack(
        tuple(each["name"] for each in modules),
        tuple(each["file"] for each in modules),
        tuple(workers),
    )


def _is_own(file: str) -> bool:
    installed = ("site-packages", "dist-packages")
    return file.endswith(".py") and not any(name in file for name in installed)


def modules_of(lack: Lack) -> str:
    """``the module 'model'``, or several."""
    names = ", ".join(map(repr, lack.modules))
    return f"the module{'' if len(lack.modules) == 1 else 's'} {names}"


def evidence_of(lack: Lack) -> str:
    """Who lacks it, as a sentence; empty if no worker was there to say so."""
    workers = ", ".join(lack.workers[:_SHOWN])
    return f"{workers}: no {modules_of(lack).removeprefix('the ')}" if workers else ""


def advice_of(lack: Lack) -> list[str]:
    """How to get the modules to the workers, including later ones."""
    brought: dict[str, str] = {}
    installed: dict[str, None] = {}
    for name, file in zip(lack.modules, lack.files, strict=True):
        package = name.split(".")[0]
        if not _is_own(file):
            installed[package] = None
        elif os.path.basename(file) == "__init__.py" or "." in name:
            brought[package] = f"{package}.zip"
        else:
            brought[package] = file
    advice = [
        f"client.upload_file({path!r}) brings it to all workers, later ones too"
        + (" (a package as .zip)" if path.endswith(".zip") else "")
        for path in brought.values()
    ]
    if installed:
        names = ", ".join(map(repr, installed))
        advice.append(f"install {names} on the workers")
    return advice


def with_missing(failure: Failure, timeout: float) -> Failure:
    """A failure that killed its workers, with a note if they lack its modules.

    Cost: a call to some workers, for such a failure only.
    """
    lack = lack_of(failure, timeout)
    if lack is None:
        return failure
    advised = [f"{said_of(lack)}: {advice}" for advice in advice_of(lack)]
    notes = [note for note in advised if note not in failure.notes]
    return replace(failure, notes=(*failure.notes, *notes))


def lack_of(failure: Failure, timeout: float) -> Lack | None:
    """What workers lack for a failure that killed some of them; None if nothing."""
    needs, client = failure.evidence.needs, failure.evidence.client
    if not failure.killed or not needs or client is None or isinstance(client, str):
        return None
    from dbgkit.cluster.why import missing_on_workers

    answers = missing_on_workers(Link(client, timeout), needs)
    return lacking(needs, answers)


def said_of(lack: Lack) -> str:
    """What is missing, as a clause."""
    return f"{modules_of(lack)} is missing on its workers"
