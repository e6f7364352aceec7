"""What code does: cells parsed as IPython runs them, what each statement reads and changes, and the least that gives a result."""
