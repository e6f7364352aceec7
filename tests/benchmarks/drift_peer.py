"""Evidently's default preset on the benchmark's tables, in an environment of its own: prints CPU seconds, one a round."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from drift_tables import mixed


def main() -> None:
    """``drift_peer.py ROWS ROUNDS``."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    warnings.simplefilter("ignore")
    rows, rounds = int(sys.argv[1]), int(sys.argv[2])
    reference, current = mixed(rows, 1), mixed(rows, 2)
    Report([DataDriftPreset()]).run(current.head(1000), reference.head(1000))
    for _ in range(rounds):
        began = time.process_time()
        Report([DataDriftPreset()]).run(current, reference)
        print(time.process_time() - began, flush=True)


main()
