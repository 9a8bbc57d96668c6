"""What the screen relies on of Dask and rich that neither documents."""

from __future__ import annotations

import inspect
import logging

import pytest
import tasks
from distributed import (
    client,
    scheduler,
    stealing,
    wait,
    worker,
    worker_state_machine,
)
from distributed.http.routing import RoutingApplication
from rich.syntax import Syntax
from tornado.web import Application

from dbgkit.frontends.cli.held import _BEGINS, _LOGGER
from dbgkit.remote.common.log_records import logged_failure
from dbgkit.remote.scheduler.story_words import _SET_OFF_BY, set_off_by


def test_a_worker_logs_a_failure_with_key_state_task_and_texts(inproc_client):
    records: list[logging.LogRecord] = []

    class Keeps(logging.Handler):
        def emit(self, record):
            records.append(record)

    handler = Keeps()
    logging.getLogger(_LOGGER).addHandler(handler)
    try:
        wait(inproc_client.submit(tasks.boom, 1, key=("odd\nkey", 2)))
    finally:
        logging.getLogger(_LOGGER).removeHandler(handler)
    (record,) = (each for each in records if str(each.msg).startswith(_BEGINS))
    key, state, _, raised, traceback = record.args
    assert (key, state) == (("odd\nkey", 2), "executing")
    assert raised == "ValueError('cannot take 1')" and ", in boom" in traceback
    found = logged_failure(record.getMessage())
    assert found.exception == repr(raised)
    assert found.traceback.strip() == repr(traceback)


def test_stimuli_are_called_what_we_call_them():
    parts = (scheduler, worker, worker_state_machine, stealing, client)
    text = "\n".join(map(inspect.getsource, parts))
    unknown = [name for name in _SET_OFF_BY if f'"{name}-' not in text]
    assert not unknown


@pytest.mark.parametrize(
    ("stimulus", "words"),
    [
        ("update-graph-1795792221.7", "a client submitted it"),
        ("client-restart-workers-1.5", "a client restarted workers"),
        ("client-restart-1.5", "a client restarted the cluster"),
        ("task-erred-1.5", ""),
        ("steal", ""),
        (7, ""),
    ],
)
def test_a_stimulus_is_said_in_words(stimulus, words):
    assert set_off_by(stimulus) == words


def test_a_scheduler_lists_its_applications_and_has_a_port(inproc_client):
    def look(dask_scheduler):
        served = dask_scheduler.services["dashboard"]
        return dask_scheduler.http_application.applications, served.port

    assert RoutingApplication().applications == []
    added, port = inproc_client.run_on_scheduler(look)
    assert isinstance(added, list) and isinstance(port, int)
    routing = RoutingApplication()
    routing.add_application(application := Application())
    assert routing.applications == [application]


def test_rich_brings_a_lexer_of_python_along():
    kinds = [
        str(kind) for kind, _ in Syntax("", "python").lexer.get_tokens("def f(): 1")
    ]
    assert "Token.Keyword" in kinds and "Token.Name.Function" in kinds
