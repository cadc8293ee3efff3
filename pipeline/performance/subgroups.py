"""The main figures for each value of a column of a user's table: for each hospital, scanner or age group, say."""

from dataclasses import dataclass

import numpy as np

from pipeline import image_table, user_table
from pipeline.errors import UserError, require_none
from pipeline.file_names import composed
from pipeline.performance import metrics
from pipeline.performance.figures import Figure, missing_of
from pipeline.performance.metrics import OneAgainstRest
from pipeline.performance.roc import area_figure


@dataclass(frozen=True)
class Subgroup:
    """The figures of the images with one value."""

    value: str
    count: int  # images, or groups if these are counted
    group_count: int | None
    accuracy: Figure
    sensitivity: Figure  # of the positive class, or the mean over classes, like the area
    specificity: Figure | None  # None for more than two classes
    auc: Figure


@dataclass(frozen=True)
class Subgroups:
    """The subgroups by the values of a column, the least accurate first."""

    file: str
    column: str
    by_value: list[Subgroup]
    without_value: int  # images (or groups) with no line in the table, or an empty cell
    of_several: int  # groups whose images have different values


def subgroups(predictions, table, column, folders):
    """Return the Subgroups of Predictions by a column of the CSV file `table`.

    Args:
        folders: those of the predictions files. A csv/images.csv there tells where each image came from, and therefore
            which names in the table mean it.

    Raises UserError, one line per fault, if the table is not as user_table reads it, gives an image two values, or
    gives no image a value.
    """
    if predictions.file_names is None:
        raise UserError("-by: the predictions have no 'filenames', by which images are found in a table")
    known = [names for folder in dict.fromkeys(folders) for names in image_table.names_of(folder / "csv")]
    members = predictions.members or [[name] for name in predictions.file_names]
    value_of = _values(user_table.read(table), column, known, [name for names in members for name in names])
    found = [{value_of.get(composed(name), "") for name in names} - {""} for names in members]
    values = np.array([values.pop() if len(values) == 1 else "" for values in map(set, found)], dtype=object)
    if not (values != "").any():
        raise UserError(f"-by {table}:{column}: gives none of the {len(members)} {predictions.unit}s measured a value")
    by_value = [_subgroup(value, predictions.select(values == value)) for value in sorted(set(values) - {""})]
    return Subgroups(
        table.name,
        column,
        sorted(by_value, key=lambda each: each.accuracy.value),
        without_value=sum(not each for each in found),
        of_several=sum(len(each) > 1 for each in found),
    )


def _values(table, column, known, measured):
    """Return {name in bin/, letters composed: value} of what the table's column says about the images.

    `known` holds the names of each image of the project, so that the name of one that is not measured is not mistaken
    for another; `measured` holds the names of those that are.
    """
    image_column, value_column, faults = *_columns(table, column), []
    in_bin = {composed(names[-1]) for names in known}
    names_of = [*known, *([name] for name in measured if composed(name) not in in_bin)]
    value_of, line_of = {}, {}
    for line in table.lines(image_column, names_of, faults):
        value = line.cells[value_column]
        name = "" if line.image is None else composed(names_of[line.image][-1])
        if not name or not value:
            continue
        if value_of.setdefault(name, value) != value:
            faults.append(f"{line.where}: {line.name!r} has another {column} in line {line_of[name]}; correct one")
        line_of.setdefault(name, line.number)
    require_none(faults)
    return value_of


def _columns(table, column):
    """Return the positions of the columns of the image's name and of the value."""
    names, values = table.columns_called(user_table.IMAGE_HEADERS), table.header.count(column)
    header, faults = ",".join(table.header), []
    if values != 1:
        count = "has no such column" if values == 0 else f"has {values} such columns"
        faults.append(f"-by {table.path}:{column}: {count}; its header is {header}")
    if len(names) != 1:
        count = "no column" if not names else f"{len(names)} columns"
        faults.append(f"-by {table.path}: {count} for the image's name in its header ({header}); call one column image")
    require_none(faults)
    return names[0], table.header.index(column)


def _subgroup(value, part):
    ones = OneAgainstRest.shown(part)
    sensitivities = {name: metrics.sensitivity(one) for name, one in ones.items()}
    reason = missing_of(sensitivities)
    if part.positive_class is not None:
        sensitivity = sensitivities[part.positive_class]
        specificity = metrics.specificity(ones[part.positive_class])
    else:
        figures = list(sensitivities.values())
        sensitivity = Figure(None, reason=reason) if reason else metrics.mean_by_label(figures, part)
        specificity = None
    return Subgroup(
        value,
        len(part.labels),
        part.group_count,
        metrics.accuracy(part),
        sensitivity,
        specificity,
        area_figure(list(ones.values())),
    )
