"""How Sphinx builds the documentation: ``sphinx-build -W -b html doc doc/_build/html``, see developing.md."""

import inspect
import os
import re
from pathlib import Path

from docutils import nodes
from sphinx.ext.autosummary import AutoLink
from sphinx.util import logging

# Read when OpenMP is loaded: examples run many small loops, whose threads had better sleep than spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import sksparsenn

ROOT = Path(__file__).parent.parent

project = "sksparsenn"
author = "The sksparsenn developers"
copyright = author
version = release = sksparsenn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "auto_examples/*.md5", "generated/backreferences"]
templates_path = ["_templates"]
nitpicky = True
default_role = "link-or-code"
# Documented elsewhere; there is no intersphinx, so that building needs no network.
nitpick_ignore_regex = [("py:.*", r"(matplotlib|sklearn)\..*"), ("py:obj", "set_output")]

# Formulas stand in plain text, quotes in docstrings are those of parameters.
highlight_language = "none"
smartquotes = False

# -- pages ----------------------------------------------------------------------------------

myst_heading_anchors = 3


def close_code(app, name, source):
    """Drop the empty line that ends the last output of a doctest in the sources of pages."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")


# -- API reference --------------------------------------------------------------------------

autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
# A template lists the methods, see _templates/autosummary/class.rst.
numpydoc_show_class_members = False


class LinkOrCode(AutoLink):
    """The role of `fit` in a docstring: a link if there is something of that name to link to, else code."""

    def run(self):
        found, messages = super().run()
        if isinstance(found[0], nodes.emphasis):
            found = [nodes.literal(self.rawtext, self.text)]
        return found, messages


def skip_members_of_others(app, what, name, member, skip, options):
    """Leave out what comes from elsewhere: scikit-learn documents its own, with links that lead nowhere here."""
    if name == "__init__":
        return True
    if getattr(member, "__objclass__", None) is tuple:  # `count` and `index` of named tuples
        return True
    function = inspect.unwrap(getattr(member, "__func__", member))
    module = getattr(function, "__module__", None)
    if module is not None and not module.startswith("sksparsenn"):
        return True
    return None


def escape_shapes(app, what, name, member, options, lines):
    """Names of fitted attributes, as in the shape (n_iter_,), are no hyperlinks, in spite of their underscore."""
    lines[:] = [re.sub(r"(?<![`\w])(\w+)_(?=[,)]| \*|$)", r"\1\_", line) for line in lines]


# -- names of files and tests ---------------------------------------------------------------

# In the text as in drawings; a star before the name stands for several files, which are not looked for.
FILE = re.compile(r"(?<![\w/*.])[\w/]+\.(?:pyx|pxd|py|csv|c|h|md)\b")
FOLDER = re.compile(r"(?<![\w/*.])[A-Za-z_]\w*(?:/\w+)*/(?![\w*])")


def check_names(app):
    """Warn of tests, files and folders that papers.md, developing.md and promises.md name and that do not exist."""
    logger = logging.getLogger(__name__)
    for page in ("papers.md", "developing.md", "promises.md"):
        text = (ROOT / "doc" / page).read_text(encoding="utf-8")
        for module, test in re.findall(r"`(test_\w+)(?:::(\w+))?`", text):
            file = ROOT / "tests" / f"{module}.py"
            if not file.exists() or (f"def {test}(" if test else "") not in file.read_text(encoding="utf-8"):
                logger.warning("%s names the test %s::%s, which does not exist", page, module, test)
        for name in FILE.findall(text) + FOLDER.findall(text):
            if not any((ROOT / folder / name).exists() for folder in ("", "sksparsenn", "doc")):
                logger.warning("%s names %s, which does not exist in the sources or below sksparsenn/", page, name)


# -- examples -------------------------------------------------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "doc_module": ("sksparsenn",),
    "backreferences_dir": "generated/backreferences",
    "reference_url": {"sksparsenn": None},
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "reset_modules": ("matplotlib",),
    "within_subsection_order": "ExampleTitleSortKey",
    "min_reported_time": 1,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": False,
}

# -- looks ----------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "sksparsenn"
html_static_path = ["_static"]
html_css_files = ["sksparsenn.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "footer_start": [],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"install": [], "tutorial": [], "papers": [], "developing": [], "changelog": []}


def setup(app):
    app.add_role("link-or-code", LinkOrCode())
    app.connect("source-read", close_code)
    app.connect("autodoc-skip-member", skip_members_of_others)
    app.connect("autodoc-process-docstring", escape_shapes, priority=100)
    app.connect("builder-inited", check_names)
