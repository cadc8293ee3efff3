"""Checking what a value in a file is, since anyone may have written it."""

import math


def is_plain_number(value, low=-math.inf, high=math.inf):
    """Tell whether something is a number (not a bool) from `low` to `high`."""
    return type(value) in (int, float) and low <= value <= high


def are_texts(values):
    """Tell whether something is a list of strings."""
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
