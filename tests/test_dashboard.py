"""The page on the scheduler's own HTTP server: what it shows, and that it goes."""

from __future__ import annotations

import asyncio
import gc
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from time import sleep

import dask
import pytest
from commands import in_process
from conftest import RECORDER_OFF, own_cluster
from distributed import Client, Lock, wait
from distributed.core import Status
from distributed.security import Security
from on_off_looks import is_gone, parts
from tasks import boom, inc, ratio
from watching import clear_history, state_of, wait_until

import dbgkit
from dbgkit import render
from dbgkit.api.record import record_off
from dbgkit.cluster.dashboard import beside
from dbgkit.cluster.shipping import recorder_name
from dbgkit.remote.scheduler.dashboard_html import HEADERS, page, tag
from dbgkit.remote.scheduler.dashboard_place import page_of
from dbgkit.remote.scheduler.recordings_switch import page_name

pytestmark = pytest.mark.usefixtures("recorder_off")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SECRET = "hunter2-of-ann"
HOSTILE = "<img src=x onerror=alert(1)>'\"&\x1b[31m\u202e"


def log_in(url):
    raise ConnectionError(f"no answer from {url}")


def read(url, method="GET", context=None):
    """Status, headers and text of a page."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def link(client):
    return client.dashboard_link.replace("/status", "/dbgkit")


def due(dask_scheduler, name):
    """Have the page made anew for the next reader."""
    dask_scheduler.plugins[name]._due = 0.0


def shown(client):
    """The text of the page, as it is now."""
    client.run_on_scheduler(due, name=page_name(recorder_name()))
    status, _, text = read(link(client))
    assert status == 200
    main = text[text.index("<main>") : text.index("</main>")]
    return unescape(re.sub(r"<[^>]*>", "\n", main))


def routes(dask_scheduler):
    return [str(each) for each in dask_scheduler.http_application.applications]


def objects(dask_scheduler):
    """How many pages are left in the scheduler's process."""
    gc.collect()
    names = [type(each).__name__ for each in gc.get_objects()]
    return names.count("Dashboard")


def stuck(client, key, **options):
    """A task that no worker takes."""
    future = client.submit(inc, 1, key=key, **options)
    wait_until(
        lambda: client.run_on_scheduler(state_of, key=key) == "no-worker",
        f"{key} has no worker",
    )
    return future


# -- there, and gone -----------------------------------------------------------------


@pytest.fixture(scope="module", params=[True, False], ids=["processes", "inproc"])
def unrecorded(request):
    """A client of a cluster whose recorder nobody wants, unlike the shared ones'."""
    with (
        dask.config.set(RECORDER_OFF),
        own_cluster(n_workers=1, processes=request.param) as client,
    ):
        yield client


def test_it_is_there_until_the_recorder_is_off_and_leaves_no_trace(unrecorded):
    client = unrecorded
    before = client.run_on_scheduler(routes), client.run_on_scheduler(objects)
    assert read(link(client))[0] == 404
    with dbgkit.record(dashboard=True):
        assert read(link(client))[0] == 200
        assert client.run_on_scheduler(objects) == before[1] + 1
    assert read(link(client))[0] == 404
    assert is_gone(parts(client))
    assert before == (client.run_on_scheduler(routes), client.run_on_scheduler(objects))


def test_a_recorder_has_none_unless_it_is_asked_for(unrecorded):
    with dbgkit.record():
        assert read(link(unrecorded))[0] == 404
        dbgkit.record(dashboard=True)
        assert read(link(unrecorded))[0] == 200
        dbgkit.record(dashboard=False, hold="1 MB")  # others may want it
        assert read(link(unrecorded))[0] == 200


def test_it_lives_until_the_last_of_several_recorders_is_off(processes):
    with Client(processes) as first, Client(processes) as second:
        one = dbgkit.record(client=first, dashboard=True)
        other = dbgkit.record(client=second)
        assert one.off().others == 1
        assert read(link(first))[0] == 200
        other.off()
        assert read(link(first))[0] == 404


def test_what_was_only_half_removed_is_taken_away_too(inproc_client):
    dbgkit.record(dashboard=True)
    inproc_client.unregister_scheduler_plugin(recorder_name())
    record_off(client=inproc_client)
    assert read(link(inproc_client))[0] == 404
    assert is_gone(parts(inproc_client))


def test_a_scheduler_that_closes_has_none_left():
    with own_cluster(n_workers=1, processes=False) as client:
        dbgkit.record(dashboard=True)
        assert read(link(client))[0] == 200
        scheduler = client.cluster.scheduler
    assert page_of(scheduler) is None


