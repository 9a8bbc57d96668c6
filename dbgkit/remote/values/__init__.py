"""Values in a bounded text, as they are, or as a fingerprint."""
