"""Split a folder of labelled images into training, validation and test sets.

    python partition_datasets.py -proj_dir DIR -val_test_prop 0.1 -num_classes 2

Reads DIR's class folders (DIR/no, DIR/yes, ...) and writes train.csv, val.csv, test.csv, classes.csv and
images.csv into DIR. Moves nothing: organize_files.py, the next step, does.
"""

from fractions import Fraction
from pathlib import Path

from pipeline import command_line
from pipeline.command_line import (
    add_option,
    add_pixel_limit,
)
from pipeline.messages import command_text, note
from pipeline.readers import folder_path, whole_number


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Split a folder of labelled images into training, validation and test sets.\n\n"
        "reads:  the class folders in DIR, every file in them that decodes as an image\n"
        "writes: train.csv, val.csv, test.csv, classes.csv and images.csv in DIR (in DIR/csv once organized)",
        "python partition_datasets.py -proj_dir DIR -val_test_prop 0.1 -num_classes 2",
    )
    # fmt: off
    data = parser.add_argument_group("data")
    add_option(data, "-proj_dir", "-project_directory", "-dir", metavar="DIR", required=True, type=folder_path,
               help="folder that holds one folder per class (required)")
    add_option(data, "-num_classes", "-classes", metavar="N", type=whole_number(),
               help="how many classes there should be, as a check (default: as many as found)")
    add_pixel_limit(data)
    split = parser.add_argument_group("split")
    add_option(split, "-val_test_prop", metavar="P", default=Fraction("0.1"), type=held_out_proportion,
               help="share of the images for validation, and as much again for test (default: 0.1)")
    add_option(split, "-seed", metavar="N", type=whole_number(0, 2**32 - 1), default=0,
               help="the same seed gives the same split (default: 0)")
    add_option(split, "-folds", metavar="K", type=whole_number(2, 100),
               help="cross-validation: K splits in DIR/csv/fold_0, fold_1, ..., every image tested in one of them")
    together = parser.add_argument_group("what must stay in one partition")
    add_option(together, "-near_duplicates", metavar="BITS", type=whole_number(0, 64), default=10,
               help="how many of the 256 bits of two images' difference hashes may differ for them to count as the "
                    "same image; 0: only identical images do (default: 10)")
    add_option(together, "-group_csv", metavar="FILE.csv", type=Path,
               help="CSV of file name,group (a patient number, say): a group's images stay together")
    add_option(together, "--keep_label_conflicts", action="store_true",
               help="keep images that lie in two classes (default: in no partition)")
    check = parser.add_argument_group("check")
    add_option(check, "--baselines", action="store_true",
               help="measure what file sizes, brightness and thumbnails alone tell about the class; writes "
                    "baselines.json")
    # fmt: on
    return parser


def held_out_proportion(text):
    """Read a proportion between 0 and 0.5 as an exact fraction: 0.1 is 1/10, not the float beside it."""
    try:
        proportion = Fraction(text)
    except (ValueError, ZeroDivisionError):
        proportion = Fraction(0)
    if not 0 < proportion < Fraction(1, 2):
        raise ValueError(
            f"{text!r} is not a number above 0 and below 0.5 (the proportion of validation and of test images each)"
        )
    return proportion


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    # The rest is imported only now, so that --help answers at once.
    from pipeline import image_files, split_files
    from pipeline.partitioning import catalogue, splitting
    from pipeline.performance import baselines
    from pipeline.project import Project

    image_files.limit_pixels(options.max_pixels)
    project = Project(options.proj_dir)
    images = find_images(project)
    class_names = sorted(images.loc[images["left_out"] == "", "class_name"].unique())
    split_files.require_class_count(class_names, options.num_classes, "-num_classes")

    images = group_images(project, images, options)
    chosen = images[images["left_out"] == ""]
    if options.folds is None:
        assigned = splitting.assign_partitions(
            chosen["class_name"], chosen["group"], options.val_test_prop, options.seed
        )
        assignments = {None: assigned}
        print_counts(chosen["class_name"], assigned, options.val_test_prop)
    else:
        folds = splitting.assign_folds(
            chosen["class_name"], chosen["group"], options.folds, options.val_test_prop, options.seed
        )
        assignments = dict(enumerate(folds))
        print_fold_counts(chosen["class_name"], folds)
    write_tables(project, images, chosen, class_names, assignments)
    if options.baselines:
        paths = [catalogue.location(project, row) for row in chosen.itertuples()]
        labels = [class_names.index(name) for name in chosen["class_name"]]
        test_parts = splitting.test_parts(chosen["class_name"], chosen["group"], options.folds or 5, options.seed)
        baselines.report(project.tables / "baselines.json", paths, labels, class_names, test_parts, options.seed)
    print(f"next: {command_text('python', 'organize_files.py', project.root)}")


