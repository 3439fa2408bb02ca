"""Sphinx settings of Head Start. Everything a page needs is in the built folder: no other host."""

import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "Head Start"
author = "the Head Start authors"
copyright = f"{datetime.now(tz=UTC):%Y}, {author}. Text CC BY 4.0, code MIT"  # noqa: A001
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "hs_katex",
    "hs_reading",
    "hs_widgets",
    "hs_pages",
    "hs_terms",
]
root_doc = "index"
exclude_patterns = ["_data", "_ext", "_static", "_templates", "_build", "**.ipynb_checkpoints"]
templates_path = ["_templates"]
html_static_path = ["_static"]
numfig = True
nitpicky = True
# Types of other libraries that signatures name: the book carries no inventory of other hosts.
nitpick_ignore_regex = [(r"py:.*", r"(?!transferlib).*"), (r"py:.*", r"transferlib\.errors\..*")]

# Notebooks arrive executed; the page keeps what the run wrote.
nb_execution_mode = "off"
nb_mime_priority_overrides = [("html", "text/html", 1)]
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_merge_streams = True
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
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_use_rtype = False

html_math_renderer = "hs_katex"
html_theme = "sphinx_book_theme"
html_title = "Head Start"
html_short_title = "Head Start"
html_logo = "_static/mark.svg"
html_favicon = "_static/mark.svg"
html_show_sphinx = False
html_copy_source = True
html_permalinks_icon = "#"
html_context = {"default_mode": "auto"}
html_sidebars = {"**": ["navbar-logo.html", "hs-search.html", "sbt-sidebar-nav.html"]}
html_theme_options = {
    "logo": {"text": "Head Start", "alt_text": ""},
    "article_header_start": ["toggle-primary-sidebar.html", "hs-reading-bar.html"],
    "article_header_end": ["article-header-buttons.html"],
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "home_page_in_toc": False,
    "use_fullscreen_button": False,
    "use_download_button": True,
    "back_to_top_button": False,
    "toc_title": "On this page",
    "search_bar_text": "Search the book",
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_content_items": ["copyright.html"],
    "navigation_with_keys": False,
}
# hs.js stands in the head without defer: depth and colour are set before the first paint.
html_js_files = [("hs.js", {"priority": 100})]
html_css_files = [("hs.css", {"priority": 800}), ("hs-blocks.css", {"priority": 810})]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