def test_a_preload_shows_it_if_its_setting_says_so():
    settings = {
        "distributed.scheduler.preload": ["dbgkit.preload"],
        "dbgkit.record.dashboard": True,
    }
    with dask.config.set(settings), own_cluster(n_workers=1, processes=False) as client:
        # Nobody has asked this scheduler anything before.
        assert read(link(client))[0] == 200


def test_one_that_asks_only_for_certificates_is_linked_as_such(tmp_path):
    import ssl

    credentials = Security.temporary().get_tls_config_for_role("scheduler")
    files = {}
    for name in ("ca_file", "cert", "key"):
        files[name] = tmp_path / f"{name}.pem"
        files[name].write_text(credentials[name])
    settings = {
        "distributed.scheduler.dashboard.tls.cert": str(files["cert"]),
        "distributed.scheduler.dashboard.tls.key": str(files["key"]),
        "distributed.scheduler.dashboard.tls.ca-file": str(files["ca_file"]),
    }
    with (
        dask.config.set(settings),
        own_cluster(n_workers=1, processes=False),
        dbgkit.record(dashboard=True) as recorder,
    ):
        assert recorder.page.startswith("https://")
        trusting = ssl._create_unverified_context()
        assert read(recorder.page, context=trusting)[0] == 200


# -- what it shows -------------------------------------------------------------------


@pytest.fixture(scope="module")
def failed():
    """A cluster with failures of several kinds, tasks that no worker takes, a page."""
    with own_cluster(n_workers=1) as client, dbgkit.record(dashboard=True):
        zero = client.submit(ratio, 1, 0, key=("ratio", 0))
        futures = [
            zero,
            *client.map(inc, [zero] * 3, key=["fallen-1", "fallen-2", "fallen-3"]),
            *client.map(boom, range(12), key=[f"bad-{n}" for n in range(12)]),
            client.submit(log_in, f"postgres://ann:{SECRET}@db/sales", key="login-1"),
            client.submit(boom, HOSTILE, key=HOSTILE),
        ]
        wait(futures)
        futures += [
            stuck(client, "gpu-1", resources={"GPU": 2}),
            stuck(client, "far-1", workers=["tcp://10.0.0.9:1234"]),
        ]
        yield client
        del futures


def test_failures_are_grouped_with_what_to_type(failed):
    text = shown(failed)
    assert "15 tasks failed; 3 more failed because of them" in text
    assert "ZeroDivisionError\n\n: division by zero" in text
    assert re.search(r"tasks\.py:\d+ in ratio", text)
    assert "3 more tasks failed because of it" in text
    assert re.search(
        r"12 tasks · \s+ValueError\s+: cannot take …\s+\(12 different\)", text
    )
    address = failed.scheduler.address
    assert f"dbgkit debug --scheduler {address} \"('ratio', 0)\"" in text
    assert "15 recordings of failures" in text


def test_a_line_that_it_shows_can_be_run(failed, capsys):
    lines = re.findall(r"dbgkit (debug .*)", shown(failed))
    (line,) = [each for each in lines if "ratio" in each]
    import shlex

    done = in_process(capsys, *shlex.split(line), "--no-prompt")
    assert "ZeroDivisionError" in done.out
    assert "b = 0" in done.out


def test_what_blocks_is_in_the_words_of_why(failed):
    text, why = shown(failed), dbgkit.why(client=failed)
    found = {each.cause: each.summary for each in (why, *why.others)}
    assert found["resources-unmet"] in text
    assert found["restrictions-unmet"] in text
    # and what helps is one command away
    advised = text.partition("To see what helps:")[2].strip()
    assert advised.startswith(f"dbgkit why --scheduler {failed.scheduler.address}")


def summaries(client):
    why = dbgkit.why(client=client)
    return {each.cause: each.summary for each in (why, *why.others)}


def test_a_cluster_without_workers_is_told_as_why_tells_it():
    with (
        own_cluster(n_workers=0, processes=False) as client,
        dbgkit.record(dashboard=True),
    ):
        future = client.submit(inc, 1, key="homeless-1")
        text = wait_until(
            lambda: "homeless-1" in (text := shown(client)) and text, "it is known"
        )
        assert summaries(client)["no-workers"] in text
        # WHEN one comes
        client.cluster.scale(1)
        assert future.result(30) == 2
        assert "no worker is connected" not in shown(client)


def test_paused_workers_are_told_as_why_tells_it():
    def pause(dask_worker):
        # Its monitor would have it go on at once.
        dask_worker.memory_manager.memory_pause_fraction = False
        dask_worker.status = Status.paused

    with (
        own_cluster(n_workers=1, processes=False) as client,
        dbgkit.record(dashboard=True),
    ):
        client.run(pause)
        wait_until(lambda: "1 worker is paused" in shown(client), "that is known")
        future = client.submit(inc, 1, key="late-1")
        wait_until(
            lambda: "1 worker is paused; 'late-1' cannot run" in shown(client),
            "what it blocks is named",
        )
        told = " ".join(summaries(client).values())
        assert re.search("1 worker is paused.*; 'late-1' cannot run", told)
        del future


