"""``python -m tests.benchmarks [NAME ...]``: runs the benchmarks named, or all of them, one after the other."""

from __future__ import annotations

import importlib
import sys

NAMES = ("start", "tracking", "reads", "data", "serving", "traffic", "drift", "pipelines", "audit", "evaluation")


def main() -> int:
    """Run the benchmarks; 2 for a name that is none."""
    asked = sys.argv[1:] or list(NAMES)
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there is: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in asked:
        print(f"== {name}", flush=True)
        importlib.import_module(f"{__package__}.{name}").main()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
