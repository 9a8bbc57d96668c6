"""Why tasks make no progress: causes from facts, and their wording."""
