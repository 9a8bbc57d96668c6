"""From a failure to a replay: inputs, the call, ancestors, a process of its own."""
