"""What we talk about: frozen dataclasses, and the hook by which they are shown."""

from dbgkit.model.display import Displayed, show_with
from dbgkit.model.failure import Evidence, Failure
from dbgkit.model.frames import FrameSummary, ValueSummary
from dbgkit.model.plan import InputInfo, Notice, Plan, Progress
from dbgkit.model.replaying import Difference, Outcome, Run, Step

__all__ = [
    "Difference",
    "Displayed",
    "Evidence",
    "Failure",
    "FrameSummary",
    "InputInfo",
    "Notice",
    "Outcome",
    "Plan",
    "Progress",
    "Run",
    "Step",
    "ValueSummary",
    "show_with",
]
