"""Commands: what a signature and a docstring declare is what every surface reads."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from jupyter_mlops.domain.command import Arg, Command, collect, command
from jupyter_mlops.errors import InvalidArgument


class Shop:
    @command("buy", stage="workspace", changes=True)
    def buy(
        self,
        what: Annotated[Any, Arg(value="table", metavar="THING")],
        size: Literal["s", "m"] = "s",
        *,
        count: int = 1,
        price: float | None = None,
        gift: bool = False,
        colour: list[str] | None = None,
    ) -> str:
        """Buy a thing.

        It is then yours.

        Parameters
        ----------
        what
            The thing, as ``name``
            or picture.
        count, price
            How many, how much.

        Examples
        --------
        %mlops buy hat --count 2
        """
        return f"{what} {size} {count} {price} {gift} {colour}"


@pytest.fixture
def buy() -> Command:
    return collect(Shop)["buy"]


def test_the_declaration_is_read_off_the_method(buy: Command) -> None:
    by_name = {a.name: a for a in buy.arguments}
    assert (buy.help, buy.description) == ("Buy a thing.", "Buy a thing.\n\nIt is then yours.")
    assert buy.examples == ("%mlops buy hat --count 2",)
    assert by_name["what"].help == "The thing, as `name` or picture."
    assert by_name["count"].help == by_name["price"].help == "How many, how much."
    assert [a.positional for a in buy.arguments] == [True, True, False, False, False, False]
    assert [a.value for a in buy.arguments] == ["table", "text", "integer", "number", "flag", "text"]
    assert by_name["size"].choices == ("s", "m")
    assert by_name["colour"].many
    assert [a.name for a in buy.arguments if a.required] == ["what"]


def test_text_becomes_what_the_argument_takes(buy: Command) -> None:
    read = buy.read({"what": "hat", "count": "3", "price": "1.5", "gift": True, "colour": ["red"]})
    assert read == {"what": "hat", "count": 3, "price": 1.5, "gift": True, "colour": ["red"]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"what": "hat", "number": 1}, "unknown argument of 'buy' 'number'; known: what, size, count"),
        ({}, "'buy' also needs THING. See `%mlops buy --help`"),
        ({"what": "hat", "count": "many"}, "--count takes an integer, not 'many'"),
        ({"what": "hat", "size": "xl"}, "unknown SIZE 'xl'; known: s, m"),
        ({"what": "hat", "gift": "yes"}, "--gift is on or off"),
    ],
)
def test_what_does_not_fit_is_named(buy: Command, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as told:
        buy.read(given)
    assert message in str(told.value)


def test_a_text_stands_for_a_list_of_that_one(buy: Command) -> None:
    assert Shop().buy("hat", colour="red") == buy.call(Shop(), {"what": "hat", "colour": ["red"]})  # type: ignore[arg-type]
    assert Shop().buy("hat", colour=["red"]).endswith("['red']")
    assert Shop().buy("hat").startswith("hat s")

    class Bag:
        @command("fill", stage="workspace", changes=False)
        def fill(self, things: list[str], *more: str, with_: list[str] | None = None) -> list[Any]:
            """Fill it."""
            return [things, more, with_]

    assert Bag().fill("a", "b", "c", with_="d") == [["a"], ("b", "c"), ["d"]]  # type: ignore[arg-type]


def test_a_variadic_argument_is_a_list_for_surfaces_and_spread_for_the_method() -> None:
    class Zoo:
        @command("meet", stage="workspace", changes=False)
        def meet(self, keeper: str, *animals: Annotated[str, Arg(metavar="ANIMAL")], loud: bool = False) -> Any:
            """Meet animals."""
            return keeper, animals, loud

    meet = collect(Zoo)["meet"]
    assert [(a.name, a.many, a.required) for a in meet.arguments] == [
        ("keeper", False, True),
        ("animals", True, False),
        ("loud", False, False),
    ]
    given = meet.read({"keeper": "ann", "animals": ["owl", "cat"], "loud": True})
    assert meet.call(Zoo(), given) == ("ann", ("owl", "cat"), True)
    assert meet.call(Zoo(), meet.read({"keeper": "ann"})) == ("ann", (), False)
