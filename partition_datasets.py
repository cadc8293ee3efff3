"""Split a folder of labelled images into training, validation and test sets.

    python partition_datasets.py -proj_dir DIR -val_test_prop 0.1 -num_classes 2

Reads DIR's class folders (DIR/no, DIR/yes, ...) and writes train.csv, val.csv, test.csv, classes.csv and
images.csv into DIR. Moves nothing: organize_files.py, the next step, does.
"""

from fractions import Fraction

from pipeline import command_line
from pipeline.command_line import add_option, folder_path, held_out_proportion, positive_integer, seed_number


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
    add_option(data, "-num_classes", "-classes", metavar="N", type=positive_integer,
               help="how many classes there should be, as a check (default: as many as found)")
    split = parser.add_argument_group("split")
    add_option(split, "-val_test_prop", metavar="P", default=Fraction("0.1"), type=held_out_proportion,
               help="share of the images for validation, and as much again for test (default: 0.1)")
    add_option(split, "-seed", metavar="N", type=seed_number, default=0,
               help="the same seed gives the same split (default: 0)")
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    # The rest is imported only now, so that --help answers at once.
    from pipeline import catalogue, split_files, splitting
    from pipeline.project import Project

    project = Project(options.proj_dir)
    images = find_images(project)
    in_split = images["left_out"] == ""
    class_names = sorted(images.loc[in_split, "class_name"].unique())
    split_files.require_class_count(class_names, options.num_classes, "-num_classes")

    images["group"] = catalogue.groups_of_identical_files(images)
    images["partition"] = ""
    images.loc[in_split, "partition"] = splitting.assign_partitions(
        images.loc[in_split, "class_name"], images.loc[in_split, "group"], options.val_test_prop, options.seed
    )
    print_counts(images, class_names, options.val_test_prop)
    write_tables(project, images, class_names)
    print(f"next: {command_line.command_text('python', 'organize_files.py', project.root)}")


def find_images(project):
    """Return the table of all images, those in bin/ by now and those in class folders; name the unreadable."""
    from pipeline import catalogue
    from pipeline.errors import UserError

    known = catalogue.images_in_bin(project)
    images = catalogue.assign_bin_names(known, catalogue.scan_class_folders(project, known))
    for row in images[images["file_name"] == ""].itertuples():
        command_line.note(f"left out: {project.root / row.source}: {row.left_out}")
    if images.loc[images["left_out"] == "", "class_name"].nunique() < 2:
        raise UserError(
            f"{project.root}: images of fewer than two classes in it; give the folder that holds one folder of "
            "images per class"
        )
    return images


def print_counts(images, class_names, proportion):
    """Print the sizes of the partitions, over all and by class, and where groups kept them from being exact."""
    from pipeline import splitting
    from pipeline.project import PARTITIONS
    from pipeline.tables import format_table

    counts = images[images["partition"] != ""].groupby(["partition", "class_name"]).size()
    counts = counts.unstack(fill_value=0).reindex(PARTITIONS, columns=class_names, fill_value=0)
    print("\nImages per partition\n")
    print(format_table(["partition", "images"], [*counts.sum(axis=1).items(), ("total", counts.to_numpy().sum())]))
    print("\nImages per partition and class\n")
    print(format_table(["partition", *class_names], list(counts.itertuples())))
    print()
    for class_name in class_names:
        asked = splitting.held_out_counts(int(counts[class_name].sum()), proportion)
        found = (counts.loc["val", class_name], counts.loc["test", class_name])
        if asked != found:
            command_line.note(
                f"class {class_name!r}: {found[0]} validation and {found[1]} test images instead of {asked[0]} "
                f"and {asked[1]}, since identical images stay together"
            )


def write_tables(project, images, class_names):
    """Write the split files, classes.csv and images.csv."""
    from pipeline import catalogue, split_files
    from pipeline.project import PARTITIONS

    verb = "replaced" if (project.tables / "images.csv").exists() else "wrote"
    for partition in PARTITIONS:
        chosen = images[images["partition"] == partition]
        labels = [class_names.index(name) for name in chosen["class_name"]]
        split_files.write_split(project.tables / f"{partition}.csv", chosen["file_name"], labels)
    split_files.write_classes(project.tables / "classes.csv", class_names)
    catalogue.write(project.tables / "images.csv", images)
    print(f"{verb} train.csv, val.csv, test.csv, classes.csv and images.csv in {project.tables}")


if __name__ == "__main__":
    main()
