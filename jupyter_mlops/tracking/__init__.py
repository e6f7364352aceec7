"""Cell to run: capture, the durable log, the notebook's identity."""
