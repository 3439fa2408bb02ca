"""Learning from preferences: rewards from comparisons, the leash, and ways of pushing a policy towards a reward."""
