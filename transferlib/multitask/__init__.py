"""Several losses, one trunk: how to weigh them, and what to do where their gradients disagree."""
