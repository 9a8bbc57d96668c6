"""A failure as a file or as a test, and back."""
