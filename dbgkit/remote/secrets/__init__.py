"""What looks like a secret is hidden: by its name, by its shape, by its place."""
