"""A failure as it is recorded: frames, locals, what it says."""
