"""Live sessions: what a command, a pause and an armed cluster cost."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from bench_kit import Figure, bench_client, interleave
from distributed import Client, wait

import dbgkit
from dbgkit.cluster.reach import reach_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from live_editors import Editor, edited
from live_sessions import Session, enter, stop_of, waiting
from watching import wait_until

LIST_BAR = 0.1  # seconds


def stopped(x: Any) -> Any:
    breakpoint()
    return x


def second(x: Any, pause: bool = True) -> Any:
    """A task of a second, which is paused on its first line."""
    if pause:
        breakpoint()
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        time.sleep(0.01)
    return x


def brief(x: Any) -> Any:
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end:
        pass
    return x


def answer() -> int:
    return 1


def commands(session: Session, count: int) -> float:
    """Seconds of one command at the prompt."""
    start = time.perf_counter()
    for _ in range(count):
        session.type("p x")
    return (time.perf_counter() - start) / count


def runs(client: Client, worker: str, count: int) -> float:
    """Seconds of one ``client.run`` on the worker."""
    start = time.perf_counter()
    for _ in range(count):
        client.run(answer, workers=[worker])
    return (time.perf_counter() - start) / count


def round_trips(quick: bool) -> list[Figure]:
    count, rounds = (20, 5) if quick else (50, 15)
    figures = []
    with bench_client() as client, dbgkit.live():
        future = client.submit(stopped, 1, key="stopped-1")
        found = stop_of(client, "stopped-1")
        for through, bar in ((False, 1.0), (True, 1.2)):
            if through:
                reach_of(client).missed.add(found.worker)
            session = Session(client, found)
            session.type()
            assert session.talk.through is through
            ours, theirs = interleave(
                rounds,
                lambda s=session: commands(s, count),
                lambda: runs(client, found.worker, count),
            )
            session.close()
            wait_until(lambda: not stop_of(client, "stopped-1").who, "it is left")
            ratio = statistics.median(ours) / statistics.median(theirs)
            how = "through the scheduler" if through else "direct"
            figures.append(
                Figure(
                    f"a command at a live prompt, {how} ÷ client.run",
                    ratio,
                    bar,
                    detail=f"{statistics.median(ours) * 1e3:.2f} ms ÷ "
                    f"{statistics.median(theirs) * 1e3:.2f} ms",
                )
            )
        reach_of(client).missed.discard(found.worker)
        enter(client, found, "c")
        future.result()
    return figures


def editors(quick: bool) -> list[Figure]:
    """What an editor asks of a stopped task: an expression."""
    count, rounds = (20, 5) if quick else (50, 15)
    figures = []
    with bench_client() as client, dbgkit.live():
        future = client.submit(stopped, 1, key="stopped-3")
        found = stop_of(client, "stopped-3")
        for through in (False, True):
            if through:
                reach_of(client).missed.add(found.worker)
            with edited(client, found) as session:
                session.editor.begin()
                assert session.talk.through is through
                ours, theirs = interleave(
                    rounds,
                    lambda e=session.editor: evaluations(e, count),
                    lambda: runs(client, found.worker, count),
                )
                session.editor.leave()
                session.how()
            wait_until(lambda: not stop_of(client, "stopped-3").who, "it is left")
            ratio = statistics.median(ours) / statistics.median(theirs)
            how = "through the scheduler" if through else "direct"
            detail = (
                f"{statistics.median(ours) * 1e3:.2f} ms ÷ "
                f"{statistics.median(theirs) * 1e3:.2f} ms"
            )
            name = f"an editor's expression (DAP evaluate), {how} ÷ client.run"
            figures.append(Figure(name, ratio, 1.5, detail=detail))
        reach_of(client).missed.discard(found.worker)
        enter(client, found, "c")
        future.result()
    return figures


def evaluations(editor: Editor, count: int) -> float:
    """Seconds of one expression of an editor's."""
    start = time.perf_counter()
    for _ in range(count):
        assert editor.evaluate("x") == "1"
    return (time.perf_counter() - start) / count


