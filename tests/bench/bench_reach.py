"""A cluster at the far end of a line: round trips, and workers out of reach."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import dask
from bench_kit import Figure, interleave
from bench_kit import milliseconds as ms
from distributed import Client
from distributed.security import Security

import dbgkit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tasks
from slow_link import Far, far_cluster

DELAY = 0.05  # seconds of one round trip
ROOM = 0.06  # seconds that all else may take
# Dask's own messages in between would be counted too.
QUIET = {
    "distributed.client.heartbeat": "1h",
    "distributed.client.scheduler-info-interval": "1h",
}
LOOKS: dict[str, Callable[[Any], Any]] = {
    "replay": lambda client: dbgkit.replay("failed", client=client),
    "failures": lambda client: dbgkit.failures(client=client),
    "why": lambda client: dbgkit.why("failed", client=client),
}
BARS = {"replay": (5, 2), "failures": (2, 1), "why": (2, 1)}


def measure(quick: bool = False) -> list[Figure]:
    count = 3 if quick else 9
    figures = []
    for scheme in ("tcp", "tls"):
        with _far(scheme) as (far, security, settings), dask.config.set(QUIET):
            for look in LOOKS.values():
                with _client(far, security) as client:
                    look(client)  # what is imported at first is not what is measured
            for name in LOOKS:
                figures += _trips(far, security, scheme, name, count)
            with dask.config.set(settings):
                figures += [
                    _by_address(far, security, scheme, name, count) for name in LOOKS
                ]
            if scheme == "tcp":
                figures += _terminal(far, count)
                figures += _out_of_reach(far, 5 if quick else 15)
    return figures


@contextmanager
def _far(scheme: str) -> Iterator[tuple[Far, Security | None, dict[str, str]]]:
    """A far cluster with one failure; what a client needs, and its settings."""
    security = Security.temporary() if scheme == "tls" else None
    options, settings = [], {}
    with tempfile.TemporaryDirectory() as folder:
        if security is not None:
            parts = security.get_tls_config_for_role("client")
            names = {"ca_file": "ca-file", "cert": "client.cert", "key": "client.key"}
            for part, name in names.items():
                path = Path(folder) / f"{part}.pem"
                path.write_text(parts[part])
                options += [f"--tls-{part.replace('_', '-')}", str(path)]
                settings[f"distributed.comm.tls.{name}"] = str(path)
        with (
            far_cluster(folder, scheme=scheme, options=options) as far,
            _client(far, security) as client,
        ):
            client.wait_for_workers(1, timeout=60)
            zero = client.submit(int, 0, key="zero")
            failed = client.submit(tasks.ratio, 5, zero, key="failed")
            assert isinstance(failed.exception(timeout=60), ZeroDivisionError)
            yield far, security, settings


@contextmanager
def _client(far: Far, security: Security | None) -> Iterator[Client]:
    with Client(
        far.address, security=security, timeout=60, set_as_default=False
    ) as client:
        yield client


def _timed(far: Far, look: Callable[[], Any]) -> tuple[int, float]:
    """Waits one after the other, and seconds, of one look over the line."""
    far.link.delay = DELAY
    trips, start = far.link.trips, time.perf_counter()
    try:
        look()
        return far.link.trips - trips, time.perf_counter() - start
    finally:
        far.link.delay = 0.0


def _trips(
    far: Far, security: Security | None, scheme: str, name: str, count: int
) -> list[Figure]:
    """Of a client's first look, and of its next one."""
    rounds = []
    for _ in range(count):
        with _client(far, security) as client:
            looks = [_timed(far, lambda: LOOKS[name](client)) for _ in range(2)]
        rounds.append(looks)
    figures = []
    for index, when in enumerate(("first", "again")):
        seen = [looks[index] for looks in rounds]
        figures += _figures(f"{name}, {when}, {scheme}", seen, BARS[name][index])
    return figures


def _figures(name: str, seen: list[tuple[int, float]], bar: int) -> list[Figure]:
    """Count, and what the quickest took beyond its waits."""
    trips = min(each for each, _ in seen)
    over = min(seconds - each * DELAY for each, seconds in seen)
    return [
        Figure(f"round trips: {name}", trips, bar),
        Figure(f"beyond them: {name}", over * 1e3, ROOM * 1e3, "ms"),
    ]


def _by_address(
    far: Far, security: Security | None, scheme: str, name: str, count: int
) -> Figure:
    """Of a call that opens a client, beyond what that costs Dask."""

    def connect() -> None:
        with _client(far, security):
            pass

    bare = min(_timed(far, connect)[0] for _ in range(count))
    seen = min(_timed(far, lambda: LOOKS[name](far.address))[0] for _ in range(count))
    return Figure(
        f"round trips: {name} by an address, beyond connecting, {scheme}",
        seen - bare,
        BARS[name][0],
        detail=f"connecting takes {bare}",
    )


def _terminal(far: Far, count: int) -> list[Figure]:
    """Of commands, beyond what connecting costs Dask."""
    from dbgkit.frontends.cli.main import cli

    def connect() -> None:
        with _client(far, None):
            pass

    def command(name: str, *arguments: str) -> None:
        with redirect_stdout(StringIO()), suppress(SystemExit):
            cli.main([name, *arguments, "--scheduler", far.address])

    def trips(look: Callable[[], Any]) -> int:
        return min(_timed(far, look)[0] for _ in range(count))

    bare = trips(connect)
    seen = {
        "failures": trips(lambda: command("failures")),
        "why": trips(lambda: command("why", "failed")),
    }
    return [
        Figure(
            f"round trips: dbgkit {name}, beyond connecting",
            each - bare,
            BARS[name][0],
            detail=f"connecting takes {bare}",
        )
        for name, each in seen.items()
    ]


def _out_of_reach(far: Far, count: int) -> list[Figure]:
    """Of a client that reaches only the scheduler: what it pays, and how often."""
    look = LOOKS["replay"]
    with _client(far, None) as near, _client(far, None) as cut:
        far.cut()
        start = time.perf_counter()
        look(cut)
        first = time.perf_counter() - start
        far.mend()
        look(near)

        def of(client: Client, closed: bool) -> float:
            if closed:
                far.cut()
            start = time.perf_counter()
            look(client)
            seconds = time.perf_counter() - start
            far.mend()
            return seconds

        ours, theirs = interleave(count, lambda: of(cut, True), lambda: of(near, False))
    return [
        Figure("workers out of reach: second replay / in reach", *_ratio(ours, theirs)),
        Figure("workers out of reach: first replay", first, 7.0, "s"),
    ]


def _ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, str, str]:
    from bench_kit import median

    mine, other = median(ours), median(theirs)
    return mine / other, 3.0, "", ms(mine, other)
