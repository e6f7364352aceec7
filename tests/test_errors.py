"""The tree of errors: what they say, and that they travel."""

from __future__ import annotations

import pytest

from jupyter_mlops import errors
from jupyter_mlops.errors import InvalidArgument, MLOpsError, NotFound, from_dict


def every_class() -> list[type[MLOpsError]]:
    return [getattr(errors, name) for name in errors.__all__ if name[0].isupper()]


@pytest.mark.parametrize("cls", every_class(), ids=lambda c: c.__name__)
def test_every_error_survives_the_wire_as_itself(cls: type[MLOpsError]) -> None:
    back = from_dict(cls("what was asked.", hint="What to do.").to_dict())
    assert type(back) is cls
    assert str(back) == "what was asked. What to do."


def test_what_to_do_stands_below_what_takes_several_lines() -> None:
    assert str(InvalidArgument("edited:\n+ a", hint="Choose.")) == "edited:\n+ a\nChoose."


def test_codes_are_unique_and_all_derive_from_the_root() -> None:
    codes = [cls.code for cls in every_class()]
    assert len(set(codes)) == len(codes)
    assert all(issubclass(cls, MLOpsError) for cls in every_class())


def test_a_long_list_of_candidates_is_cut_and_counted() -> None:
    text = str(NotFound.among("run", "zzz", [f"run-{i}" for i in range(20)], hint="Look."))
    assert "run-7" in text
    assert "run-8" not in text
    assert "and 12 more" in text


def test_nothing_there_says_so() -> None:
    assert (
        str(NotFound.among("model", "x", [], hint="Register one.")) == "no model 'x'; there is none yet. Register one."
    )


def test_an_unknown_word_names_the_nearest() -> None:
    assert "Did you mean 'promote'?" in str(InvalidArgument.unknown("verb", "promot", ["promote", "predict"]))


def test_a_notebook_shows_the_users_line_and_what_there_is_to_say() -> None:
    code = "from jupyter_mlops.errors import InvalidArgument\n\ndef ask():\n    raise InvalidArgument.unknown('target', 'x', ['y'])\nask()"
    with pytest.raises(InvalidArgument) as raised:
        exec(code, {"__name__": "__main__"})
    shown = raised.value._render_traceback_()
    assert shown == ["line 4", "InvalidArgument: unknown target 'x'; known: y."]
