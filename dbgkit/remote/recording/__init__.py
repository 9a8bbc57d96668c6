"""A failure as it is recorded: frames, locals, texts."""
