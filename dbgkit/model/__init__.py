"""What we talk about: frozen dataclasses, and the hook by which they are shown."""

from dbgkit.model.display import Displayed, show_with
from dbgkit.model.failure import Evidence, Failure
from dbgkit.model.frames import FrameSummary, ValueSummary
from dbgkit.model.plan import InputInfo, Notice, Plan, Progress
from dbgkit.model.replaying import Difference, Outcome, Run, Step
from dbgkit.model.states import (
    Checkup,
    Explanation,
    FailureGroup,
    FailureReport,
    Finding,
    Moment,
    Span,
    TaskRow,
    TaskTable,
    Timeline,
)

__all__ = [
    "Checkup",
    "Difference",
    "Displayed",
    "Evidence",
    "Explanation",
    "Failure",
    "FailureGroup",
    "FailureReport",
    "Finding",
    "FrameSummary",
    "InputInfo",
    "Moment",
    "Notice",
    "Outcome",
    "Plan",
    "Progress",
    "Run",
    "Span",
    "Step",
    "TaskRow",
    "TaskTable",
    "Timeline",
    "ValueSummary",
    "show_with",
]
