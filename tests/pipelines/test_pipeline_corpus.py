"""The corpus: every notebook is run, exported whole and verified, every variable and model the same; and wrong slices are caught."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import corpus
import pytest
from shell_player import play
from warm import Warm

from jupyter_mlops.pipelines import verify
from jupyter_mlops.session import Session

pytestmark = [pytest.mark.extended, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def root(make_session: Callable[..., Session]) -> Path:
    return make_session().context.workspace.root


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    process = Warm()
    yield process
    process.close()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: Warm) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "_run", warm.run)


@pytest.mark.parametrize("name", corpus.SAME)
def test_a_notebook_comes_out_whole(root: Path, name: str) -> None:
    session = play(root, corpus.cells(name))
    pipeline = session.export(whole=True)
    verification = pipeline.verification
    assert verification is not None
    text = Path("pipeline/pipeline.py").read_text()
    assert verification.ok, f"{pipeline}\n{text}"
    if name == "what was never made":
        assert "global " not in text, "what failed to be made is nothing that a step can give"


@pytest.mark.parametrize("name", corpus.COURSES)
def test_a_course_comes_out_whole(root: Path, name: str) -> None:
    session = play(root, corpus.cells(name))
    accepted = corpus.accepted(name)
    pipeline = session.export(whole=True, accept=accepted)
    verification = pipeline.verification
    assert verification is not None
    assert verification.ok, f"{pipeline}\n{Path('pipeline/pipeline.py').read_text()}"
    different = {check.variable for check in verification.checks if check.accepted}
    assert different == set(accepted.replace(",", " ").split()), "what is accepted differs, and nothing else"


@pytest.fixture(scope="module")
def exported() -> dict[str, tuple[Session, Path]]:
    """What has been exported already, by notebook."""
    return {}


# notebook, what is right, what is wrong with it: each must be told
MUTATIONS = [
    ("arrays", "x1[0] = 3.14159", "pass", "a dropped change"),
    ("arrays", "np.random.seed(0)", "np.random.seed(1)", "another seed"),
    ("arrays", "x2_sub[0, 0] = 99", "x2_sub = x2_sub.copy()\n    x2_sub[0, 0] = 99", "a view that became a copy"),
    ("arrays", "big.sort()", "pass", "a dropped sort"),
    ("unseeded", '    restore_random_state("2")', "    pass", "a state that is not taken up"),
    ("seeds that NumPy takes itself", 'restore_random_state("2")', "pass", "seeds that are not given again"),
    ("async", "work(2), work(3)", "work(3), work(2)", "what is awaited in another order"),
    ("a seed halfway", "np.random.seed(4)", "pass", "a dropped seed"),
    ("a library that draws", "np.random.seed(12345)", "pass", "a dropped seed of what a library draws"),
    ("files that are run, and the builtins", "    next(read)\n", "    pass\n", "a table read less far"),
    ("files that are run, and the builtins", "return x + 1", "return x + 2", "another file that is run"),
    ("frames", "df.loc[df.key == 'A', 'ratio'] = 0", "pass", "a dropped assignment to cells"),
    ("frames", "indexed.index.name = 'k'", "pass", "a dropped name of an index"),
    ("functions and globals", "    rate = 10", "    pass", "a stale global"),
    ("functions and globals", "    up()", "    pass", "a call too few"),
    ("errors on purpose", "a.append(4)", "a.append(5)", "another value"),
    ("classes", "p.y = 5", "pass", "a dropped attribute"),
    ("iterators", "    next(c)\n", "    pass\n", "an iterator not read far enough"),
    ("conditions and loops", "x.append(1)", "x = [1]", "a shared list no longer shared"),
    ("reruns", "data = data + data", "pass", "a cell run once too few"),
    ("copying", "c = copy.deepcopy(a)", "c = a.copy()", "a shallow copy"),
    ("rebinding and views", "c *= 2", "c = c * 2", "an array changed in place that is not any more"),
    ("k nearest", "random_state=0", "random_state=1", "another split"),
    ("grids and pipelines", "scaler.fit(X)", "scaler.fit(X[:100])", "a scaler that learnt from less"),
    ("texts and words", "ngram_range=(1, 2)", "ngram_range=(1, 1)", "another parameter"),
    ("time series", "ts.rolling(7).mean()", "ts.rolling(6).mean()", "another window"),
    ("numpy_tour", "sub[0, 0] = 77", "pass", "a view that is not written to"),
    ("numpy_tour", "    draw(3)\n", "    pass\n", "a generator not read far enough"),
    ("numpy_tour", "range(2)", "range(1)", "timed code that ran once too few"),
    (
        "pandas_cookbook",
        "con.execute(\"update sales set sales = 0 where store = 'a'\")",
        "pass",
        "a table left as it was",
    ),
    ("pandas_cookbook", 'sales.at[0, "sales"] = 1000', "pass", "a cell left as it was"),
    ("python_course", "    c1()\n", "    pass\n", "a closure called once too few"),
    ("python_course", "random.seed(3)", "random.seed(4)", "another seed of one of two generators"),
    ("python_course", "log.clear()", "pass", "a decorator's state left as it was"),
    ("settings", "np.seterr(divide='ignore')", "np.seterr(divide='raise')", "another setting"),
]


@pytest.mark.parametrize(("name", "was", "now", "kind"), MUTATIONS, ids=[f"{m[0]}: {m[3]}" for m in MUTATIONS])
def test_a_wrong_pipeline_is_told(
    root: Path,
    exported: dict[str, tuple[Session, Path]],
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    was: str,
    now: str,
    kind: str,
) -> None:
    if name not in exported:
        made = tmp_path_factory.mktemp("exported") / "pipeline"
        session = play(root, corpus.cells(name))
        assert session.export(whole=True, output=str(made)).verification.ok  # type: ignore[union-attr]
        exported[name] = session, made
    session, made = exported[name]
    shutil.copytree(made, "pipeline")
    file = Path("pipeline/pipeline.py")
    text = file.read_text()
    assert was in text, f"{kind}: {was!r} is not in\n{text}"
    file.write_text(text.replace(was, now, 1))
    verification = session.verify("pipeline")
    assert not verification.ok, f"{kind} is not seen"
    assert verification.error or all(check.message for check in verification.checks if not check.ok)
