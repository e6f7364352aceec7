"""Magics as code: what stands for a magic in a pipeline does what the magic does."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_mlops.analysis.magic_lines import Magic, read_magic, timed_result


def test_a_timed_result_has_run_as_often_as_it_says() -> None:
    ran: list[int] = []
    names: dict[str, Any] = {"ran": ran}
    exec(timed_result("t", "-o -n 2 -r3 ran.append(1)", cell=4), names)
    found = names["t"]
    assert len(ran) == 6
    assert (found.loops, found.repeat, len(found.all_runs)) == (2, 3, 3)
    assert 0 < found.best <= found.average <= found.worst


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--out a", {"a": "1\n"}),
        ("--err=b", {"b": "2\n"}),
        ("--out a --err b --no-raise-error", {"a": "1\n", "b": "2\n"}),
    ],
)
def test_what_a_shell_cell_prints_is_kept(line: str, expected: dict[str, str]) -> None:
    names: dict[str, Any] = {}
    exec(read_magic(Magic("bash", line, "echo 1\necho 2 >&2\n")).code, names)
    assert {name: names[name] for name in expected} == expected


@pytest.mark.parametrize(("name", "line"), [("bash", "--bg"), ("bash", "--proc p"), ("script", "ruby"), ("script", "")])
def test_a_shell_cell_that_does_more_is_out_of_reach(name: str, line: str) -> None:
    assert read_magic(Magic(name, line, "echo 1\n")).kind == "opaque"
