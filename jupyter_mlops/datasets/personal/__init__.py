"""Personal data: found by validated patterns, names of columns and lists of names; hashed before anything is stored."""

from __future__ import annotations

from .masking import MASK_KEY, mask_key, mask_table, masked_example
from .searching import Found, found_in

__all__ = ["MASK_KEY", "Found", "found_in", "mask_key", "mask_table", "masked_example"]
