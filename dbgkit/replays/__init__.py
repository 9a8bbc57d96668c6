"""From a failure to a replay: inputs, the call, ancestors, a separate process."""
