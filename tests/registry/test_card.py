"""The model card with the real service: written from what is known, Hugging Face reads it, and people's words stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard as HubCard
from sklearn.linear_model import LogisticRegression

from jupyter_mlops.errors import Conflict, InvalidArgument, NotFound
from jupyter_mlops.registry.card_words import edited_outside, metadata_of, own_words
from jupyter_mlops.session import Session


@pytest.fixture(scope="module")
def told(shared_session: Session) -> Session:
    generator = np.random.default_rng(5)
    table = pd.DataFrame(generator.normal(size=(400, 2)), columns=["a", "b"])
    table["sex"] = generator.choice(["f", "m"], 400)
    table["y"] = table["a"] + generator.normal(size=400) > 0
    shared_session.data.save(table, name="people")
    data = shared_session.data.load("people@v1")
    model = LogisticRegression().fit(data[["a", "b"]], data["y"])
    shared_session.register(model, name="clf", data=data)
    shared_session.register(LogisticRegression(C=0.1).fit(data[["a", "b"]], data["y"]), name="bare")
    shared_session.evaluate("clf@1", data="people@v1", target="y", slices=["sex"], fairness=["sex"], calibration=True)
    return shared_session


def test_a_card_says_what_is_known_and_hugging_face_reads_it(told: Session, tmp_path: Path) -> None:
    evaluation = told.evaluations("clf")[0]
    card = told.card("clf@1", output=str(tmp_path / "card.md"))
    text = (tmp_path / "card.md").read_text()
    assert text == card.markdown
    hub = HubCard(text)
    (accuracy,) = [r for r in hub.data.eval_results if r.metric_type == "accuracy"]
    assert accuracy.metric_value == pytest.approx(evaluation.metric("accuracy").value, abs=1e-12)
    assert accuracy.metric_args["low"] < accuracy.metric_value < accuracy.metric_args["high"]
    assert (accuracy.dataset_name, accuracy.task_type) == ("people@v1", "tabular-classification")
    assert accuracy.dataset_revision == evaluation.data_digest
    assert hub.data.datasets == ["people@v1"]
    assert hub.data.library_name == "sklearn"
    for part in ("## Slices", "sex = f", "demographic_parity_difference", "## Calibration", "Energy", "Not measured"):
        assert part in text
    assert card.unwritten == ("Intended use", "Limits", "Ethical considerations", "Contact")
    assert "mlops-card" in card._repr_mimebundle_()["text/html"]


def test_what_people_wrote_stays_when_it_is_written_anew(told: Session, tmp_path: Path) -> None:
    file = tmp_path / "card.md"
    told.card("clf@1", output=str(file))
    before = file.read_text()
    words = "Triage by nurses.\n\nNot for *children* | ever."
    prompt = "_What is it for, who uses it, and what must it not be used for?_"
    text = before.replace(prompt, words).replace("---\n", "---\nlicense: mit\n", 1)
    text += "\n<!-- mlops:own history -->\nReplaces a paper form.\n<!-- mlops:end -->\n"
    assert not edited_outside(text)
    file.write_text(text)
    told.evaluate("clf@1", data="people@v1", target="y")
    again = told.card("clf@1", output=str(file))
    new = file.read_text()
    assert own_words(new) == {"intended-use": words, "history": "Replaces a paper form."}
    assert metadata_of(new)["license"] == "mit"
    assert "Intended use" not in again.unwritten
    stored = told.card("clf@1")  # without the file: from the store
    assert own_words(stored.markdown) == own_words(new)
    assert told.card("clf@1", output=str(file)).markdown == file.read_text()
    from mlflow import MlflowClient

    client = MlflowClient(told.context.workspace.tracking_uri)
    assert "Triage by nurses." in client.get_model_version("clf", "1").description
    told.card("clf@1", output=str(tmp_path / "card.html"))
    assert "Not for *children* | ever." in (tmp_path / "card.html").read_text()


def test_words_in_the_wrong_place_are_told_of_and_not_lost(told: Session, tmp_path: Path) -> None:
    file = tmp_path / "card.md"
    told.card("clf@1", output=str(file))
    edited = file.read_text().replace("## Energy", "My own words.\n\n## Energy")
    file.write_text(edited)
    with pytest.raises(Conflict, match="edited where the card is written anew"):
        told.card("clf@1", output=str(file))
    assert file.read_text() == edited
    file.write_text("# My readme\n")
    with pytest.raises(Conflict, match="no card of ours"):
        told.card("clf@1", output=str(file))
    assert file.read_text() == "# My readme\n"
    for asked, wrong in (("card.txt", "no format"), ("no/where/card.md", "no folder")):
        with pytest.raises(InvalidArgument, match=wrong):
            told.card("clf@1", output=str(tmp_path / asked))
    with pytest.raises(NotFound, match="clf"):
        told.card("clf@9")


@pytest.mark.parametrize("text", ["---\n: [\n---\n# x", "---\n- a\n---\n# x"])
def test_metadata_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(InvalidArgument, match="metadata"):
        metadata_of(text)


def test_a_section_without_an_end_is_an_error() -> None:
    with pytest.raises(InvalidArgument, match="does not end"):
        own_words("<!-- mlops:own a -->\nwords\n<!-- mlops:own b -->\n")


def test_a_model_nobody_evaluated_says_so(told: Session) -> None:
    card = told.card("bare")
    assert any("never evaluated" in note for note in card.notes)
    assert HubCard(card.markdown).data.eval_results is None


def test_the_card_is_in_the_audit_trail_by_its_digest(told: Session) -> None:
    card = told.card("clf@1")
    entry: Any = told.audit("clf", action="model.card")[0]
    assert entry.result["digest"] == card.digest
    assert "Triage" not in str(entry.to_dict())
