"""Interactive charts: one ES module each, live in JupyterLab and in the static page."""

from transferlib.widgets.label_budget import label_budget_explorer

__all__ = ["label_budget_explorer"]
