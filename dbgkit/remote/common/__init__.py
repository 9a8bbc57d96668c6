"""What all sides of a cluster share: texts, keys, code, frames."""
