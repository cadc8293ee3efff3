"""Labelled images from elsewhere, found as those of a project are, but only read."""

from dataclasses import replace

from pipeline.defaults import NEAR_DUPLICATE_BITS
from pipeline.image_table import usable
from pipeline.messages import counted, note
from pipeline.partitioning import catalogue, duplicates, groups, intake
from pipeline.project import Project


def labelled_images(folder, table, columns):
    """Return the table of the labelled images in a folder, in any layout that partition_datasets.py reads.

    It has the columns of images.csv, thumbnail (its bytes) and path. Unreadable files and images in two classes are
    left out, with a note. Nothing is written. `table` and `columns` are as for intake.Choices.resolve.
    """
    project = Project(folder)
    choices = intake.Choices.resolve(project, table, columns)
    choices = replace(choices, columns={**choices.columns, "split": None})  # partitions of theirs mean nothing here
    images = catalogue.find_images(project, choices)
    readable = usable(images)
    found = duplicates.find_duplicates(readable, NEAR_DUPLICATE_BITS)
    images = groups.group_images(images, found, readable["known_group"], keep_label_conflicts=False)
    chosen = usable(images)
    if len(chosen) < len(readable):
        note(f"{folder}: left out {counted(len(readable) - len(chosen))} in two classes")
    return chosen.assign(path=[catalogue.location(project, row) for row in chosen.itertuples()])
