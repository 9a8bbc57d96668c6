"""From a replay that is prepared to its outcome: run it where it is planned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dbgkit.errors import InputMoved, InputNotCopyable, NotHere
from dbgkit.model import Replay
from dbgkit.replays.collectives import ALONE
from dbgkit.replays.here import replay_here
from dbgkit.replays.places import own_place
from dbgkit.replays.preparing import Notify, Prepared, prepare_once
from dbgkit.replays.submitted import HandedStored
from dbgkit.targets.locate import locate_failures
from dbgkit.targets.located_before import brought_up_to_date


def execute(prepared: Prepared, notify: Notify) -> Replay:
    """Run the task as often as wanted, and compare the outcomes.

    If Ctrl-C ends it, the message says what was stopped.
    """
    if ALONE in prepared.plan.warnings:
        failure = prepared.failure
        noted = replace(failure, notes=(*failure.notes, ALONE))
        prepared = replace(prepared, failure=noted)
    try:
        return _execute(prepared, notify)
    except KeyboardInterrupt as interrupt:
        place = own_place(interrupt)
    at = f", at {place}" if place else ""
    key = prepared.failure.key
    raise KeyboardInterrupt(f"the replay of {key!r} was stopped by Ctrl-C{at}")


def _execute(prepared: Prepared, notify: Notify) -> Replay:
    found = _run_as_planned(prepared, notify)
    if isinstance(found, HandedStored):
        return _of_submitted(prepared, found.key, notify)
    return found


def _run_as_planned(prepared: Prepared, notify: Notify) -> Replay | HandedStored:
    if prepared.plan.where == "worker":
        return _on_worker(prepared, notify)
    if prepared.plan.where == "process":
        return _in_child(prepared, notify)
    try:
        return replay_here(prepared, notify)
    except InputNotCopyable:
        if prepared.wanted.where == "here":
            raise
    plan = replace(
        prepared.plan,
        where="process",
        warnings=(*prepared.plan.warnings, "inputs cannot be copied: a fork has them"),
    )
    return _in_child(replace(prepared, plan=plan), notify)


def _in_child(prepared: Prepared, notify: Notify) -> Replay | HandedStored:
    from dbgkit.replays.in_child import replay_in_child

    return replay_in_child(prepared, notify)


def _of_submitted(prepared: Prepared, key: Any, notify: Notify) -> Replay:
    """The replay of a submitted task, whose stored error the outer task only got."""
    outer, wanted = prepared.failure, prepared.wanted
    link = prepared.material.link
    assert link is not None
    found = locate_failures(
        key,
        client=link.client,
        timeout=wanted.timeout,
        specs=True,
        max_bytes=wanted.max_bytes,
    )[0]
    note = (
        f"a replay of {outer.key!r} only gets the stored error of {found.key!r}, "
        "which it submits, so only that one was run"
    )
    before = (*outer.through, outer.key)
    if found.key in before:
        raise NotHere(
            f"a replay of {outer.key!r} only gets the stored error of {key!r}, which "
            "it submits, so nothing would run again",
            f"release the futures of {key!r}, or look at its recording",
            key=outer.key,
        )
    through = (*before, *(each for each in found.through if each not in before))
    found = replace(found, through=through, notes=(*found.notes, note))
    return _execute(prepare_once(found, wanted, notify), notify)


def _on_worker(prepared: Prepared, notify: Notify) -> Replay | HandedStored:
    from dbgkit.replays.on_worker import run_on_worker

    failure, wanted = prepared.failure, prepared.wanted
    try:
        return run_on_worker(
            failure, prepared.plan, prepared.material, wanted.timeout, notify
        )
    except InputMoved:
        # Nothing was run yet: values move, and workers come and go.
        failure = brought_up_to_date(failure, wanted.timeout, wanted.max_bytes)
    again = prepare_once(failure, wanted, notify)
    return run_on_worker(failure, again.plan, again.material, wanted.timeout, notify)
