"""The verbs, one a file: from a target to a failure, a replay, a prompt, a table.

Those about a task take any target first; options are by keyword. They return data;
`debug` opens the debugger too, and `watch` a screen. With an asynchronous client, in
its own event loop, each that asks the cluster returns an awaitable, as Dask's own
methods do.
"""
