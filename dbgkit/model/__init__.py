"""The data that verbs return: frozen dataclasses, and the hook that shows them."""

from dbgkit.model.base import Span
from dbgkit.model.deaths import Death, Deaths, RunningTask
from dbgkit.model.display import Displayed, show_with
from dbgkit.model.doctor import Checkup, Finding
from dbgkit.model.failure import Evidence, Failure
from dbgkit.model.failures import FailureGroup, FailureReport
from dbgkit.model.frames import FrameSummary, ValueSummary
from dbgkit.model.graph import GraphNode, TaskGraph
from dbgkit.model.origin import Origin
from dbgkit.model.plan import InputInfo, Notice, Plan, Progress
from dbgkit.model.recordings import (
    MALFORMED,
    RecordedCause,
    RecordedInput,
    Recording,
    Recordings,
    SwitchedOff,
    SwitchedOn,
    recording_from_wire,
)
from dbgkit.model.replay import Difference, Outcome, Replay, Run, Step
from dbgkit.model.report import ClusterReport
from dbgkit.model.story import Moment, Timeline
from dbgkit.model.tasks import TaskRow, TaskTable
from dbgkit.model.watch import Glance
from dbgkit.model.why import Explanation

__all__ = [
    "MALFORMED",
    "Checkup",
    "ClusterReport",
    "Death",
    "Deaths",
    "Difference",
    "Displayed",
    "Evidence",
    "Explanation",
    "Failure",
    "FailureGroup",
    "FailureReport",
    "Finding",
    "FrameSummary",
    "Glance",
    "GraphNode",
    "InputInfo",
    "Moment",
    "Notice",
    "Origin",
    "Outcome",
    "Plan",
    "Progress",
    "RecordedCause",
    "RecordedInput",
    "Recording",
    "Recordings",
    "Replay",
    "Run",
    "RunningTask",
    "Span",
    "Step",
    "SwitchedOff",
    "SwitchedOn",
    "TaskGraph",
    "TaskRow",
    "TaskTable",
    "Timeline",
    "ValueSummary",
    "recording_from_wire",
    "show_with",
]
