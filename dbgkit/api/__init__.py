"""The verbs, one a file: from a target to a failure, a replay, a prompt, a table.

Each takes any target first and options by keyword. They return data; `debug` opens
the debugger too. With an asynchronous client, in its own event loop, each returns an
awaitable, as Dask's own methods do.
"""
