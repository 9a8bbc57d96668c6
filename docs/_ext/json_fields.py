"""The fields that ``--json`` prints, from real answers of a small cluster.

Names and types are those of the answers; what a field means is taken from the docstring
of its class.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from distributed import Client, Event, wait
from numpydoc.docscrape import ClassDoc

import dbgkit
from dbgkit import model
from dbgkit.api.report import report
from dbgkit.api.watch import glance
from dbgkit.cluster.view import open_view

# The class of what is below a field of this name: its docstring documents it. Of one
# class alone, if that is named too.
BELOW: dict[Any, type] = {
    (model.Peek, "tasks"): model.PeekedTask,
    "failure": model.Failure,
    "failures": model.FailureReport,
    "groups": model.FailureGroup,
    "came_from": model.Origin,
    "frames": model.FrameSummary,
    "runs": model.Run,
    "differences": model.Difference,
    "rows": model.TaskRow,
    "moments": model.Moment,
    "why": model.Explanation,
    "others": model.Explanation,
    "graph": model.TaskGraph,
    "nodes": model.GraphNode,
    "lines": model.PeekedLine,
    "findings": model.Finding,
    "doctor": model.Checkup,
    "deaths": model.Death,
    "ran": model.RunningTask,
    "logged": model.LoggedLine,
    "recordings": model.Recording,
    "recording": model.Recording,
    "causes": model.RecordedCause,
    "stops": model.Stop,
    "original": model.Failure,
    "culprits": model.Culprit,
    "provenance": model.Provenance,
    "shrinkage": model.Shrinkage,
    "passed": model.Passed,
    "armed": model.Armed,
}


def json_fields() -> Iterator[str]:
    """A table for each command, and one for each kind of thing in them."""
    below: dict[type, Any] = {}
    for name, found in answers().items():
        yield f"## `dbgkit {name} --json`\n"
        yield from _table(found.to_json(), type(found), below)
    shown: set[type] = set()
    while rest := [kind for kind in below if kind not in shown]:
        for kind in rest:
            shown.add(kind)
            yield f"## {_title(kind)}\n"
            yield from _table(below[kind], kind, below)


def answers() -> dict[str, Any]:
    """One real answer of each command that has ``--json``."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        Client(processes=False, n_workers=2, dashboard_address=":0") as client,
        dbgkit.record(),
        dbgkit.live(),
    ):
        failed = client.submit(_ratio, 25, 0, key="ratio-1")
        bad = client.submit(_floats, ["1", "2", "n/a"], key="floats-1")
        wait([failed, bad])
        stuck = client.submit(_ratio, 1, 2, key="ratio-2", resources={"GPU": 1})
        follows = client.submit(_ratio, stuck, 2, key="ratio-3")
        first, last = client.scheduler_info()["workers"]
        stopped = client.map(_stopped, range(3), key="stopped", workers=[last])
        _until(lambda: dbgkit.attach().passed and len(dbgkit.attach()))
        running = client.submit(_wait_for, "go", key="waits-1", workers=[last])
        _until(lambda: "waits-1" in [task.key for task in dbgkit.peek().tasks])
        client.retire_workers([first])
        with open_view(None, client, 30.0) as view, dbgkit.replay(failed) as replay:
            found = {
                "failures": dbgkit.failures(),
                "why": dbgkit.why(follows),
                "peek": dbgkit.peek(times=2, every=0.01),
                "tasks": dbgkit.tasks(),
                "story": dbgkit.story("ratio-1"),
                "locate": dbgkit.locate(failed),
                "replay": replay,
                "shrink": dbgkit.shrink(bad),
                "deaths": dbgkit.deaths(),
                "recordings": dbgkit.recordings(),
                "attach": dbgkit.attach(),
                "doctor": dbgkit.doctor(),
                "report": report(view=view),
                "watch": glance(view),
            }
            for each in found.values():
                each.to_json()
        del stopped
        Event("go").set()
        wait(running)
        return found


def _stopped(x: float) -> float:
    breakpoint()
    return x


def _floats(words: list[str]) -> list[float]:
    return [float(word) for word in words]


def _ratio(a: float, b: float) -> float:
    return a / b


def _wait_for(name: str) -> bool:
    return bool(Event(name).wait(60))


def _until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def _table(
    sample: Mapping[str, Any], kind: type, below: dict[type, Any]
) -> Iterator[str]:
    documented = _documented(kind)
    yield "| field | type | |\n|---|---|---|"
    for name, value in sample.items():
        kind_text, meaning = documented.get(name, ("", ""))
        shape = _type(value, kind_text)
        under = BELOW.get((kind, name), BELOW.get(name))
        rows = value if isinstance(value, list) else [value]
        if (
            under
            and kind_text != "tuple of Key"
            and (_is_nested(rows) or not any(rows))
        ):
            below.setdefault(under, None)
            if _is_nested(rows) or below[under] is None:
                below[under] = rows[0] if _is_nested(rows) else _blank(under)
            link = f"[{_title(under)}](#{_title(under).lower().replace(' ', '-')})"
            shape = f"list of {link}" if isinstance(value, list) else f"{link} or null"
        yield f"| `{name}` | {shape} | {meaning} |"
    yield ""


def _is_nested(rows: list[Any]) -> bool:
    return bool(rows) and isinstance(rows[0], Mapping)


def _blank(kind: type) -> dict[str, Any]:
    """The names of a class's fields, if no answer has one of it."""
    hidden = {"evidence", "exception"} if kind is model.Failure else set()
    return {each.name: None for each in fields(kind) if each.name not in hidden}  # type: ignore[arg-type]


def _title(kind: type) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__)
    return words[0] + words[1:].lower()


def _documented(kind: type) -> dict[str, tuple[str, str]]:
    """Attribute -> its type and what it means, of a docstring."""
    doc = ClassDoc(kind)
    found = {}
    for each in [*doc["Parameters"], *doc["Attributes"]]:
        meaning = " ".join(" ".join(each.desc).split())
        for name in each.name.split(","):
            found[name.strip()] = (each.type, _markdown(meaning))
    return found


def _markdown(text: str) -> str:
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", text).replace("``", "`")
    return re.sub(r"\bNone\b", "null", text).replace("|", "\\|")


def _type(value: Any, documented: str) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, list):
        if value and isinstance(value[0], str):
            return "list of strings"
        return "list"
    if "datetime" in documented or "str" in documented or "Key" in documented:
        return "string or null"
    if "int" in documented or "float" in documented:
        return "number or null"
    return documented.replace("None", "null") or "any"
