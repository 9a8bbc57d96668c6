"""One report of everything: of a cluster, of a dump of it, as a page in a browser."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import escape, unescape
from types import SimpleNamespace

import dask
import pytest
from conftest import RECORDER_OFF, own_cluster
from distributed import Client, Event, LocalCluster, wait
from rich.console import Console
from tasks import boom, inc, ratio
from test_render_states import parsed, words_in
from watching import state_of, wait_until

import dbgkit
import dbgkit.render.report
from dbgkit import render
from dbgkit.api.report import report
from dbgkit.errors import CannotWrite, DumpUnreadable, NoFailure, WaitTimedOut
from dbgkit.model import ClusterReport, WorkerLoad
from dbgkit.render.workers import view_workers, workers_form

SECRET = "hunter2-and-more"
ODD = '[/a/b] <script>alert("1")</script>'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def hold(name):
    Event(name).wait(60)


def log_in(url):
    password = "a secret of the source"
    raise ConnectionError(f"no answer from {url}, {len(password)} tries")


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """Reports of a cluster with three kinds of failures and a hang, and of its dump."""
    path = str(tmp_path_factory.mktemp("report") / "state")
    with own_cluster(processes=False) as client:
        bad = client.map(boom, [0] * 12, key=[("bad-1", n) for n in range(12)])
        fallen = client.map(inc, bad)
        zero = client.submit(ratio, 1, 0, key=ODD)
        url = f"https://ann:{SECRET}@db.example/sales"
        login = client.submit(log_in, url, key="login-1")
        homeless = client.submit(inc, 1, key="homeless-1", resources={"GPU": 2})
        waiting = client.submit(inc, homeless, key="waiting-1")
        busy = client.submit(hold, "reported", key="busy-1")
        wait([*bad, *fallen, zero, login])
        for key, state in {"busy-1": "processing", "homeless-1": "no-worker"}.items():
            wait_until(
                lambda key=key, state=state: (
                    client.run_on_scheduler(state_of, key=key) == state
                ),
                f"{key} is {state}",
            )
        live = report(client=client)
        seen = dbgkit.watch(client=client, once=True)
        client.dump_cluster_state(path)
        address = client.scheduler.address
        Event("reported", client=client).set()
        busy.result(30)
        del waiting
    dump = report(view=f"{path}.msgpack.gz")
    yield SimpleNamespace(live=live, dump=dump, seen=seen, address=address, path=path)


@pytest.fixture(params=["live", "dump"])
def found(request, looked):
    return getattr(looked, request.param)


# -- what is in it -------------------------------------------------------------


def test_a_report_has_all_parts(found):
    assert isinstance(found, ClusterReport)
    assert found.notes == ()
    assert (found.failures.total, found.failures.cascaded) == (14, 12)
    assert len(found.failures.groups) == 3
    assert found.why.cause == "resources-unmet"
    assert found.checkup.findings
    assert not found.healthy
    assert found.taken.start <= found.failures.span.start
    assert found.taken.end >= found.tasks.span.end


def test_what_failed_comes_first_then_what_is_stuck(found):
    rows = found.tasks.rows
    assert [row.state for row in rows[:14]] == ["erred"] * 14
    assert not any(row.blame for row in rows)
    assert [(row.key, row.state) for row in rows[14:]] == [
        ("homeless-1", "no-worker"),
        ("busy-1", "processing"),
        ("waiting-1", "waiting"),
    ]
    assert (found.tasks.matched, found.tasks.omitted) == (17, 0)


def test_graphs_are_of_the_examples_and_of_what_is_stuck(found):
    keys = {group.example.key for group in found.failures.groups}
    assert set(found.graphs) == {*keys, "homeless-1"}
    around = {node.key for node in found.graphs["homeless-1"].nodes}
    assert around == {"homeless-1", "waiting-1"}


def test_a_report_names_what_it_is_of(looked):
    assert looked.live.address == looked.address
    assert looked.dump.address == f"{looked.path}.msgpack.gz"
    assert (looked.live.live, looked.dump.live) == (True, False)
    assert "Dump of a Dask cluster state.msgpack.gz" in render.to_text(looked.dump)


def test_a_dump_is_told_in_the_same_words(looked):
    live, dump = (render.to_text(one) for one in (looked.live, looked.dump))
    for sentence in (
        "14 tasks failed in 3 ways on 2 workers; 12 more failed because of them",
        "12 tasks · ValueError: cannot take 0",
        "1 task · ZeroDivisionError: division by zero",
        "resources-unmet: 'homeless-1' needs GPU=2, which no worker has",
        f"{ODD} ",
    ):
        assert sentence in live and sentence in dump
    assert looked.live.tasks.summary == looked.dump.tasks.summary
    assert "a dump does not hold failures" in dump
    assert "a dump" not in live


def test_a_report_as_json_has_builtin_types_only(found):
    told = json.loads(json.dumps(found.to_json()))
    assert told["failures"]["total"] == 14
    assert told["healthy"] is False
    assert {each["key"] for each in told["graphs"]} >= {ODD, "homeless-1"}


# -- how it is asked for -----------------------------------------------------------


def test_a_healthy_cluster_is_said_to_be_so(harmable):
    with harmable(processes=False) as client:
        future = client.submit(inc, 1)
        wait(future)
        found = report()
        assert found.healthy
        assert found.why.cause == "finished"
        page = words_in(render.document(found))
        assert "nothing wrong was found" in page and "no task has failed" in page


def test_an_address_will_do(processes):
    assert report(client=processes.scheduler_address).checkup is not None


def test_a_part_that_fails_is_noted(inproc_client, monkeypatch):
    def late(view):
        raise WaitTimedOut("no answer within 30 s", "look at the scheduler")

    monkeypatch.setattr("dbgkit.api.report.explain", late)
    found = report(client=inproc_client)
    assert found.why is None and not found.healthy
    assert found.checkup is not None and found.tasks is not None
    (note,) = found.notes
    assert note.startswith("why nothing moves is missing: no answer within 30 s")
    assert note in words_in(render.document(found))
    assert "WHAT HOLDS IT UP" not in render.to_text(found)


def test_an_asynchronous_client_gets_an_awaitable():
    async def look():
        async with (
            LocalCluster(
                processes=False, n_workers=1, asynchronous=True, dashboard_address=":0"
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            await wait(client.submit(ratio, 1, 0))
            return await report(client=client)

    assert asyncio.run(look()).failures.total == 1


def test_where_nothing_can_be_looked_at_an_error_says_so(tmp_path):
    with pytest.raises(DumpUnreadable):
        report(view=tmp_path / "no.msgpack.gz")


def test_a_call_writes_the_page_that_it_returns(harmable, tmp_path):
    with harmable(processes=False) as client:
        made = dbgkit.report(tmp_path / "page.html", client=client)
        assert (tmp_path / "page.html").read_text("utf-8") == render.document(made)
        # What cannot be written is said before the cluster is asked.
        nobody = "tcp://127.0.0.1:1"
        for path, why in ((tmp_path, "is a folder"), ("no/page", "does not exist")):
            with pytest.raises(CannotWrite, match=why):
                dbgkit.report(path, client=nobody)


def test_without_a_cluster_an_error_says_so():
    with pytest.raises(NoFailure, match="no cluster"):
        report()


# -- the page ----------------------------------------------------------------------


def test_a_page_stands_by_itself(found):
    page = render.document(found)
    assert page.startswith("<!DOCTYPE html>")
    assert len(page.encode()) <= 300_000
    parser = parsed(page)
    assert not {"link", "iframe", "img", "object"}.intersection(parser.tags)
    assert parser.tags.count("script") == 1
    for name, value in parser.attributes:
        assert not name.startswith("on"), name
        if name in ("href", "src", "action", "data", "xlink:href"):
            assert value.startswith("#") or value == found.dashboard, value
    assert not re.search(r"url\(|@import", page)
    anchors = {value for name, value in parser.attributes if name == "id"}
    links = {value[1:] for name, value in parser.attributes if name == "href"}
    links -= {found.dashboard[1:]}
    assert {"dbgkit-failures", "dbgkit-why", "dbgkit-tasks", "dbgkit-doctor"} <= anchors
    assert links <= anchors


def test_what_blocks_comes_before_what_has_failed(found):
    parts = ("What blocks", "Failures", "Workers", "Tasks", "Fit for debugging?")
    page = render.document(found)
    assert [each for each in re.findall("<h2>(.*?)</h2>", page)] == list(parts)
    told = render.to_text(found)
    at = [told.index(f"\n{each.upper()}\n") for each in parts]
    assert at == sorted(at)
    # but not where nothing else blocks than what has failed
    failed = replace(found, why=replace(found.why, cause="failed"))
    assert re.findall("<h2>(.*?)</h2>", render.document(failed))[0] == "Failures"


def test_workers_say_how_full_they_are(found):
    assert len(found.workers) == 2 and found.more_workers == 0
    for load in found.workers:
        assert (load.status, load.threads) == ("running", 2)
        assert load.memory > 0 and load.memory_limit > load.memory
    assert {load.tasks for load in found.workers} == {0, 1}
    assert "2 workers, 4 threads" in render.to_text(found)
    assert render.document(found).count('class="dbgkit-bar') == 2


def test_full_and_paused_workers_come_first_and_the_rest_is_counted():
    loads = [
        WorkerLoad("tcp://a:1", "[red]a", "paused", 2, 9, 90, 100),
        WorkerLoad("tcp://b:1", "<b>", "running", 1, 0, 70, 100),
        WorkerLoad("tcp://c:1", "c\x1b[31m", "running", 1, 0, None, None),
    ]
    view = view_workers(loads, 1_000)
    assert view.sentence == "1,003 workers, at least 4 threads"
    assert [row.style for row in view.rows[:2]] == ["red", "yellow"]
    assert [row.percent for row in view.rows] == [90, 70, None]
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(workers_form(view))
    told = console.file.getvalue()
    assert "███████████░" in told and "not known" in told and "\x1b" not in told
    assert "1,000 more workers, not shown" in told


def test_a_narrow_table_of_workers_keeps_addresses_whole():
    load = WorkerLoad("tcp://127.0.0.1:44645", "1", "running", 1, 0, 2**26, 2**33)
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(workers_form(view_workers([load], 0)))
    assert load.address in console.file.getvalue()


def test_a_link_leads_to_the_dashboard_where_there_is_one(harmable):
    with harmable(processes=False) as client:
        with dbgkit.record(dashboard=True):  # our page is none
            assert client.run_on_scheduler(has_dashboard) == bool(report().dashboard)
        client.run_on_scheduler(with_dashboard)
        found = report()
    assert re.fullmatch(r"http://[\w.]+:\d+/status", found.dashboard)
    page = render.document(found)
    assert f'<a href="{found.dashboard}" rel="noreferrer">' in page
    assert found.dashboard in render.to_text(found)
    # THEN what is no web address is no link
    odd = replace(found, dashboard="javascript:alert(1)")
    assert "javascript:" not in render.document(odd)


def has_dashboard(dask_scheduler):
    from distributed.http.routing import RoutingApplication

    assert isinstance(dask_scheduler.http_application, RoutingApplication)
    applications = dask_scheduler.http_application.applications
    return any("bokeh" in type(each).__name__.lower() for each in applications)


def with_dashboard(dask_scheduler):
    from tornado.web import Application

    class Bokehs(Application):
        """As Dask's own is one of Bokeh's."""

    dask_scheduler.http_application.add_application(Bokehs())


def test_a_page_says_what_the_console_says(found):
    page = words_in(render.document(found)).replace(" : ", ": ")
    for part in (found.failures, found.why, found.checkup):
        assert render.to_text(part, width=1_000).splitlines()[0] in page
    assert ODD in page
    assert "29 tasks: 26 erred, 1 no-worker, 1 waiting, 1 processing" in page


def test_a_page_hides_secrets(found):
    page = render.document(found)
    assert "https://ann:&lt;hidden&gt;@db.example/sales" in page
    for text in (page, render.to_text(found)):
        assert SECRET not in text
        assert "a secret of the source" not in text


def test_of_many_failures_the_page_stays_small(harmable):
    with harmable(processes=False) as client:
        kinds = [
            client.submit(boom, "".join(chr(97 + int(d)) for d in str(n)) * 50)
            for n in range(40)
        ]
        more = client.map(boom, range(400))
        wait([*kinds, *more])
        page = render.document(report())
    assert len(page.encode()) <= 300_000
    assert "21 more ways of failing, not shown" in words_in(page)
    assert "more tasks, not shown" in words_in(page)


def there(depth, kind):
    """Fail at the end of a long traceback, in which no line comes twice in a row."""
    if depth:
        return back(depth - 1, kind)
    raise ValueError(kind)


def back(depth, kind):
    return there(depth, kind)


def test_of_many_long_tracebacks_the_page_leaves_out_the_outer_frames(
    harmable, monkeypatch
):
    # With recordings the page leaves them out before it comes to that.
    with dask.config.set(RECORDER_OFF), harmable(processes=False) as client:
        kinds = [chr(97 + n) * 9 for n in range(20)]
        futures = [client.submit(there, 25, kind) for kind in kinds]
        wait(futures)
        found = report()
        del futures
    assert len(render.document(found).encode()) <= 300_000
    monkeypatch.setattr(dbgkit.render.report, "PAGE", 10**7)
    whole = render.document(found)
    # WHEN there is less room than that
    monkeypatch.setattr(dbgkit.render.report, "PAGE", 200_000)
    page = render.document(found)
    assert len(page) < 200_000 < len(whole)
    told = words_in(page)
    assert "only the innermost frames of a traceback have their source" in told
    assert told.count("raise ValueError(kind)") == 20


def test_whatever_is_in_it_a_page_is_small(looked):
    failures, tasks = looked.live.failures, looked.live.tasks
    text = "".join(
        f'  File "/srv/mod{n}.py", line {n}, in func_{n}\n    x = "<{n}>" * len(y)\n'
        for n in range(60)
    )
    group = failures.groups[0]
    example = replace(group.example, traceback_text=text, notes=("&" * 3_000,) * 20)
    group = replace(group, example=example, message="<&>" * 3_000, messages=())
    row = replace(tasks.rows[0], key="k" * 300, exception="ValueError('" + "<" * 3_000)
    large = replace(
        looked.live,
        failures=replace(failures, groups=(group,) * 200),
        tasks=replace(tasks, rows=(row,) * 500),
    )
    page = render.document(large)
    assert len(page.encode()) <= 300_000
    told = words_in(page)
    assert re.search(
        r"to keep it small, \d+ ways of failing and \d+ tasks are left", told
    )


# -- in a browser --------------------------------------------------------------------


def browse(page, tmp_path, *options):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--enable-logging=stderr", "--v=0",
        f"--user-data-dir={tmp_path / 'profile'}", *options, path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8"), done.stderr.decode("utf-8", "replace")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_shows_the_page(looked, tmp_path):
    page = render.document(looked.live)
    dom, log = browse(page, tmp_path, "--dump-dom")
    # THEN what it has made of it is what was meant, and it complained of nothing
    assert "CONSOLE" not in log
    # besides the buttons that copy
    dom = re.sub("<button.*?</button>", "", dom)
    assert words_in(dom) == words_in(page)


COPIES = """
<script>
document.execCommand = () => {
  document.title += `[${document.querySelector("textarea").value}]`
  return true
}
onload = () => document.querySelectorAll("button.dbgkit-copy").forEach(
  (button) => button.click()
)
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_click_copies_a_key_and_a_command(looked, tmp_path):
    page = render.document(looked.live)
    policy = re.search(r"<meta http-equiv=.Content-Security.*?>", page)[0]
    # WHEN each button is clicked by a script, which the page's policy would not let run
    with_clicks = page.replace(policy, "").replace("</body>", f"{COPIES}</body>")
    dom, _ = browse(with_clicks, tmp_path, "--dump-dom", "--virtual-time-budget=3000")
    title = unescape(re.search("<title>(.*?)</title>", dom, re.S)[1])
    assert "[homeless-1]" in title and f"[{ODD}]" in title
    assert "[dbgkit.debug(" in title


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_without_scripts_the_page_is_whole_and_has_no_buttons(looked, tmp_path):
    page = render.document(looked.live)
    assert "<button" not in page and "<noscript" not in page
    # WHEN something else got into it
    evil = page.replace("</body>", "<script>document.title = 'evil'</script></body>")
    dom, log = browse(evil, tmp_path, "--dump-dom")
    assert "<title>evil" not in dom and "Content Security Policy" in log
    # THEN our own script ran, and that one did not
    assert "dbgkit-copy" in dom.split("</style>")[-1]


HOLDER = """<iframe style="width: 390px; border: 0" srcdoc="{}"></iframe><script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument.documentElement
  document.title = `${{page.scrollWidth}} of ${{page.clientWidth}} px`
}}
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_page_and_cards_fit_a_phone(looked, tmp_path):
    made = looked.live
    cards = (made.failures, made.why, made.tasks, made.checkup, looked.seen)
    for shown in (render.document(made), *map(render.to_html, cards)):
        dom, _ = browse(HOLDER.format(escape(shown)), tmp_path, "--dump-dom")
        wide, of = re.search(r"<title>(\d+) of (\d+) px</title>", dom).groups()
        assert int(wide) <= int(of) <= 390


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_shows_it_dark_where_that_is_preferred(looked, tmp_path):
    page = render.document(looked.live)
    pictures = {}
    for name, options in {
        "light": ["--blink-settings=preferredColorScheme=1"],
        "dark": ["--blink-settings=preferredColorScheme=0"],
    }.items():
        shot = tmp_path / f"{name}.png"
        browse(page, tmp_path, f"--screenshot={shot}", *options)
        pictures[name] = shot.read_bytes()
    assert pictures["light"] and pictures["light"] != pictures["dark"]
