"""What is copied beside every exported pipeline, and runs there with nothing of ours installed."""
