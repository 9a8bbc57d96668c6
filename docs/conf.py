"""How Sphinx builds the documentation: ``sphinx-build -W -n docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path

import dbgkit

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "dbgkit"
author = "the dbgkit developers"
copyright = author
release = version = dbgkit.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "from_code",
]
smartquotes = False  # keys are shown as they are typed
exclude_patterns = ["_build", "jupyter_execute", "reference/_*"]
root_doc = "index"
nitpicky = True
# In docstrings a name in single backticks is a link where it is one of ours, and else
# an attribute or an argument, which has no target.
default_role = "autolink"
nitpick_ignore_regex = [("py:obj", r"[a-z_]+|Recording|pandas\.DataFrame")]

autodoc_typehints = "none"
autodoc_class_signature = "separated"  # data is not made by hand
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_validation_checks = set()
numpydoc_xref_param_type = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# The notebooks of examples/, run afresh in each build: what they show is real.
nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True

html_theme = "furo"
html_title = "dbgkit"
html_static_path = ["_static"]
html_css_files = ["dbgkit.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "default"
pygments_dark_style = "github-dark"
copybutton_prompt_text = r">>> |\.\.\. |\$ |In \[\d*\]: "
copybutton_prompt_is_regexp = True
