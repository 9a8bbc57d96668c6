"""Loading and unloading the extension, in a shell of each test's own."""

from __future__ import annotations

import inspect

import pytest
from distributed import Client, wait
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import MagicsManager
from shells import complete, shell_of_its_own

import dbgkit
from dbgkit.frontends.ipython import magics
from dbgkit.frontends.ipython.base import call


@pytest.fixture
def shell(tmp_path):
    with shell_of_its_own(tmp_path) as shell:
        yield shell


@pytest.fixture(scope="module")
def client():
    with Client(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as client:
        yield client


def state(shell):
    """All that an extension could leave behind."""
    completers = shell.strdispatchers["complete_command"]
    return {
        "line": dict(shell.magics_manager.magics["line"]),
        "cell": dict(shell.magics_manager.magics["cell"]),
        "registry": dict(shell.magics_manager.registry),
        "callbacks": {
            name: list(callbacks) for name, callbacks in shell.events.callbacks.items()
        },
        "completers": set(completers.strs),
        "regexs": dict(completers.regexs),
        "attributes": set(vars(shell)),
        "matchers": list(shell.Completer.matchers),
        "printers": set(shell.display_formatter.mimebundle_formatter.type_printers),
        "names": set(shell.user_ns),
    }


def test_unloading_leaves_no_trace(shell):
    before = state(shell)
    shell.extension_manager.load_extension("dbgkit")
    assert state(shell) != before
    shell.extension_manager.unload_extension("dbgkit")
    assert state(shell) == before


def test_loading_twice_installs_once(shell):
    dbgkit.load_ipython_extension(shell)
    once = state(shell)
    dbgkit.load_ipython_extension(shell)
    again = state(shell)
    assert len(again["callbacks"]["post_run_cell"]) == len(
        once["callbacks"]["post_run_cell"]
    )
    dbgkit.unload_ipython_extension(shell)


def test_unloading_what_was_not_loaded_is_no_error(shell):
    before = state(shell)
    dbgkit.unload_ipython_extension(shell)
    assert state(shell) == before


def test_importing_the_front_end_hooks_nothing(shell):
    before = state(shell)
    inspect.getmodule(magics.DbgMagics)
    assert state(shell) == before


def boom(x):
    raise ValueError(x)


def test_completes_keys_of_failed_futures_and_variables(shell, client):
    dbgkit.load_ipython_extension(shell)
    held = [
        client.submit(boom, 1, key="boom-1"),
        client.submit(boom, 2, key=("boom-t", 2)),
        client.submit(abs, 3, key="boom-not"),
    ]
    wait(held)
    shell.user_ns.update(boomed=held, bothered=5)
    offered = complete(shell, "%dbg bo")
    assert {"boom-1", "boomed"} <= set(offered)
    assert not {"boom-not", "bothered"} & set(offered)
    assert "boom-1" in complete(shell, "%dbg_replay boom-")
    assert "boomed" in complete(shell, "dbg boome")
    assert "('boom-t', 2)" in complete(shell, "%dbg ('boom-t")
    dbgkit.unload_ipython_extension(shell)


def test_completes_options(shell):
    dbgkit.load_ipython_extension(shell)
    assert "--no-prompt" in complete(shell, "%dbg --no-p")
    assert "--dry-run" in complete(shell, "%dbg_replay x --dr")
    dbgkit.unload_ipython_extension(shell)


def test_completing_asks_the_cluster_nothing(shell, client, monkeypatch):
    dbgkit.load_ipython_extension(shell)
    monkeypatch.setattr(client, "scheduler", None)
    monkeypatch.setattr(client, "sync", None)
    complete(shell, "%dbg ")
    dbgkit.unload_ipython_extension(shell)


def test_an_asynchronous_client_is_told_to_await(shell):
    async def answer():
        return None

    with pytest.raises(UsageError, match=r"await dbgkit\.answer\(target\)"):
        call(_named(answer), None)


def _named(function):
    def verb(target):
        return function()

    verb.__name__ = function.__name__
    return verb


def test_contract_ipython_keeps_magics_in_tables_that_can_be_edited(shell):
    # Used by `magics._unregister_magics`.
    assert isinstance(shell.magics_manager, MagicsManager)
    assert {"line", "cell"} <= set(shell.magics_manager.magics)
    assert "UserMagics" in shell.magics_manager.registry


def test_contract_an_exception_may_say_how_it_is_shown():
    # Used by `magics._in_one_line`.
    assert "_render_traceback_" in InteractiveShell.showtraceback.__code__.co_consts
