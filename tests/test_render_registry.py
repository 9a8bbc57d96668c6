"""Each type that shows itself has one renderer, and every form of it works."""

from __future__ import annotations

import importlib
import io
import pkgutil
from dataclasses import dataclass, replace
from types import MappingProxyType

import pytest
from rich.console import Console
from test_import import run
from test_render import a_failure, a_plan, a_replay
from test_render_states import SPAN, WHEN, a_graph, everything, parsed

import dbgkit
from dbgkit import render
from dbgkit.model import (
    Bundle,
    BundledInput,
    Culprit,
    Death,
    Deaths,
    Displayed,
    Explanation,
    FailureReport,
    Glance,
    Passed,
    Recording,
    Recordings,
    RunningTask,
    Shrunk,
    Stop,
    Stops,
)
from dbgkit.render import style
from dbgkit.render.registry import RENDERERS, renderer_of


def displayed(base=Displayed):
    """All of our classes that show themselves."""
    for package in ("model", "replays", "targets", "diagnose"):
        home = importlib.import_module(f"dbgkit.{package}")
        for found in pkgutil.walk_packages(home.__path__, f"{home.__name__}."):
            importlib.import_module(found.name)
    for kind in base.__subclasses__():
        if kind.__module__.startswith(f"{dbgkit.__name__}."):
            yield kind
            yield from displayed(kind)


def examples():
    """One object of each type that has a renderer."""
    death = Death(
        "tcp://10.0.0.7:1", "w", "h", 3, "", WHEN, "exit", "it ended",
        ran=(RunningTask("k-1", line="job.py:3 in work"),), stack="Fatal",
    )  # fmt: skip
    recording = Recording("k-1", "k", "KeyError", "'x'", "tcp://10.0.0.7:1", 3, WHEN)
    failures = FailureReport((), 0, 0)
    a_stop = Stop("k-1", "k", "tcp://10.0.0.7:1", "job.py:3 in work", "", WHEN, WHEN)
    return [
        a_failure(),
        a_plan(),
        a_replay(),
        a_graph(),
        Bundle(
            *("failure.dbgkit", a_failure(), recording, False, WHEN, "0.1", "3.11.7"),
            "ratio",
            (BundledInput("x", "int", "3", "pickle", 0),),
            {},
        ),
        Shrunk("one", a_failure(), a_failure(), (Culprit("x-1", "row", 7),), runs=3),
        recording,
        Recordings((recording, replace(recording, gap="it was too long")), since=WHEN),
        a_stop,
        Stops((a_stop,), (Passed("k", "enough", "job.py:3 in work", 2, "k-2"),)),
        death,
        Deaths((death,), 1),
        Glance("tcp://x:1", SPAN, 0.1, failures, Explanation("finished", "all done")),
        *everything("k-1").values(),
    ]


def name_of(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def test_each_class_that_shows_itself_has_a_renderer():
    kinds = set(map(name_of, displayed()))
    assert len(kinds) >= 15
    assert kinds <= set(RENDERERS)


def test_each_renderer_is_of_a_class_that_exists():
    for name in RENDERERS:
        module, _, kind = name.rpartition(".")
        assert name_of(getattr(importlib.import_module(module), kind)) == name


@pytest.mark.parametrize("obj", examples(), ids=lambda obj: type(obj).__name__)
def test_each_form_of_each_type(obj):
    console = Console(file=io.StringIO(), width=100)
    console.print(render.to_rich(obj))
    assert console.file.getvalue().strip()
    text = render.to_text(obj)
    assert text.strip() and text != f"{obj!r}\n"
    assert len(render.to_text(obj, width=40)) >= len(text.split())
    page = parsed(render.to_html(obj))
    assert page.tags[0] == "div" and "".join(page.texts).strip()


def test_an_example_of_each_renderer():
    assert {name_of(type(obj)) for obj in examples()} == set(RENDERERS)


def test_a_class_without_a_renderer_is_an_error():
    @dataclass(frozen=True)
    class Unknown(Displayed):
        text: str = ""

    render.register()
    for show in (render.to_rich, render.to_text, render.to_html, render.show, str):
        with pytest.raises(TypeError, match=r"no renderer for .*Unknown"):
            show(Unknown())
    with pytest.raises(TypeError, match=r"no renderer for builtins\.int"):
        render.to_text(5)


def test_a_class_that_derives_from_one_is_shown_as_it():
    class Ours(type(a_failure())):
        pass

    failure = a_failure()
    derived = Ours(**{name: getattr(failure, name) for name in vars(failure)})
    assert renderer_of(derived) is renderer_of(failure)
    assert render.to_text(derived) == render.to_text(failure)


def test_importing_it_loads_no_renderer():
    code = (
        "import sys, dbgkit.render, dbgkit.render.saying; "
        "print({'rich', 'jinja2', 'dask', 'distributed'} & set(sys.modules))"
    )
    assert run(code) == "set()"


def test_modules_of_a_script_do_not_stand_in_for_those_that_are_imported(tmp_path):
    for name in ("rich", "html", "linecache", "jinja2"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError(__name__)")
    code = (
        f"import sys, dbgkit.api.debug; sys.path.insert(0, {str(tmp_path)!r}); "
        "from dbgkit import render; from dbgkit.model import Failure; "
        "failure = Failure(key='k', name='k', exception_type='KeyError', message='x'); "
        "render.Notifier(); print(render.to_text(failure), render.to_html(failure)[:4])"
    )
    assert run(code).startswith("KeyError: x\n  task   k\n")


def test_states_have_one_colour_on_consoles_and_pages():
    failures = FailureReport((), 0, 0)
    for state, color in style.STATES.items():
        why = Explanation("finished", "all done")
        summary = MappingProxyType({"load": {state: 1}, "store": {state: 2}})
        shown = render.to_text(
            Glance("tcp://x:1", SPAN, 0.1, failures, why, summary), color=True
        )
        codes = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35}
        assert f"\x1b[{codes.get(color, 2)}m" in shown
        rule = f"dbgkit-state-{state} {{ "
        rule += "opacity" if color == "dim" else f"color: var(--dbgkit-{color})"
        assert rule in render.to_html(everything("k")["tasks"])
