"""Thin ways in: parse, call one verb, show. They never import each other."""
