"""Tasks of ``lightgbm.dask``: each is given the addresses of all the others.

A training reserves a port on each worker, and the socket that holds it is an input of
the task that trains there. A socket cannot be moved to another process, and the others
no longer listen: the task is given neither, and trains by itself.
"""

from __future__ import annotations

from typing import Any

from dbgkit.remote.common.calls import module_of, name_of_function
from dbgkit.replays.material import Material, Row

_MODULE, _FUNCTION = "lightgbm.dask", "_train_part"


def is_train_part(node: Any) -> bool:
    """Whether a task is one worker's part of a training.

    ``lightgbm.dask._train_part``, which takes ``machines``, ``num_machines``,
    ``local_listen_port`` and, since 4.6, ``remote_socket`` by name.
    """
    function = getattr(node, "func", None)
    return name_of_function(function) == _FUNCTION and module_of(function) == _MODULE


def may_train(row: Row) -> bool:
    """Whether a task may be such a part; reads nothing."""
    if row.spec is None:
        return row.node is not None and is_train_part(row.node)
    return _MODULE.encode() in row.spec and _FUNCTION.encode() in row.spec


def train_alone(material: Material) -> set[Any]:
    """Have each such part train by itself, without its socket; returns their keys."""
    from dask._task_spec import Task

    found = set()
    for row in material.rows.values():
        node: Any = row.as_node() if may_train(row) else None
        if type(node) is not Task or not is_train_part(node):
            continue
        alone = {
            "machines": f"127.0.0.1:{node.kwargs.get('local_listen_port')}",
            "num_machines": 1,
            "remote_socket": None,
        }
        kwargs = {name: alone.get(name, value) for name, value in node.kwargs.items()}
        row.replace(Task(node.key, node.func, *node.args, **kwargs))
        found.add(row.key)
    return found
