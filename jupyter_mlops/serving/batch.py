"""Batch: predicts a table or a Parquet dataset chunk by chunk into a Parquet dataset, and goes on where it was cut off.

A chunk is a row group of the source, or so many rows of a table in memory. Every chunk goes through the model server, as
any request does, and so through its inference log; its answers are one file of the output, written in one step. A run
that was killed is started again with the same words: chunks whose file is there are not asked again, and what it had
written in part is removed. One run at a time works on a folder, which holds it by a lock that ends with its process.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.deployment import BatchResult, Predictions
from ..errors import Conflict, InvalidArgument, MissingDependency, PredictionRefused
from .client import ServerGone, ask, check_columns
from .deployment_folder import StoredDeployment

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Chunk", "chunks_of", "score"]

CHUNK_ROWS = 50_000
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before a server that went away, or has too much to do, is asked again
PLAN_FILE = "_mlops_batch.json"
STAGED = ".mlops-"  # what is being written begins with this, and is passed over by whoever reads the dataset


@dataclass(frozen=True)
class Chunk:
    """A part of the source that is predicted together.

    Parameters
    ----------
    file, group
        A row group of a Parquet file; or
    frame, start
        some rows of a table in memory.
    """

    number: int
    rows: int
    file: str = ""
    group: int = 0
    frame: Any = None
    start: int = 0

    def read(self) -> pd.DataFrame:
        """Its rows."""
        if self.file:
            import pyarrow.parquet as pq

            frame: pd.DataFrame = pq.ParquetFile(self.file).read_row_group(self.group).to_pandas()
            return frame
        chosen: pd.DataFrame = self.frame.iloc[self.start : self.start + self.rows]
        return chosen


def chunks_of(source: Any) -> tuple[list[Chunk], str]:
    """The chunks of a DataFrame, a Parquet file or a folder of them, and what the source is known by.

    Raises
    ------
    InvalidArgument
        There is nothing to predict in it.
    """
    chunks: list[Chunk] = []
    mark = hashlib.sha256()
    if isinstance(source, Path):
        import pyarrow.parquet as pq

        files = [source] if source.is_file() else sorted(p for p in source.rglob("*.parquet") if p.name[0] not in "._")
        for file in files:
            told = pq.read_metadata(file)
            mark.update(f"{file.resolve()} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
            for group in range(told.num_row_groups):
                rows = told.row_group(group).num_rows
                if rows:
                    chunks.append(Chunk(len(chunks), rows, str(file), group))
    else:
        import pandas as pd

        mark.update(str(list(source.columns)).encode())
        mark.update(pd.util.hash_pandas_object(source, index=False).to_numpy().tobytes())
        for start in range(0, len(source), CHUNK_ROWS):
            rows = min(CHUNK_ROWS, len(source) - start)
            chunks.append(Chunk(len(chunks), rows, frame=source, start=start))
    if not chunks:
        raise InvalidArgument(f"{source if isinstance(source, Path) else 'the table'} holds no rows to predict.")
    return chunks, mark.hexdigest()[:32]


def score(
    stored: StoredDeployment,
    token: str,
    source: Any,
    out: Path,
    progress: Callable[[str], None],
    *,
    dask: bool = False,
) -> BatchResult:
    """Predict every chunk of `source` that `out` does not hold yet.

    Raises
    ------
    InvalidArgument
        `out` holds the predictions of another source or by another model version.
    Conflict
        Another run is writing into `out`.
    MissingDependency
        `dask` was asked for and is not installed.
    """
    chunks, mark = chunks_of(source)
    plan = {"source": mark, "model": stored.model, "deployment": stored.name, "chunks": len(chunks)}
    with _claimed(out, plan):
        return _score(stored, token, chunks, out, progress, dask=dask)


def _score(
    stored: StoredDeployment, token: str, chunks: list[Chunk], out: Path, progress: Callable[[str], None], *, dask: bool
) -> BatchResult:
    waiting = [chunk for chunk in chunks if not _part(out, chunk).exists()]
    check_columns(stored, _taken(stored, (waiting or chunks)[0].read()))
    total, done = sum(chunk.rows for chunk in chunks), sum(c.rows for c in chunks if c not in waiting)
    skipped = done
    if waiting and skipped:
        progress(f"{skipped:,} of {total:,} rows were predicted before")
    for rows in (_on_dask if dask else _in_turn)(stored, token, waiting, out):
        done += rows
        progress(f"{done:,} of {total:,} rows")
    return BatchResult(stored.name, stored.model, str(out), total, len(chunks), skipped)


def _in_turn(stored: StoredDeployment, token: str, waiting: list[Chunk], out: Path) -> Iterator[int]:
    for chunk in waiting:
        yield score_chunk(stored, token, chunk, str(out))


def _on_dask(stored: StoredDeployment, token: str, waiting: list[Chunk], out: Path) -> Iterator[int]:
    """Let the current Dask cluster, or one on this machine, read, ask and write; the server is the same."""
    try:
        from distributed import Client, LocalCluster, as_completed, get_client
    except ImportError as error:
        raise MissingDependency.of("dask", why="to predict on a cluster", extra="dask") from error
    try:
        client, own = get_client(), None
    except ValueError:
        own = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        client = Client(own)
    try:
        futures = [client.submit(score_chunk, stored, token, c, str(out), pure=False) for c in waiting]
        for future in as_completed(futures):
            yield int(future.result())
    finally:
        if own is not None:
            client.close()
            own.close()


def score_chunk(stored: StoredDeployment, token: str, chunk: Chunk, out: str) -> int:
    """Predict one chunk and write its answers, in one step: the source's columns, ``prediction`` and ``prediction_id``."""
    frame = chunk.read()
    try:
        answered = _answers(stored, token, _taken(stored, frame))
    except PredictionRefused as error:
        place = f"row group {chunk.group} of {chunk.file}" if chunk.file else f"the rows from {chunk.start:,} on"
        raise PredictionRefused(
            f"{place}: {error.message}", hint=f"{error.hint} What was predicted before stays.".strip()
        ) from error
    taken = set(map(str, frame.columns))
    names = {n: n if n not in taken else f"mlops.{n}" for n in ("prediction", "prediction_id", "model")}
    told = {"prediction": list(answered.values), "prediction_id": list(answered.ids), "model": answered.model}
    path = _part(Path(out), chunk)
    temporary = path.with_name(f"{STAGED}{path.name}.{secrets.token_hex(4)}")
    try:
        frame.assign(**{names[n]: value for n, value in told.items()}).to_parquet(temporary, index=False)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(frame)