def _cpu(pid: int, seconds: float) -> float:
    """Milliseconds of processor time of a process in a second."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return 1e3 * used / seconds


def idleness(quick: bool) -> list[Figure]:
    seconds, rounds = (2.0, 3) if quick else (5.0, 5)
    with bench_client() as client:
        pid = next(iter(client.run(os.getpid).values()))
        client.submit(brief, 1).result()
        idle = [_cpu(pid, seconds) for _ in range(rounds)]
        with dbgkit.live(most=20):
            futures = client.map(stopped, range(20), key=[f"i-{n}" for n in range(20)])
            waiting(client, 20)
            paused = [_cpu(pid, seconds) for _ in range(rounds)]
        client.gather(futures)
    above = statistics.median(paused) - statistics.median(idle)
    detail = f"{statistics.median(paused):.1f} ms/s, idle {statistics.median(idle):.1f}"
    name = "20 paused tasks: processor time of their worker above idle, a second"
    return [Figure(name, above, 5.0, "ms", detail)]


def durations(quick: bool) -> list[Figure]:
    def known(dask_scheduler: Any) -> Any:
        prefix = dask_scheduler.task_prefixes["second"]
        return prefix.duration_average, prefix.max_exec_time

    with bench_client() as client:
        client.gather(client.map(second, range(3), pause=False, pure=False))
        average, longest = client.run_on_scheduler(known)
        worst = 0.0
        with dbgkit.live():
            future = client.submit(second, 9, key="second-9")
            found = stop_of(client, "second-9")
            time.sleep(2.0 if quick else 5.0)
            during, longest_during = client.run_on_scheduler(known)
            enter(client, found, "p x", "c")
            future.result()
        after, longest_after = client.run_on_scheduler(known)
    for before, now in (
        (average, during),
        (average, after),
        (longest, longest_during),
        (longest, longest_after),
    ):
        if before > 0:
            worst = max(worst, abs(now / before - 1))
    detail = f"{average:.4f} s, paused {during:.4f}, after {after:.4f}"
    name = "a pause of seconds: how far a prefix's times are from those without"
    return [Figure(name, worst, 0.01, detail=detail)]


def many(quick: bool) -> list[Figure]:
    with bench_client(4) as client, dbgkit.live(most=50):
        futures = client.map(stopped, range(50), key=[f"f-{n}" for n in range(50)])
        found = waiting(client, 50)
        times = []
        for _ in range(5 if quick else 20):
            start = time.perf_counter()
            dbgkit.attach()
            times.append(time.perf_counter() - start)
        ends = [enter(client, each, "p x", "c")[1] for each in found]
        client.gather(futures)
    listing = statistics.median(times)
    return [
        Figure("50 paused on 4 workers: list", listing * 1e3, LIST_BAR * 1e3, "ms"),
        Figure(
            "50 paused: entered, asked and let go",
            ends.count("continued"),
            50,
            exact=True,
        ),
    ]


def armed(quick: bool) -> list[Figure]:
    """Processor time of workers that run tasks of a millisecond, armed or not."""
    count, rounds = (300, 4) if quick else (1_000, 10)
    with bench_client() as client:
        pid = next(iter(client.run(os.getpid).values()))
        process = psutil.Process(pid)

        def job() -> float:
            before = process.cpu_times()
            wait(client.map(brief, range(count), pure=False))
            after = process.cpu_times()
            return float(after.user + after.system - before.user - before.system)

        def on() -> float:
            with dbgkit.live():
                return job()

        job()
        ours, theirs = interleave(rounds, on, job)
    ratio = statistics.median([o / t for o, t in zip(ours, theirs, strict=True)])
    name = f"{count:,} tasks of 1 ms, live for others ÷ not, processor time"
    detail = f"{statistics.median(ours):.3f} s ÷ {statistics.median(theirs):.3f} s"
    return [Figure(name, ratio, 1.03, detail=detail)]


CLIENT = """
import sys, time
sys.path[:0] = sys.argv[3:]
from distributed import Client
from live_sessions import Session
import dbgkit
client = Client(sys.argv[1], set_as_default=False)
found = [e for e in dbgkit.attach(client=client) if e.key == sys.argv[2]][0]
session = Session(client, found, who="killed")
session.type("p x")
print("in", flush=True)
time.sleep(60)
"""


def killed(quick: bool) -> list[Figure]:
    path = [entry for entry in sys.path if entry]
    with bench_client() as client, dbgkit.live():
        future = client.submit(stopped, 1, key="stopped-2")
        found = stop_of(client, "stopped-2")
        address = client.scheduler.address
        with subprocess.Popen(
            [sys.executable, "-c", CLIENT, address, "stopped-2", *path],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "in\n"
            wait_until(lambda: stop_of(client, "stopped-2").who == "killed", "it is in")
            child.send_signal(signal.SIGKILL)
            start = time.perf_counter()
            wait_until(lambda: not stop_of(client, "stopped-2").who, "it is noticed")
            took = time.perf_counter() - start
        enter(client, found, "c")
        future.result()
    return [Figure("a killed client noticed after", took, 1.0, "s")]


def measure(quick: bool = False) -> list[Figure]:
    """All figures."""
    parts = (round_trips, editors, idleness, durations, many, armed, killed)
    return [figure for part in parts for figure in part(quick)]
