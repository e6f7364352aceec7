"""Personal data in a fit's table: nothing that a run of a real kernel stores, nor what is made of its model, holds a value of it."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient

from jupyter_mlops.datasets.personal.training import look_in
from jupyter_mlops.datasets.profile import Profile, write_training_profile
from jupyter_mlops.session import Session

ROWS = 60
EMAILS = [f"ada.number{i}@secret-mail.org" for i in range(ROWS)]
PHONES = [f"+49 30 55{i:05d}" for i in range(ROWS)]
CARD = 4111111111111111
NOTES = [f"call back please, {EMAILS[i]} or {PHONES[i]}" if i % 9 == 0 else "nothing to say here" for i in range(ROWS)]
RAW = ("secret-mail.org", "+49 30 55", "30 55000", str(CARD), "Lovelace")

CELLS = [
    "%load_ext jupyter_mlops",
    ("import pandas as pd, plotly.express as px, matplotlib.pyplot as plt\n"
    "from sklearn.compose import make_column_transformer\nfrom sklearn.linear_model import LogisticRegression\n"
    "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import OneHotEncoder\n"
    "df = pd.read_csv('people.csv')\nX, y = df.drop(columns='y'), df.y"),
    ("%%mlops run people\n"
    "model = make_pipeline(make_column_transformer((OneHotEncoder(), ['city']), ('passthrough', ['spend'])), LogisticRegression())\n"
    "model.fit(X, y)\n"
    "display(X.head())\n"
    "px.scatter(df, x='spend', y='y', hover_data=['email', 'phone'], title='asked by ' + df.email[0])"),
    "%mlops data check X",
    "%mlops register model --name people",
]  # fmt: skip


def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "email": EMAILS,
            "phone": PHONES,
            "full_name": ["Ada Lovelace", "Grace Lovelace", "Maria Lovelace"] * (ROWS // 3),
            "card": [CARD] * ROWS,
            "note": NOTES,
            "city": rng.choice(["Paris", "Rome"], ROWS),
            "spend": rng.gamma(2, 10, ROWS),
            "y": rng.integers(0, 2, ROWS),
        }
    )


def texts(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, and what stands inside compressed ones."""
    for path in (p for p in root.rglob("*") if p.is_file()):
        held = path.read_bytes()
        yield str(path), held
        if path.suffix == ".parquet":
            yield str(path), json.dumps(pq.read_table(path).to_pydict(), default=str).encode()
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield f"{path}:{name}", archive.read(name)
        elif held[:2] == b"\x1f\x8b":
            yield str(path), gzip.decompress(held)


@pytest.fixture(scope="module")
def root(make_session) -> Path:
    root = make_session().context.workspace.root
    people().to_csv(root / "people.csv", index=False)
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    NotebookClient(made, kernel_name="python3", resources={"metadata": {"path": str(root)}}, timeout=180).execute()
    nbformat.write(made, root / "played.ipynb")
    return root


@pytest.mark.slow
def test_no_value_of_it_is_stored(root: Path) -> None:
    found = {(path, raw) for path, held in texts(root / ".mlops") for raw in RAW if raw.encode() in held}
    assert not found


@pytest.mark.slow
def test_what_the_rest_of_the_table_gives_is_there(root: Path) -> None:
    session = Session.open(root=root)
    (run,) = session.runs(filter="attributes.run_name = 'people'")
    assert run.params
    held = dict(texts(root / ".mlops"))
    (example,) = [json.loads(h) for p, h in held.items() if p.endswith("/input_example.json")]
    row = dict(zip(example["columns"], example["data"][0], strict=True))
    assert (len(row["email"]), row["card"], row["city"]) == (16, 4000000000000000, people().city[0])
    assert row["note"].startswith("call back please, [email ")
    profile = Profile.read(next(root.rglob("mlops/profile")))
    assert [c.name for c in profile.columns if c.kind == "other"] == ["email", "phone", "full_name", "card", "note"]
    assert profile["email"].distinct == ROWS
    assert set(profile["city"].labels) == {"Paris", "Rome"}
    assert not profile["email"].labels
    (figure,) = [h.decode() for p, h in held.items() if ".plotly.json" in p]
    assert "asked by [email " in figure
    assert '"full_name"' not in figure


@pytest.mark.slow
def test_the_run_says_so(root: Path) -> None:
    played = nbformat.read(root / "played.ipynb", 4)
    shown = json.dumps([output for cell in played.cells[2:3] for output in cell.outputs])
    assert "personal data: email (email), phone (phone), full_name (name), card (card), note (email)" in shown


def test_what_is_declared_counts_and_plain_numbers_are_not_looked_at() -> None:
    table = pd.DataFrame({"age": [31, 47, 22] * 9, "code": ["x1", "x2", "x3"] * 9, "when": pd.Timestamp("1990-05-06")})
    found = look_in(table, {"age", "when", "gone"}, lambda: b"k" * 32)
    assert found is not None
    assert dict(found.kinds) == {"age": "declared", "when": "declared"}
    masked = found.masked(table[:5])
    assert masked.age.tolist() == [30, 40, 20, 30, 40]
    assert masked.age.dtype == table.age.dtype
    assert masked.code.equals(table.code[:5])
    assert table.age[0] == 31
    assert look_in(table, (), bytes) is None
    assert look_in(np.full((50, 3), 4111111111111111.0), (), bytes) is None
    messages = pd.Series(["write to bob@x.org", "no", "yes"] * 20, name="message")
    held = look_in(messages, (), lambda: b"k" * 32)
    assert held is not None
    assert [text.startswith("write to [email ") for text in held.masked(messages[:2])] == [True, False]


def test_a_rare_address_among_the_labels_of_a_profile_is_found(tmp_path: Path) -> None:
    labels = ["phone", "post"] * 500 + ["ask ada@secret-mail.org"]
    profile = write_training_profile(pd.DataFrame({"way": labels, "n": range(1001)}), None, None, tmp_path / "p")
    assert profile["way"].kind == "other"
    assert "way" in profile.notes[-1] or "way" in profile.notes[0]
    assert not [path for path, held in texts(tmp_path) if b"secret-mail" in held]