def find_images(project):
    """Return the table of all images, those in bin/ by now and those in class folders; name the unreadable."""
    from pipeline.errors import UserError
    from pipeline.partitioning import catalogue

    known = catalogue.images_in_bin(project)
    images = catalogue.assign_bin_names(known, catalogue.scan_class_folders(project, known))
    for row in images[images["left_out"] != ""].itertuples():
        note(f"left out: {catalogue.location(project, row)}: {row.left_out}")
    if images.loc[images["left_out"] == "", "class_name"].nunique() < 2:
        raise UserError(
            f"{project.root}: images of fewer than two classes in it; give the folder that holds one folder of "
            "images per class"
        )
    return images


def group_images(project, images, options):
    """Give each image its group, leave out those that lie in two classes, and tell what was found."""
    from pipeline.partitioning import duplicate_report, duplicates, known_groups

    readable = images["left_out"] == ""
    found = duplicates.find_duplicates(images[readable], options.near_duplicates)
    groups = found.near
    if options.group_csv:
        groups = duplicates.group_equal(groups, known_groups.read_known_groups(options.group_csv, images[readable]))
    images.loc[readable, "group"] = [str(group) for group in groups]
    if not options.keep_label_conflicts:
        images.loc[readable, "left_out"] = found.label_conflicts
    duplicate_report.report(project, images[readable], found, options.near_duplicates)
    return images


def print_counts(class_names, partitions, proportion):
    """Print the sizes of the partitions, over all and by class, and where groups kept them from being exact."""
    import pandas as pd

    from pipeline.messages import format_table
    from pipeline.partitioning import splitting
    from pipeline.project import PARTITIONS

    counts = pd.crosstab(pd.Series(partitions), class_names.array).reindex(PARTITIONS)
    print("\nImages per partition\n")
    print(format_table(["partition", "images"], [*counts.sum(axis=1).items(), ("total", len(partitions))]))
    print("\nImages per partition and class\n")
    print(format_table(["partition", *counts.columns], counts.itertuples()))
    print()
    for class_name in counts.columns:
        asked = splitting.held_out_counts(int(counts[class_name].sum()), proportion)
        found = (counts.loc["val", class_name], counts.loc["test", class_name])
        if asked != found:
            note(
                f"class {class_name!r}: {found[0]} validation and {found[1]} test images instead of {asked[0]} "
                f"and {asked[1]}, since images that belong together stay together"
            )


def print_fold_counts(class_names, folds):
    """Print the sizes of each fold's partitions, over all and by class."""
    import pandas as pd

    from pipeline.messages import format_table
    from pipeline.project import PARTITIONS

    rows = []
    for number, partitions in enumerate(folds):
        counts = pd.crosstab(pd.Series(partitions), class_names.array).reindex(PARTITIONS)
        by_class = [" + ".join(map(str, counts.loc[partition])) for partition in PARTITIONS]
        rows.append([number, *by_class])
    print(f"\nImages per fold and partition ({' + '.join(sorted(set(class_names)))})\n")
    print(format_table(["fold", *PARTITIONS], rows))
    print()


def write_tables(project, images, chosen, class_names, assignments):
    """Write the split files, classes.csv and images.csv; `chosen` are the images that are in partitions."""
    from pipeline import split_files
    from pipeline.partitioning import catalogue

    verb = "replaced" if (project.tables / "images.csv").exists() else "wrote"
    split_files.write_splits(project, chosen, class_names, assignments)
    split_files.write_classes(project.tables / "classes.csv", class_names)
    catalogue.write(project.tables / "images.csv", images)
    if None in assignments:
        print(f"{verb} train.csv, val.csv, test.csv, classes.csv and images.csv in {project.tables}")
    else:
        print(f"wrote train.csv, val.csv and test.csv in {project.split_folder(0)} to {len(assignments) - 1}")
        print(f"{verb} classes.csv and images.csv in {project.tables}")


if __name__ == "__main__":
    main()
