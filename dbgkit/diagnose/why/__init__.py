"""Why tasks do not move: from facts to causes, and causes in words."""
