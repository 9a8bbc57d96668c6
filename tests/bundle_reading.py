"""Reads the calls that `bundle_forms` wrote, in a process of its own.

``python bundle_reading.py FOLDER`` prints a line of JSON: for each how it fails.
"""

from __future__ import annotations

import json
import sys
import traceback
import zipfile
from pathlib import Path


def how_it_fails(function, args, kwargs):
    try:
        function(*args, **kwargs)
    except Exception as error:
        found = traceback.extract_tb(error.__traceback__)[-1]
        return [type(error).__name__, str(error), found.line, found.lineno]
    return ["passed"]


def main(folder):
    from dbgkit.bundles.calls import read_call

    found = {}
    for path in sorted(Path(folder).glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            try:
                call = read_call(archive.open, 10_000_000)
            except Exception as error:
                found[path.stem] = [f"unreadable: {error!r} {error.__cause__!r}"]
                continue
        found[path.stem] = how_it_fails(*call)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
