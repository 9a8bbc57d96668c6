"""Is a cluster fit for debugging: findings, each with what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dbgkit.model.display import Displayed

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Finding:
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
    """What `doctor` found, problems first."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.level == "ok" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Builtin types only, for ``--json``."""
        return {
            "healthy": self.healthy,
            "notes": list(self.notes),
            "findings": [
                {**asdict(finding), "evidence": list(finding.evidence)}
                for finding in self.findings
            ],
        }
