"""Run in a process of its own: how far its memory peaks as it replays a task.

``python bench_peak.py ADDRESS SMALL_KEY LARGE_KEY`` prints JSON, in bytes.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import psutil
from distributed import Client

import dbgkit


class Peak:
    """The largest resident size while inside.

    Linux keeps a high-water mark that can be reset; elsewhere it is sampled.
    """

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.before = self.process.memory_info().rss
        self.peak = self.before
        self._done = threading.Event()
        self._marks = _reset_mark()

    def __enter__(self) -> Peak:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()
        if self._marks:
            self.peak = max(self.peak, _mark())

    def _sample(self) -> None:
        while not self._done.wait(0.005):
            self.peak = max(self.peak, self.process.memory_info().rss)


def _reset_mark() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _mark() > 0
    except OSError:
        return False


def _mark() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main(address: str, small: str, large: str) -> None:
    with Client(address) as client:
        # Modules and buffers that any replay needs are not the input's.
        dbgkit.replay(small, client=client).close()
        with Peak() as seen, dbgkit.replay(large, client=client) as again:
            assert again.outcome == "same", again.outcome
    print(json.dumps({"before": seen.before, "peak": seen.peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
