"""Interactive charts: one ES module each, live in JupyterLab and in the static page."""
