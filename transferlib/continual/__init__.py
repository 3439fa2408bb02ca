"""Keeping what was known: importance of weights, penalties, rehearsal, new columns, and streams of tasks."""
