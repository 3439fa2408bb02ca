"""Sphinx settings of Head Start. Everything a page needs is in the built folder: no other host."""

import os
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import pybtex.plugin

# Each citation asks for the same plugins, and each time pybtex reads what every installed package offers.
pybtex.plugin.find_plugin = cache(pybtex.plugin.find_plugin)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "Head Start"
author = "the Head Start authors"
copyright = f"{datetime.now(tz=UTC):%Y}, {author}"
language = "en"

# Where the repository lives, for "open in Colab / Binder". Empty: the links are left out.
hs_repository = os.environ.get("HS_REPOSITORY", "")
hs_branch = os.environ.get("HS_BRANCH", "main")
# The branch the built book is published on: Colab opens the executed notebooks from there.
hs_pages_branch = os.environ.get("HS_PAGES_BRANCH", "gh-pages")
html_baseurl = os.environ.get("HS_BASEURL", "")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.bibtex",
    "hs_katex",
    "hs_reading",
    "hs_teaching",
    "hs_widgets",
    "hs_frame",
    "hs_colab",
    "hs_pages",
    "hs_graded",
    "hs_numbers",
    "hs_units",
    "hs_speed",
    "hs_lab",
    "hs_reference",
    "hs_terms",
    "hs_search",
    "hs_ebook",
]
root_doc = "index"
exclude_patterns = [
    "reference/interoperation.md",
    "_data",
    "_ebook",
    "_ext",
    "_static",
    "_templates",
    "_build",
    "**.ipynb_checkpoints",
]
templates_path = ["_templates"]
html_static_path = ["_static"]
nitpicky = True
# Types of other libraries, and type variables: the book carries no inventory of other hosts.
nitpick_ignore_regex = [(r"py:.*", r"(?!transferlib).*"), (r"py:class", r"transferlib\..*\.[A-Z]")]

# Notebooks arrive executed; the page keeps what the run wrote.
nb_execution_mode = "off"
nb_mime_priority_overrides = [("html", "text/html", 1), ("epub", "text/html", 1)]
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_number_source_lines = False
nb_render_image_options = {"alt": ""}
myst_enable_extensions = [
    "amsmath",
    "attrs_block",
    "attrs_inline",
    "colon_fence",
    "deflist",
    "dollarmath",
    "fieldlist",
    "smartquotes",
    "substitution",
]
myst_heading_anchors = 3
myst_dmath_double_inline = True
suppress_warnings = ["myst.nb.lexer", "mystnb.unknown_mime_type"]

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

autodoc_typehints = "description"
autodoc_preserve_defaults = True  # as in the source: a default that is an object would print its address
add_module_names = False
autodoc_member_order = "bysource"
napoleon_use_rtype = False

html_math_renderer = "hs_katex"
# The bare theme: page frame, styles and scripts are ours (_templates/layout.html, _static/hs*).
html_theme = "basic"
html_title = "Head Start"
html_short_title = "Head Start"
html_favicon = "_static/mark.svg"
html_show_sphinx = False
html_copy_source = True
html_sourcelink_suffix = ""
html_permalinks_icon = "#"
html_domain_indices = False

# What `make epub` needs, which sets the tag: the theme of Sphinx, a small style sheet, and no script.
if tags.has("ebook"):  # noqa: F821, Sphinx defines it
    templates_path, html_static_path, html_favicon = [], ["_ebook"], None
    version = metadata.version("transferlib")
    epub_basename, epub_title = "head-start", "Head Start: a measured course on transfer learning"
    epub_identifier = epub_uid = f"head-start-{version}"
    epub_author = epub_publisher = author
    epub_css_files = ["hs-ebook.css"]
    epub_show_urls, epub_use_index, epub_tocdepth = "no", False, 2
