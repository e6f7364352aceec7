"""Check digits: whether a number is one of its kind, by the rule its issuer publishes."""

from __future__ import annotations

import re

__all__ = ["card", "codice_fiscale", "cpf", "dni", "iban", "nino", "nir", "pesel", "social_security", "steuer_id"]

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24,
    "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24, "SI": 19,
    "SK": 24, "SM": 27, "TR": 26,
}  # fmt: skip
_SEPARATORS = re.compile(r"[\s.\-/]")
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
    strict=True))  # fmt: skip


def card(text: str) -> bool:
    """A payment card: 13 to 19 digits that begin with 2 to 6, with Luhn's check digit (ISO/IEC 7812).

    Examples
    --------
    >>> card("4111 1111 1111 1111"), card("4111 1111 1111 1112")
    (True, False)
    """
    digits = _SEPARATORS.sub("", text)
    if not re.fullmatch(r"[2-6]\d{12,18}", digits) or len(set(digits)) == 1:
        return False
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if i % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban(text: str) -> bool:
    """An international bank account number: its country's length, and 1 modulo 97 (ISO 13616).

    Examples
    --------
    >>> iban("GB82 WEST 1234 5698 7654 32"), iban("GB82 WEST 1234 5698 7654 33")
    (True, False)
    """
    plain = re.sub(r"\s", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{10,30}", plain) or _IBAN_LENGTHS.get(plain[:2], len(plain)) != len(
        plain
    ):
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def social_security(text: str) -> bool:
    """A social security number of the United States as written, 078-05-1120; never 000, 666 or 9xx, 00, 0000."""
    return bool(re.fullmatch(r"(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}", text.strip()))


def nino(text: str) -> bool:
    """A national insurance number of the United Kingdom, by the letters that may stand in it.

    Examples
    --------
    >>> nino("AB 12 34 56 C"), nino("GB 12 34 56 C")
    (True, False)
    """
    plain = text.replace(" ", "").upper()
    return bool(re.fullmatch(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", plain))


def dni(text: str) -> bool:
    """A Spanish DNI or NIE: the letter is the number modulo 23.

    Examples
    --------
    >>> dni("12345678Z"), dni("12345678A"), dni("X1234567L")
    (True, False, True)
    """
    plain = _SEPARATORS.sub("", text).upper()
    if not re.fullmatch(r"[XYZ]?\d{7,8}[A-Z]", plain):
        return False
    number = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return len(number) == 8 and _DNI[int(number) % 23] == plain[-1]


def nir(text: str) -> bool:
    """A French social security number: 97 less the number modulo 97; Corsica's 2A is 19 and 2B is 18.

    Examples
    --------
    >>> nir("2 55 08 14 168 025 38"), nir("2 55 08 14 168 025 39")
    (True, False)
    """
    plain = _SEPARATORS.sub("", text).upper()
    if not re.fullmatch(r"[1-478]\d{2}(0[1-9]|1[0-2]|[2-9]\d)(\d{2}|2[AB])\d{6}\d{2}", plain):
        return False
    number = plain[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(plain[13:])


def steuer_id(text: str) -> bool:
    """A German tax identification number: ISO 7064 MOD 11,10, one digit of the first ten two or three times.

    Examples
    --------
    >>> steuer_id("86095742719"), steuer_id("86095742718")
    (True, False)
    """
    plain = _SEPARATORS.sub("", text)
    if not re.fullmatch(r"[1-9]\d{10}", plain) or max(map(plain[:10].count, set(plain[:10]))) not in (2, 3):
        return False
    rest = 10
    for digit in plain[:10]:
        total = (int(digit) + rest) % 10 or 10
        rest = total * 2 % 11
    return (11 - rest) % 10 == int(plain[10])


def pesel(text: str) -> bool:
    """A Polish PESEL: a date of birth, and weights 1 3 7 9.

    Examples
    --------
    >>> pesel("44051401359"), pesel("44051401358")
    (True, False)
    """
    if not re.fullmatch(r"\d{2}([02468][1-9]|[13579][012])(0[1-9]|[12]\d|3[01])\d{5}", text.strip()):
        return False
    digits = [int(d) for d in text.strip()]
    return (10 - sum(d * w for d, w in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=False)) % 10) % 10 == digits[
        10
    ]


def cpf(text: str) -> bool:
    """A Brazilian CPF: two check digits modulo 11.

    Examples
    --------
    >>> cpf("529.982.247-25"), cpf("529.982.247-24")
    (True, False)
    """
    plain = _SEPARATORS.sub("", text)
    if not re.fullmatch(r"\d{11}", plain) or len(set(plain)) == 1:
        return False
    digits = [int(d) for d in plain]
    return all(sum(d * (n + 1 - i) for i, d in enumerate(digits[:n])) * 10 % 11 % 10 == digits[n] for n in (9, 10))


def codice_fiscale(text: str) -> bool:
    """An Italian codice fiscale: the last letter is a sum modulo 26.

    Examples
    --------
    >>> codice_fiscale("RSSMRA85T10A562S"), codice_fiscale("RSSMRA85T10A562A")
    (True, False)
    """
    plain = text.strip().upper()
    if not re.fullmatch(r"[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", plain):
        return False
    total = sum(_ODD[c] if i % 2 == 0 else (int(c) if c.isdigit() else ord(c) - 65) for i, c in enumerate(plain[:15]))
    return chr(65 + total % 26) == plain[15]
