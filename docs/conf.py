"""Sphinx configuration: hand-written pages, executed tutorials, and an API reference made from docstrings."""

import re
import typing
from importlib.metadata import version as installed_version

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# Before its import: jaxtyping then shows a shape as it is written, Float[Tensor, "batch channels *space"].
typing.GENERATING_DOCUMENTATION = "vaegan"  # type: ignore[attr-defined]

project = "vaegan"
author = "The vaegan developers"
project_copyright = author
version = release = installed_version("vaegan")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "jupyter_execute", "**/.ipynb_checkpoints"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"vaegan {release}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_extra_path = ["examples"]
html_css_files = ["pages.css"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 1800  # a busy machine takes ten times as long as a quiet one
nb_execution_show_tb = True
nb_merge_streams = True

autosummary_generate = True
autosummary_ignore_module_all = True
# Each name is described once, where it is defined, and not again where a package offers it.
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Attributes of dataclasses are also members: as fields of the class they are not described twice.
napoleon_use_ivar = True
napoleon_attr_annotations = False

LITERAL = re.compile(r"(``.*?``|`[^`]*`)")


def escape_shapes(app, what, name, obj, options, lines):
    """Shapes such as (n, channels, *space) and norms such as |x| are text, not reStructuredText's markup."""
    for number, line in enumerate(lines):
        parts = LITERAL.split(line)
        parts[::2] = [re.sub(r"(?<![\w*\\])\*(?=[a-z]\w*(?![\w*]))|(?<!\\)\|", r"\\\g<0>", part) for part in parts[::2]]
        lines[number] = "".join(parts)


def write_math(self, node):
    """Equations as MathML: browsers draw them without a script from elsewhere, so the pages can be read offline."""
    block = isinstance(node, nodes.math_block)
    equation = tex2mathml(node.astext(), as_block=block)
    self.body.append(f'<div class="math">{equation}</div>' if block else equation)
    raise nodes.SkipNode


def setup(app):
    """The page's own markup: before napoleon, which has the priority 500 and writes markup of its own; and equations."""
    app.connect("autodoc-process-docstring", escape_shapes, priority=400)
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
