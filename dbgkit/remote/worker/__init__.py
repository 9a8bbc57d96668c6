"""What runs inside workers."""
