"""Asks who waits for whom: the workers, the scheduler, and the workers again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.view import LiveView
from dbgkit.cluster.why import (
    holders_on_workers,
    leases_here,
    may_grow,
    probe_workers,
)
from dbgkit.cluster.workers import addresses_of
from dbgkit.diagnose.why.board import Board

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why_workers import Probe

ROUNDS = 5  # of questions about what the answers to others named
MOST_WORKERS = 64  # that are asked what they run, or hold
PAUSE = 0.25  # seconds after which what is stuck has to be stuck still


def find_stuck(
    view: LiveView, probes: Mapping[str, Probe], keys: Sequence[Any]
) -> Board:
    """Who waits for whom, and which running tasks never go on.

    Cost: nothing if no task that was looked at waits for a future or a lock; else a
    call or two, and as many again if something is stuck.
    """
    growing = may_grow(view.client)
    board = _follow(view, Board(growing), probes, keys)
    if not board.stuck:
        return board
    time.sleep(PAUSE)
    asked = dict.fromkeys(board.slots, ())
    again = _follow(view, Board(growing), probe_workers(view.link, asked), keys)
    again.still_stuck(board)
    return again


def _follow(
    view: LiveView, board: Board, probes: Mapping[str, Probe], keys: Sequence[Any]
) -> Board:
    for worker, probe in probes.items():
        board.add_probe(worker, probe)
    if not board.waiting:
        return board
    asked = set(probes)
    unknown = list(keys)
    for _ in range(ROUNDS):
        unknown += board.unknown_futures()
        locks = board.unknown_locks()
        if unknown or locks:
            _ask(view, board, unknown, locks)
        workers = [each for each in board.unknown_workers() if each not in asked]
        workers = workers[: max(0, MOST_WORKERS - len(asked))]
        asked.update(workers)
        found = probe_workers(view.link, dict.fromkeys(workers, ()))
        for worker, probe in found.items():
            board.add_probe(worker, probe)
        unknown = []
        if not (found or board.unknown_futures() or board.unknown_locks()):
            break
    return board


def _ask(view: LiveView, board: Board, keys: list[Any], locks: list[str]) -> None:
    answer = view.ask("waits", {"keys": keys, "locks": locks})
    for waited in answer["keys"]:
        board.futures[waited["key"]] = waited
    leases = [lease["id"] for lock in answer["locks"] for lease in lock["leases"]]
    if not leases:
        return
    link = view.link
    present = addresses_of(link)
    # Those that are looked at anyway first.
    workers = sorted(present, key=lambda each: each not in board.slots)[:MOST_WORKERS]
    found = holders_on_workers(link, workers, leases, everywhere=False)
    held = {each["id"] for said in found.values() for each in said["held"]}
    here = leases_here(link, leases)
    left = [id_ for id_ in leases if id_ not in held and id_ not in here]
    if left:  # nobody refreshes them: that takes longer to find
        more = holders_on_workers(link, workers, left, everywhere=True)
        for worker, said in more.items():
            if worker in found:
                found[worker]["held"] += said["held"]
            else:
                found[worker] = said
    for lock in answer["locks"]:
        board.add_lock(lock, found, here, asked=len(found) == len(present))
