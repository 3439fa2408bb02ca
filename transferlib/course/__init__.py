"""What the chapters are made with: runs that record values and claims, intervals, figures, exercises."""
