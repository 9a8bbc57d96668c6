"""What runs inside the scheduler."""
