"""What a type checker knows of the verbs: mypy reads this file, and nothing runs it."""

from __future__ import annotations

from distributed import Client
from typing_extensions import assert_type

import dbgkit
from dbgkit.api.recorder import AsyncRecorder, Recorder
from dbgkit.model import (
    Checkup,
    ClusterReport,
    Deaths,
    Explanation,
    Failure,
    FailureReport,
    Glance,
    Peek,
    Plan,
    Recording,
    Recordings,
    Replay,
    Shrunk,
    SwitchedOff,
    TaskTable,
    Timeline,
)


def with_a_synchronous_client(client: Client, error: Exception) -> None:
    assert_type(dbgkit.locate(error, client=client), Failure)
    assert_type(dbgkit.replay(error, client=client), Replay)
    assert_type(dbgkit.replay(error, client=client, dry_run=False), Replay)
    assert_type(dbgkit.replay(error, client=client, dry_run=True), Plan)
    assert_type(dbgkit.debug(error, client=client), Replay | Recording)
    assert_type(dbgkit.failures(client=client, limit=3), FailureReport)
    assert_type(dbgkit.tasks(client=client, state="erred"), TaskTable)
    assert_type(dbgkit.story("key", client=client), Timeline)
    assert_type(dbgkit.why("key", client=client), Explanation)
    assert_type(dbgkit.peek("key", client=client, times=3, every=0.1), Peek)
    assert_type(dbgkit.shrink("key", all=True, time="10s", runs=9), Shrunk)
    assert_type(dbgkit.doctor(client=client), Checkup)
    assert_type(dbgkit.deaths(client=client), Deaths)
    assert_type(dbgkit.recordings("key", client=client), Recordings)
    assert_type(dbgkit.report(client=client), ClusterReport)
    assert_type(dbgkit.report("page.html", client=client), ClusterReport)
    assert_type(dbgkit.watch(client=client, once=True), Glance | None)
    with dbgkit.record(client=client) as recorder:
        assert_type(recorder, Recorder)
    assert_type(recorder.off(), SwitchedOff)
    assert_type(dbgkit.locate(asynchronous=False), Failure)
    assert_type(dbgkit.record(asynchronous=False), Recorder)


async def with_an_asynchronous_client(client: Client, error: Exception) -> None:
    assert_type(await dbgkit.locate(error, client=client, asynchronous=True), Failure)
    assert_type(await dbgkit.replay(error, client=client, asynchronous=True), Replay)
    assert_type(await dbgkit.replay(dry_run=True, asynchronous=True), Plan)
    assert_type(await dbgkit.debug(error, asynchronous=True), Replay | Recording)
    assert_type(await dbgkit.failures(asynchronous=True), FailureReport)
    assert_type(await dbgkit.tasks(asynchronous=True), TaskTable)
    assert_type(await dbgkit.story("key", asynchronous=True), Timeline)
    assert_type(await dbgkit.why("key", asynchronous=True), Explanation)
    assert_type(await dbgkit.peek("key", asynchronous=True), Peek)
    assert_type(await dbgkit.shrink("key", asynchronous=True), Shrunk)
    assert_type(await dbgkit.doctor(asynchronous=True), Checkup)
    assert_type(await dbgkit.deaths(asynchronous=True), Deaths)
    assert_type(await dbgkit.recordings("key", asynchronous=True), Recordings)
    assert_type(await dbgkit.report(asynchronous=True), ClusterReport)
    assert_type(await dbgkit.watch(asynchronous=True), Glance | None)
    assert_type(dbgkit.record(asynchronous=True), AsyncRecorder)
    assert_type(await dbgkit.record(asynchronous=True), Recorder)
    async with dbgkit.record(asynchronous=True) as recorder:
        assert_type(recorder, Recorder)
    assert_type(await recorder.off(asynchronous=True), SwitchedOff)


def what_is_no_option(client: Client) -> None:
    """An error, also where the options of an overload come from a table."""
    dbgkit.failures(client=client, most=3)  # type: ignore[call-overload]
    dbgkit.replay(client=client, times="3")  # type: ignore[call-overload]


def fields(failures: FailureReport, again: Replay) -> None:
    """Editors offer what the data has, one member after the other."""
    assert_type(failures.groups[0].example.message, str)
    assert_type(again.failure.worker, str | None)
    assert_type(again.runs[0].seconds, float)
