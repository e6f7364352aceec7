"""Kinds: the kinds of personal data that are looked for, each by a pattern, a check, and what columns of it are called."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from . import check_digits
from .given_names import FAMILY, GIVEN

__all__ = ["KINDS", "Kind", "words_of"]


@dataclass(frozen=True)
class Kind:
    """One kind of personal data.

    Parameters
    ----------
    what
        In the plural, as a finding says it.
    valid
        Whether a whole cell is one.
    needed
        The share of different cells that must be one.
    hint
        What columns of it are called, matched in words of the name.
    hinted
        The share that is enough when the column is called so.
    needs_hint
        Whether the pattern alone says nothing.
    inside
        Finds it inside longer texts; None where that would find too much.
    rule
        How it is known.
    """

    name: str
    what: str
    valid: Callable[[str], bool]
    rule: str
    needed: float = 0.5
    hint: re.Pattern[str] | None = None
    hinted: float = 0.1
    needs_hint: bool = False
    inside: re.Pattern[str] | None = None


EMAIL = re.compile(r"[A-Za-z0-9._%+'\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.)+[A-Za-z]{2,24}")
CARD = re.compile(r"\b[2-6]\d{3}[ \-]?\d{4}[ \-]?\d{4}[ \-]?\d{1,7}\b")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
SSN = re.compile(r"\b\d{3}-\d{2}-\d{4}\b")
PHONE = re.compile(
    r"(?:\+|00)\d{1,3}[ \-./]?(?:\(?\d{1,5}\)?[ \-./]?){2,5}\d{2,4}\b|\(\d{3}\) ?\d{3}-\d{4}\b|\b\d{3}-\d{3}-\d{4}\b"
)
PHONE_INSIDE = re.compile(
    r"(?<![\w.+])(?:\+\d{1,3}[ \-./]?(?:\(?\d{1,5}\)?[ \-./]?){2,5}\d{2,4}|\(\d{3}\) ?\d{3}-\d{4})\b"
)
WORDS = re.compile(r"[^\W\d_]+")
DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[ T].*)?|(\d{1,2})[./](\d{1,2})[./](\d{4})")
IDENTITY = (
    check_digits.social_security, check_digits.nino, check_digits.dni, check_digits.nir, check_digits.steuer_id,
    check_digits.pesel, check_digits.cpf, check_digits.codice_fiscale,
)  # fmt: skip


def words_of(name: str) -> str:
    """A column's name in words: ``customerEmail`` and ``customer_email`` as ``customer email``."""
    return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).lower().strip()


def _email(text: str) -> bool:
    return EMAIL.fullmatch(text.strip()) is not None


def _phone(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 7 <= len(digits) <= 15 and PHONE.fullmatch(text.strip()) is not None


def _digits(text: str) -> bool:
    return re.fullmatch(r"\+?[\d\s().\-/]{7,22}", text.strip()) is not None and 7 <= len(re.sub(r"\D", "", text)) <= 15


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip())
    except ValueError:
        return False
    return True


def _name(text: str) -> bool:
    """One of the words is a common name, and the whole is short, without digits and in capitals where names have them."""
    if len(text) > 90 or re.search(r"[\d@]", text):
        return False
    words = WORDS.findall(text)
    titled = sum(word[0].isupper() for word in words)
    known = any(word.lower() in GIVEN or word.lower() in FAMILY for word in words)
    return bool(words) and len(words) <= 12 and titled * 2 >= len(words) and known


def _name_like(text: str) -> bool:
    words = WORDS.findall(text)
    return bool(words) and len(words) <= 8 and text[:1].isupper() and not re.search(r"[\d@]", text)


def _birth(text: str) -> bool:
    found = DATE.fullmatch(text.strip())
    if found is None:
        return False
    year = int(found[1] or found[6])
    return 1900 <= year <= dt.datetime.now(dt.UTC).year


def _any_number(text: str) -> bool:
    return any(valid(text) for valid in IDENTITY)


KINDS: tuple[Kind, ...] = (
        Kind("email", "e-mail addresses", _email, "name@domain", hint=re.compile(r"\be ?mails?\b"), inside=EMAIL),
        Kind("iban", "bank account numbers", check_digits.iban, "ISO 13616: the country's length, 1 modulo 97",
             hint=re.compile(r"\biban\b|\baccount\b"), inside=IBAN),
        Kind("card", "payment card numbers", check_digits.card, "13 to 19 digits with Luhn's check digit", needed=0.8,
             hint=re.compile(r"\b(card|cc|pan|credit)\b"), hinted=0.5, inside=CARD),
        Kind("national_id", "national identity numbers", _any_number,
             "check digits or forbidden ranges of US, UK, ES, FR, DE, PL, BR and IT numbers", needed=0.9,
             hint=re.compile(r"\b(ssn|social security|national id|nino|dni|nie|nir|insee|steuer id|pesel|cpf|fiscal|tax id)\b"),
             hinted=0.2, inside=SSN),
        Kind("ip", "IP addresses", _address, "an IPv4 or IPv6 address", needed=0.9, hint=re.compile(r"\bip\b|\bip address\b"),
             hinted=0.3),
        Kind("phone", "telephone numbers", _phone, "+ or 00 and a country, or 555-123-4567", needed=0.8,
             inside=PHONE_INSIDE),
        Kind("phone", "telephone numbers", _digits, "7 to 15 digits in a column that is called so",
             hint=re.compile(r"\b(phone|telephone|tel|mobile|cell|cellphone|fax|telefon|handy)\b"), hinted=0.5, needs_hint=True),
        Kind("birth_date", "dates of birth", _birth, "dates since 1900 in a column that is called so",
             hint=re.compile(r"\b(birth|birthday|birthdate|dob|born|geburtsdatum|geburtstag|naissance|nacimiento)\b"),
             hinted=0.8, needs_hint=True),
        Kind("name", "names of people", _name, "words of a list of about 500 common names, capitalised", needed=0.5,
             hint=re.compile(r"\b(name|names|author|patient|customer|employee|passenger|person|contact)\b"), hinted=0.2),
        Kind("name", "names of people", _name_like, "capitalised words in a column that is called so",
             hint=re.compile(r"\b(first ?name|last ?name|sur ?name|given ?name|family ?name|full ?name|fore ?name|middle ?name|vorname|"
                             r"nachname|apellido|prenom|nombre)\b"),
             hinted=0.6, needs_hint=True),
)  # fmt: skip
"""In the order in which a column is compared with them; a kind may have a second, stricter rule of its own."""
