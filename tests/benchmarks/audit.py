"""How long checking the whole audit record takes, and how fast it is written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jupyter_mlops.audit.chain import FIRST, line_of
from jupyter_mlops.audit.trail import Trail, check_file
from jupyter_mlops.domain.workspace import Actor

from .figures import compared, seconds

ENTRIES = 100_000
LIMIT_SECONDS = 5.0
ROUNDS = 5
ACTOR = Actor("ann", "lab", "magic", "churn.ipynb", "In [12] 3f9a", "9c1e2d7").to_dict()


def fill(path: Path) -> None:
    """A chain of `ENTRIES` lines, half of them beginnings; written at once, as the wait for the disk is not checked here."""
    previous, lines = FIRST, []
    for place in range(1, ENTRIES + 1):
        number, begins = (place + 1) // 2, place % 2 == 1
        body = {"number": number, "request": f"{number:032x}", "writer": "f" * 32, "seq": place}
        body |= {"at_ms": 1_790_000_000_000 + place, "previous": previous}
        if begins:
            body |= {"kind": "begin", "action": "model.promote", "target": f"clf@{number}"}
            sealed = {"personal": {"actor": ACTOR, "details": {"model": f"clf@{number}", "alias": "champion"}}}
        else:
            body |= {"kind": "end", "outcome": "done"}
            sealed = {"personal": {"error": "", "result": {"model": "clf", "version": number, "previous": number - 1}}}
        line, previous = line_of(body, sealed)
        lines.append(line)
    path.write_bytes(b"".join(lines))


def main() -> None:
    """Check 100,000 entries against the limit of 5 s; write changes against the limit of 20 ms each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit" / "trail.jsonl"
        path.parent.mkdir()
        fill(path)

        def check() -> None:
            (chain,) = check_file(path)
            if chain.findings or len(chain.entries) != ENTRIES:
                raise AssertionError(chain.findings[:3])

        check()
        took = [seconds(check) for _ in range(ROUNDS)]
        limit = [LIMIT_SECONDS] * ROUNDS
        compared("audit", "verify 100,000 entries", "s", took, "limit 5 s", limit, goal=1.0, goal_is="at most").report()
        trail = Trail(Path(folder) / "new" / "trail.jsonl")

        def write(round_: int) -> None:
            for i in range(100):
                trail.begin(f"{round_}-{i}", Actor("ann", "lab"), "data.save", "adult", {"rows": i})
                trail.end(f"{round_}-{i}", "done", answer={"version": i})

        write(0)
        each = [seconds(lambda n=n: write(n)) / 100 for n in range(1, ROUNDS + 1)]
        compared(
            "audit",
            "one change, begun and ended on disk",
            "s",
            each,
            "limit 20 ms",
            [0.02] * ROUNDS,
            goal=1.0,
            goal_is="at most",
        ).report()


if __name__ == "__main__":
    main()
