"""The magics of IPython and Jupyter."""
