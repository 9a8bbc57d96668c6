"""Redaction: what it costs to look for secrets in ordinary texts."""

from __future__ import annotations

import json
import random
import re
import string

from bench_kit import Figure, clock
from distributed import scheduler

from dbgkit.remote.secrets.redact import redact_text

LENGTH = 256_000
BAR = 12


def measure(quick: bool = False) -> list[Figure]:
    """Redaction of each kind of text ÷ one simple substitution over it."""
    return [_figure(name, text, 3 if quick else 7) for name, text in _texts().items()]


def _figure(name: str, text: str, times: int) -> Figure:
    """The best of so many times, each beside the other."""
    simple, whole = [], []
    for _ in range(times):
        simple.append(clock(lambda: re.sub(r"\bpassword\w*", "", text)))
        whole.append(clock(lambda: redact_text(text)))
    return Figure(
        f"redaction of 256 kB of {name} ÷ one re.sub",
        min(whole) / min(simple),
        BAR,
        detail=f"{min(whole) * 1e3:.1f} ms ÷ {min(simple) * 1e3:.1f} ms",
    )


def _texts() -> dict[str, str]:
    """Texts of one length: a log, sentences, JSON and source."""
    with open(scheduler.__file__, encoding="utf-8") as file:
        source = file.read()
    made = random.Random(0)
    words = sorted(set(re.findall(r"[A-Za-z]{2,12}", source)))
    sentences = " ".join(made.choice(words) for _ in range(LENGTH // 4))
    lines = "".join(
        f"2026-01-02 10:11:{n % 60:02d},123 - distributed.worker - INFO - task "
        f"('sum-{made.getrandbits(128):032x}', {n}) took {made.random():.2f} s on "
        f"tcp://10.0.0.{n % 250}:4001, rows={n}, path=/data/part-{n}.parquet\n"
        for n in range(2_000)
    )
    rows = [
        {
            "id": n,
            "name": made.choice(words),
            "value": made.random(),
            "tags": made.choices(words, k=3),
            "code": "".join(made.choices(string.ascii_letters, k=8)),
        }
        for n in range(4_000)
    ]
    texts = {
        "a log": lines,
        "sentences": sentences,
        "JSON": json.dumps(rows),
        "source": source,
    }
    return {name: (text * 8)[:LENGTH] for name, text in texts.items()}
