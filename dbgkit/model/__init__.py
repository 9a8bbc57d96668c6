"""The data that verbs return: frozen dataclasses, and the hook that shows them.

Each is loaded on first use: most verbs return one of them.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dbgkit.model.attach import Armed as Armed
    from dbgkit.model.attach import Passed as Passed
    from dbgkit.model.attach import Stop as Stop
    from dbgkit.model.attach import Stops as Stops
    from dbgkit.model.base import Span as Span
    from dbgkit.model.bundle import Bundle as Bundle
    from dbgkit.model.bundle import BundledInput as BundledInput
    from dbgkit.model.deaths import Death as Death
    from dbgkit.model.deaths import Deaths as Deaths
    from dbgkit.model.deaths import LoggedLine as LoggedLine
    from dbgkit.model.deaths import RunningTask as RunningTask
    from dbgkit.model.display import Displayed as Displayed
    from dbgkit.model.display import show_with as show_with
    from dbgkit.model.doctor import Checkup as Checkup
    from dbgkit.model.doctor import Finding as Finding
    from dbgkit.model.failure import Evidence as Evidence
    from dbgkit.model.failure import Failure as Failure
    from dbgkit.model.failures import FailureGroup as FailureGroup
    from dbgkit.model.failures import FailureReport as FailureReport
    from dbgkit.model.frames import FrameSummary as FrameSummary
    from dbgkit.model.frames import ValueSummary as ValueSummary
    from dbgkit.model.graph import GraphNode as GraphNode
    from dbgkit.model.graph import TaskGraph as TaskGraph
    from dbgkit.model.live import WentOff as WentOff
    from dbgkit.model.live import WentOn as WentOn
    from dbgkit.model.origin import Origin as Origin
    from dbgkit.model.peek import Peek as Peek
    from dbgkit.model.peek import PeekedLine as PeekedLine
    from dbgkit.model.peek import PeekedTask as PeekedTask
    from dbgkit.model.plan import InputInfo as InputInfo
    from dbgkit.model.plan import Notice as Notice
    from dbgkit.model.plan import Plan as Plan
    from dbgkit.model.plan import Progress as Progress
    from dbgkit.model.recordings import MALFORMED as MALFORMED
    from dbgkit.model.recordings import RecordedCause as RecordedCause
    from dbgkit.model.recordings import RecordedInput as RecordedInput
    from dbgkit.model.recordings import Recording as Recording
    from dbgkit.model.recordings import Recordings as Recordings
    from dbgkit.model.recordings import SwitchedOff as SwitchedOff
    from dbgkit.model.recordings import SwitchedOn as SwitchedOn
    from dbgkit.model.recordings import recording_from_wire as recording_from_wire
    from dbgkit.model.replay import Difference as Difference
    from dbgkit.model.replay import Outcome as Outcome
    from dbgkit.model.replay import Replay as Replay
    from dbgkit.model.replay import Run as Run
    from dbgkit.model.replay import Step as Step
    from dbgkit.model.report import ClusterReport as ClusterReport
    from dbgkit.model.shrink import Culprit as Culprit
    from dbgkit.model.shrink import Provenance as Provenance
    from dbgkit.model.shrink import Shrinkage as Shrinkage
    from dbgkit.model.shrink import Shrunk as Shrunk
    from dbgkit.model.story import Moment as Moment
    from dbgkit.model.story import Timeline as Timeline
    from dbgkit.model.tasks import TaskRow as TaskRow
    from dbgkit.model.tasks import TaskTable as TaskTable
    from dbgkit.model.watch import Glance as Glance
    from dbgkit.model.why import Explanation as Explanation
    from dbgkit.model.workers import WorkerLoad as WorkerLoad

_HOMES = {
    "attach": "Armed Passed Stop Stops",
    "base": "Span",
    "bundle": "Bundle BundledInput",
    "deaths": "Death Deaths LoggedLine RunningTask",
    "display": "Displayed show_with",
    "doctor": "Checkup Finding",
    "failure": "Evidence Failure",
    "failures": "FailureGroup FailureReport",
    "frames": "FrameSummary ValueSummary",
    "graph": "GraphNode TaskGraph",
    "live": "WentOff WentOn",
    "origin": "Origin",
    "peek": "Peek PeekedLine PeekedTask",
    "plan": "InputInfo Notice Plan Progress",
    "recordings": "MALFORMED RecordedCause RecordedInput Recording Recordings "
    "SwitchedOff SwitchedOn recording_from_wire",
    "replay": "Difference Outcome Replay Run Step",
    "report": "ClusterReport",
    "shrink": "Culprit Provenance Shrinkage Shrunk",
    "story": "Moment Timeline",
    "tasks": "TaskRow TaskTable",
    "watch": "Glance",
    "why": "Explanation",
    "workers": "WorkerLoad",
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names.split():
            value = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
