"""How large the report is as a page, of a scheduler with very many tasks."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import browser
from bench_kit import Figure, milliseconds
from bench_kit import median as mid
from big_scheduler import FAILURES, TASKS, big_scheduler, paused

import dbgkit
from dbgkit import render
from dbgkit.cluster.link import Link

FEW = 100_000  # tasks of a quick run
LIMIT = 300.0  # kB


def measure(quick: bool = False) -> list[Figure]:
    """Size of the page, of which a part stands before its only script."""
    count = FEW if quick else TASKS
    with (
        tempfile.TemporaryDirectory() as folder,
        big_scheduler(folder, count, FAILURES) as client,
    ):
        Link(client, 60).progress([])  # installs the extension
        work = paused(client, lambda: dbgkit.report(client=client), churn=False).work
        found = dbgkit.report(client=client)
    start = time.perf_counter()
    page = render.document(found)
    took = time.perf_counter() - start
    size = len(page.encode())
    shown = page.partition("<script>")[0]
    made = f"{count:,} tasks, {found.failures.total:,} failures"
    return [
        *painted(page, 2 if quick else 5),
        Figure("report(), its page", size / 1e3, LIMIT, "kB", made),
        Figure(
            "report(), what is not shown without its script",
            size - len(shown.encode()),
            2_000,
            "bytes",
        ),
        Figure("report(), made into its page", took * 1e3, unit="ms"),
        Figure("report(), the scheduler's work", work * 1e3, unit="ms"),
    ]


def painted(page: str, times: int) -> list[Figure]:
    """When a browser shows it that runs no script, beside a page of one word."""
    if browser.CHROMIUM is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        took = []
        for name, text in (("report", page), ("word", "<!doctype html><p>word</p>")):
            file = Path(folder, f"{name}.html")
            file.write_text(text, "utf-8")
            took.append(mid(browser.first_paint(file, times)))
    first, word = took
    detail = milliseconds(first, word)
    return [
        Figure(
            "report(), first paint / a page of one word", first / word, detail=detail
        )
    ]
