"""Benchmarks: ours and the named peer or limit in turn, in one run."""
