"""Interactive charts: one ES module each, live in JupyterLab and in the static page."""

from transferlib.widgets.freeze_depth import freeze_depth_explorer
from transferlib.widgets.label_budget import label_budget_explorer

__all__ = ["freeze_depth_explorer", "label_budget_explorer"]
