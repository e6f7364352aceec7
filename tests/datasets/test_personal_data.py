"""Personal data: every kind found by its rule, what only looks alike left alone, and masked before anything is stored."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlops.datasets.check import Subject
from jupyter_mlops.datasets.personal import MASK_KEY, found_in, mask_key, mask_table
from jupyter_mlops.datasets.personal import check_digits as digits
from jupyter_mlops.errors import IntegrityFailure, NotFound

KEY = b"k" * 32


def luhn(number: str) -> str:
    total = sum(
        (int(d) * 2 - 9 if int(d) > 4 else int(d) * 2) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(number))
    )
    return number + str(-total % 10)


def kind_of(name: str, values: list[object]) -> str | None:
    found = found_in(Subject(pd.DataFrame({name: values})).columns[0])
    return found.kind if found else None


CARDS = [luhn(f"4{i:014d}") for i in range(123_456_789, 123_456_830)]
IBANS = [
    "GB82WEST12345698765432",
    "DE89 3704 0044 0532 0130 00",
    "FR14 2004 1010 0505 0001 3M02 606",
    "NL91ABNA0417164300",
]


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        ("email", "contact", [f"p.{i}@example.co.uk" for i in range(9)]),
        ("email", "remark", ["fine", "call back", "write to ada@example.org, please", "no"] * 3),
        ("card", "a", CARDS),
        ("card", "a", [int(c) for c in CARDS]),
        ("iban", "a", IBANS),
        ("national_id", "a", ["078-05-1120", "219-09-9999", "457-55-5462"]),
        ("national_id", "a", ["12345678Z", "X1234567L", "00000000T"]),
        ("ip", "a", ["10.0.0.1", "192.168.1.20", "2001:db8::1"]),
        ("phone", "a", ["+49 30 1234567", "+44 20 7946 0958", "(555) 123-4567", "555-123-4567"]),
        ("phone", "mobile", ["030 1234567", "0171 7654321"]),
        ("birth_date", "date_of_birth", ["1990-02-03", "1985-12-31"]),
        ("birth_date", "dob", list(pd.to_datetime(["1990-02-03", "1985-12-31"]))),
        ("name", "a", ["Ada Lovelace", "John Smith", "Maria Garcia", "Xi Q"]),
        ("name", "lastName", ["Qwertz", "Okonkwo", "Asdf"]),
        (None, "a", ["clerk", "baker", "smith"] * 3),
        (None, "product_name", ["Red chair", "Blue table", "Lamp"]),
        (None, "version", ["1.2.3", "1.2.4", "2.0.0"]),
        (None, "amount", [1234567, 2345678, 3456789, 9876543]),
        (None, "x", [4111111111111112 + 7 * i for i in range(40)]),
        (None, "day", ["2026-01-01", "2026-01-02"]),
        (None, "x", [0.5, 1.5, np.nan]),
        (None, "city", ["Paris", "Berlin", "Rome", "Madrid"]),
        (None, "x", []),
    ],
)  # fmt: skip
def test_what_a_column_holds(kind: str | None, name: str, values: list[object]) -> None:
    assert kind_of(name, values) == kind


@given(st.text("0123456789", min_size=12, max_size=18))
def test_a_card_with_a_wrong_digit_is_none(number: str) -> None:
    good = luhn("4" + number[1:])
    place = len(good) // 2
    bad = good[:place] + str((int(good[place]) + 1) % 10) + good[place + 1 :]
    assert digits.card(good) or len(set(good)) == 1
    assert not digits.card(bad)


@given(st.text("0123456789", min_size=18, max_size=18), st.integers(0, 17))
def test_an_account_with_a_wrong_digit_is_none(account: str, place: int) -> None:
    body = account
    rest = int("".join(str(int(c, 36)) for c in body + "DE00")) % 97
    good = f"DE{98 - rest:02d}{body}"
    wrong = "1" if body[place] == "0" else "0"
    assert digits.iban(good)
    assert not digits.iban(good[: 4 + place] + wrong + good[5 + place :])


def test_masking_keeps_equality_missing_cells_and_the_given_table() -> None:
    frame = pd.DataFrame(
        {
            "email": ["ada@example.org", None, "ada@example.org", "bob@example.org"],
            "note": ["x", "ask ada@example.org now", None, "y"],
            "dob": pd.to_datetime(["1990-05-06", None, "1990-05-06", "1971-01-02"]),
            "x": [1.0, 2, 3, 4],
        },
        index=[5, 6, 7, 8],
    )
    before = frame.copy()
    masked, kinds = mask_table(frame, None, KEY)
    pd.testing.assert_frame_equal(frame, before)
    assert kinds == {"email": "email", "note": "email", "dob": "birth_date"}
    assert masked.email[5] == masked.email[7] != masked.email[8]
    assert masked.email.isna().tolist() == [False, True, False, False]
    assert masked.note[6].startswith("ask [email ")
    assert masked.note[6].endswith("] now")
    assert masked.email[5] in masked.note[6]
    assert masked.dob.dt.strftime("%Y-%m-%d").tolist()[0] == "1990-01-01"
    pd.testing.assert_series_equal(masked.x, frame.x)
    assert mask_table(frame, ["email"], b"j" * 32)[0].email[5] != masked.email[5]
    with pytest.raises(NotFound, match="no column 'mail'"):
        mask_table(frame, ["mail"], KEY)


def test_the_key_is_made_once_and_the_owners_alone(tmp_path: Path) -> None:
    key = mask_key(tmp_path)
    assert len(key) == 32
    assert mask_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / MASK_KEY).stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [MASK_KEY]
    (tmp_path / MASK_KEY).write_bytes(b"short")
    with pytest.raises(IntegrityFailure, match="no key for masking"):
        mask_key(tmp_path)
