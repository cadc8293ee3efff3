"""The baselines JSON: what is to be had from these images without seeing the picture. Imports no torch."""

from pipeline import files
from pipeline.errors import UserError

FIGURES = ("name", "accuracy", "accuracy interval", "roc auc", "roc auc interval", "n")


def read(path):
    """Return the baselines of a file as a list of dicts with the keys in FIGURES; the area may be None.

    Raises UserError, with a line a fault, where the file is not as partition_datasets.py writes it.
    """
    baselines = files.read_json_object(path).get("baselines")
    if not isinstance(baselines, list) or not baselines:
        raise UserError(
            f"{path}: 'baselines' is missing or no list; is it a file of partition_datasets.py --baselines?"
        )
    faults = [
        f"{path}: baseline {number}: {fault}" for number, entry in enumerate(baselines) for fault in _faults(entry)
    ]
    if faults:
        raise UserError(*faults)
    return [{name: entry.get(name) for name in FIGURES} for entry in baselines]


def _faults(entry):
    if not isinstance(entry, dict):
        return ["is no object"]
    checks = (
        ("name", isinstance(entry.get("name"), str), "is not a string"),
        ("accuracy", _is_share(entry.get("accuracy")), "is not a number from 0 to 1"),
        ("accuracy interval", _is_interval(entry.get("accuracy interval")), "is not two ascending numbers from 0 to 1"),
        ("roc auc", entry.get("roc auc") is None or _is_share(entry["roc auc"]), "is not null or a number from 0 to 1"),
        (
            "roc auc interval",
            entry.get("roc auc interval") is None or _is_interval(entry["roc auc interval"]),
            "is not null or two ascending numbers from 0 to 1",
        ),
        ("n", type(entry.get("n")) is int and entry["n"] > 0, "is not a whole number above 0"),
    )
    return [f"{name!r} {problem}" for name, right, problem in checks if not right]


def _is_share(value):
    return type(value) in (int, float) and 0 <= value <= 1


def _is_interval(value):
    return isinstance(value, list) and len(value) == 2 and all(map(_is_share, value)) and value[0] <= value[1]
