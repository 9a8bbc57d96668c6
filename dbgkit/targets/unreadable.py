"""Tasks that workers cannot unpickle for another reason than a missing module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbgkit.model import Death
from dbgkit.targets.modules import AT_ONCE, QUIETLY, not_read

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_failures import Needs

MOST_NAMED = 5


@dataclass(frozen=True)
class Unreadable:
    """Why workers cannot unpickle a task.

    Attributes
    ----------
    error : str
        What workers logged as they could not, if the recorder was on.
    names : tuple of str
        What modules of ``workers`` lack: ``model.predict``.
    workers : tuple of str
        Those that said so.
    python : str
        The scheduler's version, where the task holds code and the ``pythons`` of some
        workers, by address, are others.
    pythons : tuple of (str, str)
    """

    error: str = ""
    names: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    python: str = ""
    pythons: tuple[tuple[str, str], ...] = ()

    @property
    def known(self) -> bool:
        """Whether a reason was found."""
        return bool(self.error or self.names or self.pythons)


def unreadable(
    needs: Needs,
    answers: Mapping[str, Sequence[Sequence[str]]],
    *,
    stay_away: bool,
    suspicious: int,
    deaths: Iterable[Death],
) -> Unreadable | None:
    """Why a task that made workers go away cannot be unpickled; None: it may well be.

    ``answers`` are what workers said that are still there. Without a reason it is told
    by how all workers ended: at once, in good order, and none came back, as nannies
    start another one for what has crashed.
    """
    deaths = list(deaths)
    errors = {death.worker: error for death in deaths if (error := not_read(death))}
    if errors:
        return Unreadable(next(iter(errors.values())), workers=tuple(sorted(errors)))
    lasted = needs["lasted"]
    at_once = 0 < suspicious <= len(lasted) and max(lasted) < AT_ONCE
    if not at_once or any(death.verdict not in QUIETLY for death in deaths):
        return None
    lack = {where: names for where, names in answers.items() if names}
    names = dict.fromkeys(".".join(name) for said in lack.values() for name in said)
    python = needs["python"]
    others = {
        address: version
        for address, version in needs["pythons"].items()
        if _minor(version) != _minor(python)
    }
    found = Unreadable(
        names=tuple(names),
        workers=tuple(sorted(lack)),
        python=python,
        pythons=tuple(sorted(others.items())) if needs["by_value"] else (),
    )
    return found if found.known or stay_away else None


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def reason_of(found: Unreadable) -> str:
    """Why, as a clause; empty if it is not known."""
    if found.error:
        return found.error
    if found.names:
        return f"the code there lacks {', '.join(map(repr, found.names))}"
    if found.pythons:
        version = ".".join(_minor(found.pythons[0][1]))
        return (
            f"it holds code of Python {'.'.join(_minor(found.python))}, and the "
            f"workers run {version}"
        )
    return ""


def unreadable_evidence(found: Unreadable) -> list[str]:
    """Who said so."""
    if found.error:
        return [f"{', '.join(found.workers[:MOST_NAMED])} logged it"]
    names = ", ".join(map(repr, found.names))
    evidence = [f"{address}: no {names}" for address in found.workers]
    evidence += [
        f"{address}: Python {version}, while the scheduler runs {found.python}"
        for address, version in found.pythons
    ]
    return evidence


def unreadable_advice(found: Unreadable) -> list[str]:
    """What to do about it."""
    if found.error:
        return [
            "mend what it says; mostly something is missing on the workers, or there "
            "in another version"
        ]
    if found.names:
        return [
            "bring the same version of that code to the workers: client.upload_file, "
            "or the environment that they start in; then restart them"
        ]
    if found.pythons:
        return [
            "start workers with the same Python as the client and the scheduler: "
            "functions and classes of a script or notebook cannot be unpickled by "
            "another one",
        ]
    return []
