"""Split a folder of labelled images into training, validation and test sets.

    python partition_datasets.py -proj_dir DIR -val_test_prop 0.1 -num_classes 2

Reads DIR's class folders (DIR/no, DIR/yes, ...), ready-made partitions (DIR/train/no, ...) or a table of labels, and
writes train.csv, val.csv, test.csv, classes.csv, images.csv and split.json into DIR. Moves nothing: organize_files.py,
the next step, does.
"""

import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which is left out where PYTHONSAFEPATH is set

from pipeline import command_line
from pipeline.command_line import add_option, add_pixel_limit
from pipeline.defaults import NEAR_DUPLICATE_BITS
from pipeline.errors import UserError
from pipeline.messages import command_text
from pipeline.project import Project, propose
from pipeline.readers import column_choice, file_path, folder_path, whole_number

# With these options beside it, --baselines asks for no new split where there is one.
ONLY_MEASURE = {"baselines", "proj_dir", "num_classes", "max_pixels"}
# What a split depends on besides the folds, the seed and what later splits keep: to be given again for the same split.
NOT_KEPT = ("max_pixels", "val_test_prop", "keep_leaks", "near_duplicates", "keep_label_conflicts")


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Split a folder of labelled images into training, validation and test sets.\n\n"
        "reads:  the class folders in DIR, with subfolders or not, or those in DIR/train and DIR/test, or\n"
        "        a table of labels; every file that decodes as an image\n"
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
    add_option(data, "-labels_csv", metavar="FILE.csv", type=file_path,
               help="table of image and class (and group, split) for files anywhere in DIR, instead of class folders; "
                    "or the filled-in table of doubtful labels, whose corrections images.csv keeps")
    add_option(data, "-columns", nargs="+", action="extend", metavar="WHAT=COLUMN", type=column_choice, default=[],
               help="its columns, where the header does not tell: image=... class=... group=... split=...")
    add_option(data, "-files", nargs="+", action="extend", metavar="GLOB",
               help="which files are images, such as '*.jpg', where masks lie beside them (default: all)")
    add_pixel_limit(data)
    split = parser.add_argument_group("split")
    add_option(split, "-val_test_prop", metavar="P", default=Fraction("0.1"), type=held_out_proportion,
               help="proportion of the images for validation, and as many again for test (default: 0.1)")
    add_option(split, "-seed", metavar="N", type=whole_number(0, 2**32 - 1), default=0,
               help="random seed; the same seed gives the same split (default: 0)")
    add_option(split, "-folds", metavar="K", type=whole_number(2, 100),
               help="cross-validation: K splits in DIR/csv/fold_0, fold_1, ..., every image tested in one of them")
    add_option(split, "-partitions", choices=["kept", "redrawn"],
               help="ready-made partitions: kept, with missing ones drawn, or all drawn again (default: kept)")
    add_option(split, "--keep_leaks", action="store_true",
               help="keep images in ready-made partitions that belong together with images of another one (default: "
                    "they leave training, then validation)")
    together = parser.add_argument_group("what must stay in one partition")
    add_option(together, "-near_duplicates", metavar="BITS", type=whole_number(0, 64),
               default=NEAR_DUPLICATE_BITS,
               help="how many of the 256 bits of two images' difference hashes may differ for them to count as the "
                    "same image, where they correlate too; 0: only identical images do (default: "
                    f"{NEAR_DUPLICATE_BITS})")
    add_option(together, "-group_csv", metavar="FILE.csv", type=file_path,
               help="CSV of file name,group (a patient number, say): a group's images stay together, in later "
                    "splits too")
    add_option(together, "--forget_groups", action="store_true",
               help="do without the groups of an earlier -group_csv or -labels_csv")
    add_option(together, "-subfolders", choices=["grouped", "ungrouped"],
               help="whether the images of a folder in a class folder stay together (default: grouped)")
    add_option(together, "-patients", choices=["grouped", "ungrouped"],
               help="whether DICOM images of the same PatientID stay together (default: grouped)")
    add_option(together, "--keep_label_conflicts", action="store_true",
               help="keep images that lie in two classes (default: in no partition)")
    check = parser.add_argument_group("check")
    add_option(check, "--baselines", action="store_true",
               help="measure how well file sizes, brightness and thumbnails predict the class; writes baselines.json. "
                    "An earlier split stays as it is, unless another option asks for a new one")
    # fmt: on
    return parser


def held_out_proportion(text):
    """Read a proportion between 0 and 0.5 as an exact fraction: 0.1 is 1/10, not the float beside it."""
    try:
        # A float first, which has bounds: as a fraction 1e-999999999 would fill the memory.
        proportion = Fraction(text) if "/" in text or 0 < float(text) < 0.5 else Fraction(0)
    except (ValueError, ZeroDivisionError):
        proportion = Fraction(0)
    if not 0 < proportion < Fraction(1, 2):
        raise ValueError(
            f"{text!r} is not a number above 0 and below 0.5 (the proportion of validation and of test images each)"
        )
    return proportion