def _taken(stored: StoredDeployment, frame: pd.DataFrame) -> pd.DataFrame:
    """What the model takes of a chunk: a dataset has keys and much else, which belongs beside the predictions."""
    known = {column.name for column in stored.inputs}
    return frame.loc[:, [str(name) in known for name in frame.columns]] if known else frame


def _answers(stored: StoredDeployment, token: str, frame: pd.DataFrame) -> Predictions:
    """The predictions of a chunk; rows that were answered before the server went away are not asked again."""
    done: Predictions | None = None
    for wait in WAITS:
        try:
            return ask(stored, token, frame, done)
        except ServerGone as gone:
            done = gone.done
            time.sleep(wait)
    return ask(stored, token, frame, done)


def _part(out: Path, chunk: Chunk) -> Path:
    return out / f"part-{chunk.number:06d}.parquet"


@contextlib.contextmanager
def _claimed(out: Path, plan: dict[str, Any]) -> Iterator[None]:
    """Hold `out` for this batch, unless it is another's; what a killed run had written in part is removed first."""
    if out.exists() and not out.is_dir():
        raise InvalidArgument(f"{out} is a file.", hint="Name a folder with --out.")
    out.mkdir(parents=True, exist_ok=True)
    folder = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"another run is writing its predictions into {out}.", hint="Wait for it, or choose another folder."
            ) from error
        for left in out.glob(f"{STAGED}*"):
            left.unlink(missing_ok=True)
        _claim(out, plan)
        yield
    finally:
        os.close(folder)


def _claim(out: Path, plan: dict[str, Any]) -> None:
    """Note in `out` which batch it holds; one that predicted nothing gives its place to the next."""
    file = out / PLAN_FILE
    there = json.loads(file.read_text()) if file.exists() else None
    if there == plan:
        return
    if there is not None and any(out.glob("part-*.parquet")):
        raise InvalidArgument(
            f"{out} holds predictions of {'another source' if there['source'] != plan['source'] else there['model']}.",
            hint="Choose another folder with --out, or remove this one.",
        )
    if there is None and any(out.iterdir()):
        raise InvalidArgument(f"{out} is not empty.", hint="Choose another folder with --out.")
    temporary = out / f"{STAGED}{PLAN_FILE}"
    temporary.write_text(json.dumps(plan))
    temporary.replace(file)
