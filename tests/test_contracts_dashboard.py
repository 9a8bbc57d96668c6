"""What the page on the scheduler's HTTP server relies on in distributed and tornado."""

from __future__ import annotations

import asyncio
import urllib.request

import dask
import pytest
from distributed import Scheduler
from distributed.utils import format_dashboard_link

from dbgkit.remote.scheduler.dashboard import Handler
from dbgkit.remote.scheduler.dashboard_place import (
    add_page,
    drop_page,
    has_dashboard,
    http_of,
    page_of,
    prefix_of,
)


class Page:
    async def html(self):
        return "it is there"


def read(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


@pytest.mark.parametrize(
    "options",
    [{}, {"http_prefix": "/pre/fix"}, {"dashboard": False}, {"http_prefix": "pre/"}],
)
def test_a_page_is_served_next_to_dasks_own(options):
    """A scheduler has /health, below its prefix, and asks its applications in turn."""

    async def look():
        async with Scheduler(port=0, dashboard_address=":0", **options) as scheduler:
            http = http_of(scheduler)
            prefix = options.get("http_prefix", "").strip("/")
            assert prefix_of(http).strip("/") == prefix
            before = list(http.applications)
            application = add_page(scheduler, Handler, Page())
            place = page_of(scheduler)
            base = f"http://127.0.0.1:{place['port']}"
            assert await asyncio.to_thread(read, base + place["path"]) == "it is there"
            health = place["path"].replace("dbgkit", "health")
            assert await asyncio.to_thread(read, base + health) == "ok"
            drop_page(scheduler, application)
            assert (http.applications, page_of(scheduler)) == (before, None)

    asyncio.run(look())


def test_the_class_that_serves_dasks_dashboard_has_bokeh_in_its_name():
    pytest.importorskip("bokeh")
    from distributed.dashboard.core import DaskBokehTornado

    assert "bokeh" in DaskBokehTornado.__name__.lower()


def test_a_scheduler_without_bokeh_shows_no_dashboard():
    async def look():
        async with Scheduler(port=0, dashboard_address=":0", dashboard=False) as there:
            assert not has_dashboard(there)

    asyncio.run(look())


def test_dasks_links_are_made_of_a_template():
    with dask.config.set({"distributed.dashboard.link": "http://{host}:{port}/x"}):
        assert format_dashboard_link("10.0.0.5", 8787) == "http://10.0.0.5:8787/x"
    unset = dask.config.set({"distributed.dashboard.link": "{NOT_SET}/x"})
    with unset, pytest.raises(KeyError):
        format_dashboard_link("10.0.0.5", 8787)
