"""What runs inside nannies."""