@command_line.entry_point
def main(argv=None):
    parser = create_argparser()
    options = parser.parse_args(argv)
    if options.columns and not options.labels_csv:
        raise UserError("-columns: has no effect without -labels_csv; give both or none")
    project = Project(options.proj_dir)
    for table in (options.labels_csv, options.group_csv):
        if table is not None and not table.exists():
            raise UserError(f"{table}: no such file; check the name")
    # The rest is imported only now, so that --help and what is wrong with options are told at once.
    from pipeline import image_files
    from pipeline.locks import only_one
    from pipeline.partitioning import project_tables

    image_files.limit_pixels(options.max_pixels)
    project_tables.require_ours(project)
    with only_one(project.lock, project.root):
        if options.baselines and parser.given(argv) <= ONLY_MEASURE and (project.tables / "images.csv").exists():
            measure_earlier_split(project, options)
            return
        split(project, options, command_text("python", Path(__file__).name, *argv), not_kept(parser, options))
    propose("organize_files.py", project.root)


def not_kept(parser, options):
    """Return the words of a command line that give those of the NOT_KEPT options that differ from their defaults."""
    words = []
    for name in NOT_KEPT:
        value = getattr(options, name)
        if value != parser.get_default(name):
            words += [f"--{name}"] if value is True else [f"-{name}", str(value)]
    return words


def drawing_options(options, words):
    """Return those options that differ from their defaults and are only about the drawing of partitions.

    The baselines are measured on folds, which are drawn with the seed in any case.
    """
    seed = ["-seed"] if options.seed and not options.baselines else []
    return seed + [word for word in words if word == "-val_test_prop"]


def measure_earlier_split(project, options):
    """Measure the baselines on the split that a project has, and leave it as it is."""
    from pipeline.classes import require_class_count
    from pipeline.partitioning import existing
    from pipeline.performance import baselines

    earlier = existing.read(project)
    require_class_count(sorted(set(earlier.class_of)), options.num_classes)
    print(f"measuring on {earlier.place}; the split stays as it is (an option of the split draws a new one)")
    path = project.tables / "baselines.json"
    baselines.report(path, earlier.paths, earlier.class_of, earlier.groups, earlier.test_parts, earlier.seed)


def split(project, options, command, words):
    """Find the images of a project, decide which belong together, split them, and write the tables.

    `command` and `words` are recorded, see SplitRecord.
    """
    from pipeline.classes import require_class_count
    from pipeline.image_table import usable
    from pipeline.partitioning import (
        catalogue,
        duplicate_report,
        duplicates,
        groups,
        intake,
        leaks,
        project_tables,
    )
    from pipeline.split_files import SplitRecord

    asked = {name: getattr(options, name) for name in ("files", "subfolders", "patients", "partitions")}
    choices = intake.Choices.resolve(project, options.labels_csv, options.columns, **asked)
    images = catalogue.find_images(project, choices, options.forget_groups)
    readable = usable(images)
    intake.require_found(readable, asked)
    groups.tell_found(readable)
    class_names = sorted(set(readable["class_name"]))
    require_class_count(class_names, options.num_classes)

    known = groups.known_groups(readable, options.group_csv)
    found = duplicates.find_duplicates(readable, options.near_duplicates)
    duplicate_report.tell(readable, found, options.near_duplicates)
    images = groups.group_images(images, found, known, options.keep_label_conflicts)
    given = intake.given_partitions(images, choices)
    images, leaked = leaks.settle(images, given, found, options.keep_leaks)

    chosen = usable(images)
    assignments, test_parts = assign(chosen, given[chosen.index], options, words)

    record = SplitRecord(command, options.seed, choices=choices.as_json(), leaks_kept=leaked.kept, options=words)
    project_tables.write(project, images, class_names, assignments, record)
    duplicate_report.draw(project, readable, found)
    leaks.draw(project, images, leaked)
    update_baselines(project, chosen, test_parts, options.seed)


def assign(images, given, options, words):
    """Return {fold: partition of each image}, and the test parts that the baselines are measured on; print the sizes.

    `given` are the partitions that images have in a ready-made split, `words` the options of a new one.
    """
    from pipeline.partitioning import existing, splitting
    from pipeline.performance import small_test_part

    class_of, group_of = images["class_name"], images["group"]
    assignments = splitting.assign(class_of, group_of, options.folds, options.val_test_prop, options.seed, given)
    splitting.require_drawn(given, drawing_options(options, words))
    splitting.print_counts(class_of, assignments, options.val_test_prop, given)
    if not options.folds:
        outlook = small_test_part.outlook(class_of, group_of, assignments[None], any(given))
        print(outlook, end=outlook and "\n\n")
    if not options.baselines:
        return assignments, []
    fold_count = options.folds or existing.most_folds(class_of, group_of)
    return assignments, splitting.test_parts(class_of, group_of, fold_count, options.seed)


def update_baselines(project, images, test_parts, seed):
    """Measure the baselines on the test parts of a new split; where it has none, remove those of the earlier one."""
    from pipeline.partitioning import catalogue
    from pipeline.performance import baselines

    path = project.tables / "baselines.json"
    if test_parts:
        paths = [catalogue.location(project, row) for row in images.itertuples()]
        baselines.report(path, paths, images["class_name"], images["group"], test_parts, seed)
    elif path.exists():
        path.unlink()
        print(f"removed {path}, which was measured on the earlier split; --baselines measures on this one")


if __name__ == "__main__":
    main()
