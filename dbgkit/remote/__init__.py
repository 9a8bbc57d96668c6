"""Code that runs inside schedulers, workers and children; imports only itself."""
