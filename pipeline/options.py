"""The options of a script as the fields of a dataclass, each with its default and its help in one place.

command_line.add_choices turns them into options of the command line.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields

OTHERS = ""  # the group of options that name none


@dataclass(frozen=True)
class Option:
    """How a choice is named on the command line, and what is accepted there."""

    name: str  # the spelling that --help shows
    help: str
    group: str = OTHERS
    read: Callable = None  # a reader of values; None: the text as it is, or for a bool a switch
    values: tuple = None  # all that are valid
    metavar: str | tuple = None
    other_names: tuple = ()
    count: int | str = None  # of values, as argparse's nargs, if the default does not tell
    flag: bool = False  # a bool that is given or not, without an opposite
    again: bool = False  # giving it again adds values instead of replacing them
    needs: tuple = ()  # the field without which it has no effect, and what to say if that is missing


def choice(default, *option, kind=Option, **details):
    """Return a dataclass field with a default and an Option, or a `kind` of it."""
    return field(default=default, metadata={"option": kind(*option, **details)})


def given(parsed):
    """Return {name: value} of those parsed options that were given: the others are None or False.

    Not for a command_line.Switch, whose False is a choice.
    """
    return {name: value for name, value in vars(parsed).items() if value is not None and value is not False}


def unmet_needs(chosen):
    """Return a line for each option of a dataclass of choices that is given without the one that it needs."""
    options = {entry.name: entry.metadata["option"] for entry in fields(chosen) if "option" in entry.metadata}
    return [
        f"{option.name}: {option.needs[1]}"
        for name, option in options.items()
        if option.needs and getattr(chosen, name) and not getattr(chosen, option.needs[0])
    ]
