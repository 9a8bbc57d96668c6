"""Is a cluster fit for debugging: findings, each with what to do."""

from __future__ import annotations

from dataclasses import dataclass

from dbgkit.model.base import Jsonable
from dbgkit.model.display import Displayed


@dataclass(frozen=True)
class Finding(Jsonable):
    """One thing that `doctor` found.

    ``level`` is ``"ok"``, ``"warning"`` or ``"problem"``.
    """

    check: str
    level: str
    summary: str
    advice: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkup(Displayed):
    """What `doctor` found, problems first.

    ``page`` is the address of the cluster's live page, if there is one: see `record`.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    page: str = ""
    _json = "healthy page notes findings"

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.level == "ok" for finding in self.findings)
