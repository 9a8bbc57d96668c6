"""Asks who waits for whom: the workers, the scheduler, and the workers again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.view import LiveView
from dbgkit.cluster.why import holders_on_workers, leases_here, probe_workers
from dbgkit.cluster.workers import addresses_of
from dbgkit.diagnose.why.board import Board

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why_workers import Probe

ROUNDS = 4  # of questions about what the answers to others named
MOST_WORKERS = 64  # that are asked what they run, or hold
PAUSE = 0.25  # seconds after which what is stuck has to be stuck still


def find_stuck(
    view: LiveView, probes: Mapping[str, Probe], keys: Sequence[Any]
) -> tuple[Board, set[Any]]:
    """Who waits for whom, and which running tasks never go on.

    Cost: nothing if no task that was looked at waits for a future or a lock; else a
    call or two, and as many again if something is stuck.
    """
    board = _follow(view, probes, keys)
    stuck = board.stuck()
    if not stuck:
        return board, stuck
    time.sleep(PAUSE)
    again = _follow(
        view, probe_workers(view.link, dict.fromkeys(board.slots, ())), keys
    )
    return again, again.still_stuck(board)


def _follow(view: LiveView, probes: Mapping[str, Probe], keys: Sequence[Any]) -> Board:
    board = Board()
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
        unknown = []
        workers = [each for each in board.unknown_workers() if each not in asked]
        workers = workers[: MOST_WORKERS - len(asked)]
        asked.update(workers)
        found = probe_workers(view.link, dict.fromkeys(workers, ()))
        for worker, probe in found.items():
            board.add_probe(worker, probe)
        if not found:
            break
    return board


def _ask(view: LiveView, board: Board, keys: list[Any], locks: list[str]) -> None:
    answer = view.ask("waits", {"keys": keys, "locks": locks})
    for waited in answer["keys"]:
        board.futures[waited["key"]] = waited
    leases = [lease["id"] for lock in answer["locks"] for lease in lock["leases"]]
    if not leases:
        return
    workers = addresses_of(view.link)
    found = holders_on_workers(view.link, workers[:MOST_WORKERS], leases)
    here = leases_here(view.link, leases)
    for lock in answer["locks"]:
        board.add_lock(lock, found, here)
