"""Effects: what a statement or function does to the names around it, to files and to the random generators."""

from __future__ import annotations

from dataclasses import dataclass, field

from .outside import Outside

__all__ = ["Call", "Effects", "FunctionEffects"]


@dataclass(frozen=True)
class Call:
    """One call.

    Parameters
    ----------
    dotted
        The function as written, ``np.random.shuffle``.
    handed
        What it is given: the keyword, empty for an argument by position, and the names whose objects that may hold.
    acts
        Its result is thrown away, and it is not known to only show something: it is called for what it changes.
    """

    dotted: str
    handed: tuple[tuple[str, frozenset[str]], ...]
    acts: bool


@dataclass
class FunctionEffects:
    """What a function or class does to the names around it when it is used."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    mutates: set[str] = field(default_factory=set)
    parameters: tuple[str, ...] = ()
    changed_parameters: set[str] = field(default_factory=set)
    defaults: dict[str, set[str]] = field(default_factory=dict)
    """The names whose objects a parameter may hold when it is not given."""
    calls: list[Call] = field(default_factory=list)
    """What it calls, with those of its parameters that it hands on."""
    is_generator: bool = False
    caches: bool = False
    """Whether it keeps what it gave: ``functools.cache``."""
    outside: Outside = field(default_factory=Outside)


@dataclass
class Effects:
    """What a statement does to the names of the notebook.

    Parameters
    ----------
    reads
        Names whose value it uses.
    writes
        Names it binds in any case.
    maybe
        Names it binds on some path.
    mutates
        Names whose object it may change in place; `surely` of them for certain.
    aliases
        What it binds to a name may be, hold or be part of the objects of these names.
    functions
        The functions and classes it defines.
    calls
        What it calls.
    """

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    maybe: set[str] = field(default_factory=set)
    mutates: set[str] = field(default_factory=set)
    surely: set[str] = field(default_factory=set)
    deletes: set[str] = field(default_factory=set)
    aliases: dict[str, set[str]] = field(default_factory=dict)
    same: dict[str, set[str]] = field(default_factory=dict)
    """Those of `aliases` that may be the very same object, not a part or a view of it."""
    functions: dict[str, FunctionEffects] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    iterators: set[str] = field(default_factory=set)
    outside: Outside = field(default_factory=Outside)
