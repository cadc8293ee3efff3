"""Split a folder of labelled images into training, validation and test sets.

    python partition_datasets.py -proj_dir DIR -val_test_prop 0.1 -num_classes 2

Reads DIR's class folders (DIR/no, DIR/yes, ...) and writes train.csv, val.csv, test.csv, classes.csv, images.csv and
split.json into DIR. Moves nothing: organize_files.py, the next step, does.
"""

from fractions import Fraction
from pathlib import Path

from pipeline import command_line
from pipeline.command_line import add_option, add_pixel_limit
from pipeline.messages import command_text
from pipeline.readers import file_path, folder_path, whole_number


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Split a folder of labelled images into training, validation and test sets.\n\n"
        "reads:  the class folders in DIR, every file in them that decodes as an image\n"
        "writes: train.csv, val.csv, test.csv, classes.csv, images.csv and split.json in DIR\n"
        "        (in DIR/csv once organized)",
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
               help="proportion of the images for validation, and as many again for test (default: 0.1)")
    add_option(split, "-seed", metavar="N", type=whole_number(0, 2**32 - 1), default=0,
               help="random seed; the same seed gives the same split (default: 0)")
    add_option(split, "-folds", metavar="K", type=whole_number(2, 100),
               help="cross-validation: K splits in DIR/csv/fold_0, fold_1, ..., every image tested in one of them")
    together = parser.add_argument_group("what must stay in one partition")
    add_option(together, "-near_duplicates", metavar="BITS", type=whole_number(0, 64), default=10,
               help="how many of the 256 bits of two images' difference hashes may differ for them to count as the "
                    "same image; 0: only identical images do (default: 10)")
    add_option(together, "-group_csv", metavar="FILE.csv", type=file_path,
               help="CSV of file name,group (a patient number, say): a group's images stay together, in later "
                    "splits too")
    add_option(together, "--forget_groups", action="store_true",
               help="do without the groups of an earlier -group_csv")
    add_option(together, "--keep_label_conflicts", action="store_true",
               help="keep images that lie in two classes (default: in no partition)")
    check = parser.add_argument_group("check")
    add_option(check, "--baselines", action="store_true",
               help="measure how well file sizes, brightness and thumbnails predict the class; writes baselines.json")
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
    from pipeline import image_files
    from pipeline.classes import require_class_count
    from pipeline.partitioning import catalogue, duplicate_report, duplicates, groups, splitting, tables
    from pipeline.performance import baselines
    from pipeline.project import Project, script_command
    from pipeline.split_files import SplitRecord

    image_files.limit_pixels(options.max_pixels)
    project = Project(options.proj_dir)
    tables.require_ours(project)
    images = catalogue.find_images(project)
    readable = catalogue.usable(images)
    class_names = sorted(set(readable["class_name"]))
    require_class_count(class_names, options.num_classes, "-num_classes")

    known = groups.known_groups(readable, options.group_csv, options.forget_groups)
    found = duplicates.find_duplicates(readable, options.near_duplicates)
    duplicate_report.tell(readable, found, options.near_duplicates)
    images = groups.group_images(images, found, known, options.keep_label_conflicts)

    chosen = catalogue.usable(images)
    assignments = splitting.assign(
        chosen["class_name"], chosen["group"], options.folds, options.val_test_prop, options.seed
    )
    splitting.print_counts(chosen["class_name"], assignments, options.val_test_prop)
    record = SplitRecord.of_now(command_text("python", Path(__file__).name, *argv), options.seed)
    tables.write(project, images, class_names, assignments, record)
    duplicate_report.draw(project, readable, found)
    if options.baselines:
        paths = [catalogue.location(project, row) for row in chosen.itertuples()]
        labels = [class_names.index(name) for name in chosen["class_name"]]
        groups_of = list(chosen["group"])
        test_parts = splitting.test_parts(chosen["class_name"], groups_of, options.folds or 5, options.seed)
        path = project.tables / "baselines.json"
        baselines.report(path, paths, labels, groups_of, class_names, test_parts, options.seed)
    print(f"next: {script_command('organize_files.py', project.root)}")


if __name__ == "__main__":
    main()
