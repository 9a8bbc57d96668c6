"""Measure all figures and print them: ``python tests/bench/run.py [--quick] [NAME…]``.

The exit code is 1 if one of them is over its bar.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

NAMES = (
    *("small", "large", "ancestors", "forgotten", "import", "view", "why"),
    "report",
    "start",
    "recorder",
    "redaction",
    "inner",
    "source",
    "reach",
    "on_off",
    "peek",
    "live",
    "break_at",
    "held",
    "save",
    "to_test",
    "shrink",
)


def main(arguments: list[str]) -> int:
    from importlib import import_module

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    quick = "--quick" in arguments
    names = [name for name in arguments if name != "--quick"] or list(NAMES)
    if unknown := set(names) - set(NAMES):
        print(f"no such figures: {', '.join(sorted(unknown))}; of {', '.join(NAMES)}")
        return 2
    table = Table("figure", "measured", "bar", "ok", "made of")
    good = True
    for name in names:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        for figure in import_module(f"bench_{name}").measure(quick):
            good = good and figure.within()
            ok = "" if figure.bar is None else "yes" if figure.within() else "NO"
            sign = "= " if figure.exact else "≤ "
            value = f"{figure.value:.3g} {figure.unit}".strip()
            # The whole takes minutes: what is known is told, should it be stopped.
            print(f"  {figure.name}: {value} {ok}", file=sys.stderr, flush=True)
            table.add_row(
                Text(figure.name),
                value,
                "" if figure.bar is None else f"{sign}{figure.bar:.3g} {figure.unit}",
                Text(ok, "green" if ok == "yes" else "bold red"),
                Text(figure.detail, "dim"),
            )
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