def test_a_worker_that_does_not_answer_is_told_as_why_tells_it():
    with own_cluster(n_workers=1) as client, dbgkit.record(dashboard=True):
        future = client.submit(sleep, 60, key="slow-1")
        wait_until(lambda: "'slow-1' runs on" in shown(client), "it runs")
        ((address, pid),) = client.run(os.getpid).items()
        os.kill(pid, signal.SIGSTOP)
        try:
            text = shown(client)
            assert summaries(client)["worker-not-answering"] in text
            assert f"{address} does not answer" in text
            assert "'slow-1' runs on" not in text
        finally:
            os.kill(pid, signal.SIGCONT)
        del future


def test_who_waits_for_a_lock_is_told(inproc_client):
    def hold(name, dask_worker=None):
        from distributed import Lock

        with Lock(name):
            pass

    with dbgkit.record(dashboard=True):
        lock = Lock("index")
        assert lock.acquire(timeout=10)
        future = inproc_client.submit(hold, "index", key="waits-1")
        wait_until(
            lambda: "1 wait for lock 'index', 1 hold it" in shown(inproc_client),
            "it waits",
        )
        lock.release()
        future.result(30)


def test_secrets_are_hidden_and_nothing_is_markup(failed):
    failed.run_on_scheduler(due, name=page_name(recorder_name()))
    _, headers, text = read(link(failed))
    assert SECRET not in text and "postgres://ann:&lt;hidden&gt;@db/sales" in text
    assert "<img" not in text and "\x1b" not in text and "\u202e" not in text
    assert text.count("<script>") == 1
    for name, value in HEADERS.items():
        assert headers[name] == value
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"


def test_names_of_secrets_are_those_of_the_recorder(inproc_client):
    with dbgkit.record(dashboard=True, secret_names=["pin"]):
        future = inproc_client.submit(log_in, "me, with pin=4711", key="pin-1")
        wait(future)
        text = shown(inproc_client)
    assert "4711" not in text and "pin=<hidden>" in text


def test_a_key_that_is_hidden_is_not_part_of_a_command(processes_client):
    key = f"load-postgres://ann:{SECRET}@db/sales"
    with dbgkit.record(dashboard=True):
        future = processes_client.submit(boom, 1, key=key)
        wait(future)
        text = shown(processes_client)
    assert SECRET not in text and "dbgkit failures --scheduler" in text


def test_a_scheduler_of_this_process_is_asked_by_a_call(inproc_client):
    inproc_client.run_on_scheduler(clear_history)
    with dbgkit.record(dashboard=True):
        future = inproc_client.submit(ratio, 1, 0, key="ratio-1")
        wait(future)
        assert "dbgkit.debug('ratio-1')" in shown(inproc_client)
        future.release()
        wait_until(
            lambda: "ratio-1" not in inproc_client.run_on_scheduler(keys_known),
            "the failure is forgotten",
        )
        text = shown(inproc_client)
        assert "dbgkit.debug('ratio-1', using='recording')" in text


def keys_known(dask_scheduler):
    return list(dask_scheduler.tasks)


def test_workers_that_died_are_named():
    with own_cluster(n_workers=1) as client, dbgkit.record(dashboard=True):
        future = client.submit(os._exit, 3, key="dies-1")
        wait(future)
        text = wait_until(
            lambda: "ended with exit status 3" in (text := shown(client)) and text,
            "the nanny has reported it",
        )
        assert "dies-1" in text and "KilledWorker" in text
        assert "Dask gave up after 4 workers died while assigned to it" in text


def test_where_all_is_well_that_is_said(inproc_client):
    inproc_client.run_on_scheduler(clear_history)
    with dbgkit.record(dashboard=True):
        text = shown(inproc_client)
    assert "Nothing that the scheduler knows of is blocked." in text
    assert "No task has failed." in text


# -- what it costs -------------------------------------------------------------------


def test_it_is_made_once_however_many_look(inproc_client):
    def count(dask_scheduler, name):
        plugin, made = dask_scheduler.plugins[name], []
        make = plugin._made

        async def counted():
            made.append(1)
            await asyncio.sleep(0.2)
            return await make()

        plugin._made, plugin._due = counted, 0.0
        plugin.counted = made

    def made(dask_scheduler, name):
        return len(dask_scheduler.plugins[name].counted)

    name = page_name(recorder_name())
    with dbgkit.record(dashboard=True), ThreadPoolExecutor(20) as pool:
        inproc_client.run_on_scheduler(count, name=name)
        answers = list(pool.map(lambda _: read(link(inproc_client))[0], range(40)))
        assert answers == [200] * 40
        assert inproc_client.run_on_scheduler(made, name=name) == 1


