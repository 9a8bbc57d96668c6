"""The words of the page on the scheduler, whatever keys and texts are."""

from __future__ import annotations

import pytest
from fuzzing import bounded

from dbgkit.remote.scheduler.dashboard_facts import KEY, Teller
from dbgkit.remote.scheduler.dashboard_html import page, tag

TELLER = Teller("tcp://10.0.0.7:8786", (), 0.0)


@pytest.mark.parametrize(
    "key",
    ["x" * 10**6, "\n" * 10**6, "password=" * 10**5, ("x" * 10**6, 1)],
    ids=["letters", "lines", "secrets", "tuple"],
)
def test_a_key_of_a_megabyte_costs_the_scheduler_no_pause(key):
    with bounded(0.5):
        shown = TELLER.key(key)
        command = TELLER.command("debug", key)
    assert len(shown) <= KEY
    assert command == "dbgkit failures --scheduler tcp://10.0.0.7:8786"


def test_what_nobody_could_encode_is_on_the_page_all_the_same():
    key = "\ud800<script>\x1b[31m\u202e`$(x)"
    text = page("x", tag("p", TELLER.key(key), TELLER.command("debug", key)))
    assert "<script>\\" not in text and "\x1b" not in text
    assert r"\ud800&lt;script&gt;\x1b[31m\u202e" in text
