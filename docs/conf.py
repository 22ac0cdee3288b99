"""The documentation site, made by Sphinx: `make docs`. No page of it fetches anything from elsewhere."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "specviz"
author = "The specviz authors"
release = importlib.metadata.version("specviz-lab")
extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb", "generated"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
default_role = "py:obj"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_ipywidgets_js = {}
"""Empty: otherwise a page with a widget's state loads scripts from a content network."""

autodoc_member_order = "bysource"
autodoc_type_aliases = {"Count": "int", "TokenId": "int", "Seconds": "float", "Probability": "float", "Event": "Event"}
numpydoc_show_class_members = False
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"specviz {release}"
html_copy_source = False
html_show_search_summary = False
"""It would be fetched, which a browser refuses to a page from disk."""
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072B2", "color-brand-content": "#0072B2"},
    "dark_css_variables": {"color-brand-primary": "#56B4E9", "color-brand-content": "#56B4E9"},
}