def test_it_answers_get_only(inproc_client):
    with dbgkit.record(dashboard=True):
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert read(link(inproc_client), method)[0] == 405


def test_a_page_that_cannot_be_made_is_an_error_and_tells_nothing(inproc_client):
    def breaks(dask_scheduler, name):
        async def broken():
            raise ValueError(SECRET)

        plugin = dask_scheduler.plugins[name]
        plugin._made, plugin._due = broken, 0.0

    with dbgkit.record(dashboard=True):
        inproc_client.run_on_scheduler(breaks, name=page_name(recorder_name()))
        status, headers, text = read(link(inproc_client))
    assert status == 500 and SECRET not in text
    assert headers["Cache-Control"] == "no-store"


# -- who leads there -----------------------------------------------------------------


def test_doctor_failures_and_report_lead_there(failed):
    report = dbgkit.report(client=failed)
    for found in (report.failures, report.checkup, dbgkit.doctor(client=failed)):
        assert found.page == link(failed)
        assert found.to_json()["page"] == link(failed)
        assert link(failed) in render.to_text(found)
        assert f'<a href="{link(failed)}"' in render.to_html(found)
    assert f'<a href="{link(failed)}"' in render.document(report)


def test_nothing_leads_to_a_page_that_is_not_there(inproc_client):
    assert dbgkit.failures().page == dbgkit.doctor().page == ""
    assert ">live<" not in render.to_html(dbgkit.failures())


def test_a_link_goes_the_way_of_dasks_own(inproc_client):
    proxied = "https://hub.example/user/ann/proxy/{port}/status"
    with (
        dask.config.set({"distributed.dashboard.link": proxied}),
        dbgkit.record(dashboard=True) as recorder,
    ):
        assert dbgkit.failures().page == recorder.page == link(inproc_client)
        assert recorder.page.startswith("https://hub.example/user/ann/proxy/")
    assert beside("https://hub/x/status", "/pre/dbgkit") == "https://hub/x/pre/dbgkit"
    assert beside("https://hub/pre/status", "/pre/dbgkit") == "https://hub/pre/dbgkit"
    assert (
        beside("https://hub/clusters/7/", "/dbgkit") == "https://hub/clusters/7/dbgkit"
    )


def test_a_link_that_needs_a_variable_that_is_not_set_is_left_out(inproc_client):
    with (
        dbgkit.record(dashboard=True),
        dask.config.set({"distributed.dashboard.link": "{NOT_SET}/{port}/status"}),
        Client(inproc_client.scheduler.address) as client,
    ):
        assert dbgkit.failures(client=client).page == ""


def test_the_command_line_turns_it_on(processes, capsys):
    address = processes.scheduler_address
    with Client(processes) as client:
        done = in_process(capsys, "record", "on", "--dashboard", "--scheduler", address)
        assert (done.code, read(link(client))[0]) == (0, 200)
        assert link(client) in done.out
        found = in_process(capsys, "failures", "--json", "--scheduler", address)
        assert json.loads(found.out)["page"] == link(client)
        in_process(capsys, "record", "off", "--scheduler", address)
        assert read(link(client))[0] == 404


# -- in a browser --------------------------------------------------------------------


def browse(url, tmp_path, *options):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--enable-logging=stderr", "--v=0",
        f"--user-data-dir={tmp_path / 'profile'}", *options, url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8"), done.stderr.decode("utf-8", "replace")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_it_follows_by_itself_and_says_when_it_has_gone(tmp_path):
    pages = ["first", "second"]

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            left = self.path == "/dbgkit" and pages
            self.send_response(200 if left else 404)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            if left:
                self.wfile.write(page("t", tag("p", pages.pop(0))).encode())

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/dbgkit"
        dom, log = browse(url, tmp_path, "--virtual-time-budget=20000", "--dump-dom")
        server.shutdown()
    assert "<p>second</p>" in dom and "first" not in dom
    assert "The recorder is off: this page has gone." in dom
    assert "Content Security Policy" not in log


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_is_dark_where_that_is_preferred(failed, tmp_path, width):
    pictures = []
    for scheme in (1, 0):
        shot = tmp_path / f"{scheme}.png"
        _, log = browse(
            link(failed),
            tmp_path,
            f"--screenshot={shot}",
            f"--window-size={width},900",
            f"--blink-settings=preferredColorScheme={scheme}",
        )
        assert "Content Security Policy" not in log
        pictures.append(shot.read_bytes())
    assert pictures[0] != pictures[1]
