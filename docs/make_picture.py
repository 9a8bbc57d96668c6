"""Make the pictures of a session in the README, from what a real session prints.

``python docs/make_picture.py`` runs IPython at a pseudo-terminal, types what is in
`TYPED`, and draws what comes back: ``docs/images/session-light.svg`` and ``-dark.svg``.
What differs from one run to the next (the time, ports, how long it took) is replaced
by something of the same form, so that the pictures change only where the output does.
It needs the ``test`` extra.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pexpect
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

IMAGES = Path(__file__).parent / "images"
COLUMNS = 80

JOB = """\
from dask import delayed


@delayed
def ratio(a, b):
    return a / b


pairs = [(5, 5), (25, 0), (30, 6)]
ratios = [ratio(a, b, dask_key_name=f"ratio-{a}") for a, b in pairs]
total = delayed(sum)(ratios)
"""

# Run before the first prompt: a cluster, with no lines of its own in the session.
CLUSTER = (
    "from distributed import Client; "
    "client = Client(n_workers=2, dashboard_address=':0', silence_logs='CRITICAL')"
)

IN, DEBUGGER = r"In \[\d+\]: ", r"ipdb> "
TYPED = [
    (IN, "%load_ext dbgkit"),
    (IN, "from job import total"),
    (IN, "total.compute()"),
    (IN, "%dbg"),
    (DEBUGGER, "p a, b"),
    (DEBUGGER, "q"),
]

# What differs from one run to the next.
STEADY = [
    (r"127\.0\.0\.1:\d+", "127.0.0.1:40123"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "2026-01-07 09:30:00 UTC"),
    (r"\(\d+ ms\)", "(0 ms)"),
]
NO_STYLE = re.compile(r"\x1b\[\?\d+[hl]|\x1b\[\d*[A-HJKSTf]|\r")

# Fonts that machines have; none is fetched.
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>A failed Dask job is opened in the debugger, from IPython</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
    "Liberation Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})"
 clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""

BRIGHT = [
    (118, 118, 118),
    (185, 28, 28),
    (21, 128, 61),
    (161, 98, 7),
    (29, 78, 216),
    (126, 34, 206),
    (14, 116, 144),
    (31, 35, 40),
]
DARK = [
    (139, 148, 158),
    (255, 123, 114),
    (126, 231, 135),
    (227, 179, 65),
    (121, 192, 255),
    (210, 168, 255),
    (118, 227, 234),
    (240, 246, 252),
]
THEMES = {
    "light": TerminalTheme((255, 255, 255), (31, 35, 40), BRIGHT, BRIGHT),
    "dark": TerminalTheme((22, 27, 34), (230, 237, 243), DARK, DARK),
}
# IPython's own, of the code that it shows.
COLOURS = {"light": "LightBG", "dark": "Linux"}


def session(folder: Path, colours: str) -> str:
    """Type the commands, and return all that is on the terminal afterwards."""
    (folder / "job.py").write_text(JOB)
    options = [
        "--simple-prompt",
        "--no-banner",
        "--no-confirm-exit",
        "--no-term-title",
        f"--colors={colours}",
        "--TerminalInteractiveShell.xmode=Minimal",
        f"--InteractiveShellApp.exec_lines={CLUSTER}",
    ]
    environment = {
        **os.environ,
        "IPYTHONDIR": str(folder / ".ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TERM": "xterm-256color",
        "INPUTRC": os.devnull,
    }
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    shell = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", *options],
        cwd=str(folder),
        env=environment,
        dimensions=(60, COLUMNS),
        encoding="utf-8",
        timeout=120,
    )
    said = ""
    for prompt, line in TYPED:
        shell.expect(prompt)
        said += shell.before + shell.after
        shell.sendline(line)
    shell.expect(IN)
    said += shell.before
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
    return said


def steady(said: str, folder: Path) -> str:
    """The text as it would be in any other run, wherever it ran."""
    said = NO_STYLE.sub("", said).replace(f"{folder}{os.sep}", "~/")
    for pattern, instead in STEADY:
        said = re.sub(pattern, instead, said)
    said = re.sub(r"[ \t]+$", "", said, flags=re.M)
    return re.sub(r"\n{2,}(?=In \[)", "\n\n", said).strip() + "\n"


def draw(said: str, theme: TerminalTheme, name: str) -> str:
    """The picture of a terminal with this text."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(said), soft_wrap=False)
    picture = console.export_svg(
        title="IPython", theme=theme, code_format=FORMAT, unique_id=f"dbgkit-{name}"
    )
    return picture.replace('stroke="rgba(255,255,255,0.35)"', 'stroke="#8b949e"')


def main() -> None:
    for name, theme in THEMES.items():
        with TemporaryDirectory() as path:
            folder = Path(path).resolve()
            said = steady(session(folder, COLOURS[name]), folder)
        picture = draw(said, theme, name)
        assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
        (IMAGES / f"session-{name}.svg").write_text(picture, "utf-8")
    print(Text.from_ansi(said).plain)


if __name__ == "__main__":
    main()
