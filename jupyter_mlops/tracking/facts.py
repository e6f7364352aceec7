"""Facts: what a run took (time, processor, memory, energy), its seeds, and the environment it ran in.

Conventions: *seconds* is wall time; *CPU seconds* is user and system time of the kernel's process and of the children it
has waited for; *peak memory* is the largest resident set of the kernel's process that was seen, looked at when the run
begins, every fifth of a second and when it ends, in MiB (2**20 bytes).
"""

from __future__ import annotations

import ast
import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from ..analysis.known_calls import SEEDS
from ..errors import InvalidArgument, MissingDependency
from .installed import installed

__all__ = ["Energy", "Meter", "environment", "seeds_in"]

EVERY = 0.2
MIB = 1 << 20
NVIDIA = Path("/proc/driver/nvidia/gpus")
MOST_SEEDS = 20
POWER = {
    "cpu_load": "power from its load and design power",
    "constant": "power from its design power",
    "intel_rapl": "power measured by RAPL",
    "intel_power_gadget": "power measured by Power Gadget",
}


class Meter:
    """Measures one run, from when it is made to `stop`.

    Examples
    --------
    >>> facts = Meter().stop()
    >>> sorted(facts)
    ['CPU seconds', 'peak memory', 'seconds']
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._cpu = _cpu_seconds()
        self._peak = _resident()
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="mlops-meter", daemon=True).start()

    def stop(self) -> dict[str, str]:
        """What was taken, readable."""
        self._over.set()
        self._peak = max(self._peak, _resident())
        told = {
            "seconds": f"{time.perf_counter() - self._began:.3f}",
            "CPU seconds": f"{_cpu_seconds() - self._cpu:.2f}",
            "peak memory": f"{self._peak / MIB:.0f} MiB",
        }
        return told | _gpu()

    def _watch(self) -> None:
        while not self._over.wait(EVERY):
            self._peak = max(self._peak, _resident())


class Energy:
    """Energy and CO2 of a run, estimated by codecarbon without asking any network.

    Parameters
    ----------
    country
        The three letters of the country (ISO 3166) whose electricity mix is assumed: ``FRA``.

    Raises
    ------
    MissingDependency
        codecarbon is not installed.
    InvalidArgument
        There is no such country, or no mix of it.
    """

    def __init__(self, country: str) -> None:
        try:
            import codecarbon
            from codecarbon.input import DataSource
        except ImportError:
            raise MissingDependency.of("codecarbon", why="to estimate energy and CO2", extra="energy") from None
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it speaks before it is told not to
        self._version = codecarbon.__version__
        self._country = country.upper()
        known = DataSource().get_global_energy_mix_data()
        if self._country not in known:  # codecarbon itself would take the world's mix, and say so nowhere
            raise InvalidArgument.unknown("country for energy", country, known)
        self._tracker = codecarbon.OfflineEmissionsTracker(
            country_iso_code=self._country,
            save_to_file=False,
            log_level="critical",
            measure_power_secs=1,
            allow_multiple_runs=True,
        )
        self._tracker.start()

    def stop(self) -> dict[str, str]:
        """What was taken, and how that was worked out."""
        self._tracker.stop()
        data = self._tracker.final_emissions_data
        modes = [getattr(part, "_mode", "") for part in getattr(self._tracker, "_hardware", ())]
        power = POWER.get(next((str(mode) for mode in modes if mode), ""), "power assumed")
        seen = any(type(part).__name__ == "GPU" for part in getattr(self._tracker, "_hardware", ()))
        gpu = "GPU measured" if seen else "no GPU that could be measured"
        method = (
            f"codecarbon {self._version} offline; {data.cpu_model}: {power}; {gpu}; electricity mix of {self._country}"
        )
        return {
            "energy": f"{data.energy_consumed * 1000:.6f} Wh",
            "CO2": f"{data.emissions * 1000:.6f} g",
            "energy method": method,
        }


def environment() -> tuple[str, str]:
    """Every installed distribution, pinned, one a line as pip reads it; and its digest. Worked out once a process.

    Examples
    --------
    >>> "ipython==" in environment()[0].lower()
    True
    """
    return _environment(tuple(sys.path))


@cache
def _environment(path: tuple[str, ...]) -> tuple[str, str]:
    lines = [f"# Python {sys.version.split()[0]}, {sys.platform}"]
    lines += [f"{name.replace('_', '-')}=={version}" for _, (name, version) in sorted(installed().items())]
    text = "\n".join(lines) + "\n"
    return text, hashlib.sha256(text.encode()).hexdigest()


def seeds_in(codes: Iterable[ast.AST]) -> dict[str, str]:
    """The seeds that code sets, by how it sets them.

    Examples
    --------
    >>> seeds_in([ast.parse("np.random.seed(0); f(random_state=42)")])
    {'np.random.seed': '0', 'random_state': '42'}
    """
    found: dict[str, list[str]] = {}
    for tree in codes:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            named = ast.unparse(node.func)
            if named.rpartition(".")[2] in {*SEEDS, "default_rng", "RandomState"} and node.args:
                found.setdefault(named, []).append(ast.unparse(node.args[0]))
            for word in node.keywords:
                if word.arg in ("random_state", "seed"):
                    found.setdefault(word.arg, []).append(ast.unparse(word.value))
    return {name: ", ".join(dict.fromkeys(values))[:200] for name, values in list(found.items())[:MOST_SEEDS]}


def _cpu_seconds() -> float:
    took = os.times()
    return took.user + took.system + took.children_user + took.children_system


def _resident() -> int:
    """Bytes of this process that are in memory."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 every fifth of a second
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import psutil

        return int(psutil.Process().memory_info().rss)


def _gpu() -> dict[str, str]:
    """What the graphics processors are and hold now, where there are any of NVIDIA's."""
    if not NVIDIA.exists():
        return {}
    asked = ["nvidia-smi", "--query-gpu=name,memory.used,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=2.0, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines: list[Any] = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return {"GPU": "; ".join(lines)} if lines else {}
