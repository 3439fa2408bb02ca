"""Crossing a domain gap: how far apart two domains are, aligning them, weighting, and adapting at test time."""
