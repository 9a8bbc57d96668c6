"""Interprets what a cluster reports."""
