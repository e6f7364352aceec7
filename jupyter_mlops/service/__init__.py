"""The workspace's one background process, and the small client by which everyone else speaks to it."""
