"""Bundles written by hand, good ones and hostile ones."""

from __future__ import annotations

import base64
import copy
import hashlib
import importlib.util
import io
import json
import sys
import zipfile

FILE = "/home/ann/job.py"
SOURCE = "import os\n\n\ndef ratio(x):\n    y = x - 1\n    return 1 / y\n"
HEADER = {
    "key": ["ratio", 3],
    "exception_type": "ZeroDivisionError",
    "message": "division by zero",
    "worker": "tcp://10.0.0.7:40001",
    "pid": 7,
    "when": 1.7e9,
    "left_out": 0,
    "gap": "",
}


def local(name, text, kind="int"):
    return [name, {"type": kind, "text": text, "cut": False, "hidden": False}]


def frame(filename=FILE, lineno=6, function="ratio", source=None, **more):
    if source is None:
        lines = SOURCE.splitlines()
        source = [[n, lines[n - 1]] for n in range(4, 7)]
    return {
        "filename": filename,
        "lineno": lineno,
        "function": function,
        "source": source,
        "locals": [local("x", "1"), local("y", "0")],
        "own": True,
        "omitted_locals": 0,
        **more,
    }


def content(**more):
    return {
        "format": 3,
        "kind": "a kind",
        "exception_type": "ZeroDivisionError",
        "message": "division by zero",
        "traceback_text": f'  File "{FILE}", line 6, in ratio\n    return 1 / y',
        "frames": [frame()],
        "kept": [[0, "x", 1], [0, "y", 0]],
        "causes": [],
        "more_causes": 0,
        "inputs": [["load-1", "list", "abc", True]],
        "came_from": [],
        "short": False,
        "secret_names": [],
        "when": 1.7e9,
        "seconds": 0.01,
        **more,
    }


def cause(**more):
    return {
        "how": "cause",
        "parent": -1,
        "exception_type": "KeyError",
        "message": "'x'",
        "frames": [frame()],
        "kept": [],
        **more,
    }


def manifest(**more):
    return {
        "format": 1,
        "dbgkit": "0.1.0",
        "saved": "2026-11-27T10:00:00+00:00",
        "python": "{}.{}.{}".format(*sys.version_info[:3]),
        "magic": importlib.util.MAGIC_NUMBER.hex(),
        "implementation": sys.implementation.name,
        "failure": failure(),
        "environment": None,
        "sources": [{"file": FILE, "entry": "sources/0.txt"}],
        "call": None,
        "notes": [],
        **more,
    }


def failure(**more):
    return {
        "key": ["ratio", 3],
        "name": "ratio on partition 3",
        "exception_type": "ZeroDivisionError",
        "message": "division by zero",
        "traceback_text": content()["traceback_text"],
        "worker": HEADER["worker"],
        "when": "2026-11-27T09:59:58+00:00",
        "attempts": 1,
        "killed": False,
        "kind": "task",
        "notes": [],
        "came_from": [{"text": "load(i=3)", "what": "load"}],
        **more,
    }


def call(**more):
    return {
        "function": "ratio",
        "module": "__main__",
        "what": "step",
        "arguments": [],
        "bytecode": False,
        "modules": [],
        "pickle": "pickles/call.pickle",
        **more,
    }


def as_json(value):
    return json.dumps(value, default=_bytes).encode()


def _bytes(value):
    return ["b64", base64.b64encode(value).decode()]


def entries_of(recorded=None, said=None, **more):
    """The entries of a bundle, by name; ``more`` by names with _ for / and ."""
    recording = {"header": HEADER, "content": content(**(recorded or {}))}
    entries = {
        "recording.json": as_json(recording),
        "sources/0.txt": SOURCE.encode(),
        **more,
    }
    told = manifest(**copy.deepcopy(said or {}))
    told.setdefault("entries", listed(entries))
    return {"manifest.json": as_json(told), **entries}


def listed(entries):
    return {
        name: {"nbytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in entries.items()
    }


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def bundle_bytes(recorded=None, said=None, **more):
    return zipped(entries_of(recorded, said, **more))


def write_bundle(path, recorded=None, said=None, **more):
    path.write_bytes(bundle_bytes(recorded, said, **more))
    return path
