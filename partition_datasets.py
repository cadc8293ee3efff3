"""Split a folder of labelled images into training, validation and test sets.

    python partition_datasets.py -proj_dir DIR -val_test_prop 0.1 -num_classes 2

Reads DIR's class folders (DIR/no, DIR/yes, ...), ready-made partitions (DIR/train/no, ...) or a table of labels, and
writes train.csv, val.csv, test.csv, classes.csv, images.csv and split.json into DIR. Moves nothing: organize_files.py,
the next step, does.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which is left out if PYTHONSAFEPATH is set

from pipeline import command_line, options
from pipeline.command_line import add_choices, add_option, add_pixel_limit
from pipeline.messages import command_text
from pipeline.partitioning import split_request
from pipeline.partitioning.split_request import ONLY_MEASURE, SplitRequest
from pipeline.project import propose
from pipeline.readers import folder_path


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
    groups = {name: parser.add_argument_group(name) for name in split_request.GROUPS}
    data = groups[split_request.DATA]
    add_option(data, "-proj_dir", "-project_directory", "-dir", metavar="DIR", required=True, type=folder_path,
               help="folder that holds one folder per class (required)")  # fmt: skip
    add_choices(groups, SplitRequest)
    add_pixel_limit(data)
    return parser


@command_line.entry_point
def main(argv=None):
    given = options.given(create_argparser().parse_args(argv))
    asked = SplitRequest(**given)
    project = asked.project
    # The rest is imported only now, so that --help and faults in the options appear at once.
    from pipeline import image_files
    from pipeline.locks import only_one
    from pipeline.partitioning import project_tables

    image_files.limit_pixels(asked.max_pixels)
    project_tables.require_ours(project)
    with only_one(project.lock, project.root):
        if asked.baselines and given.keys() <= ONLY_MEASURE and (project.tables / "images.csv").exists():
            measure_earlier_split(project, asked.num_classes)
            return
        split(project, asked, command_text("python", Path(__file__).name, *argv))
    propose("organize_files.py", project.root)


def measure_earlier_split(project, class_count):
    """Measure the baselines on the split that a project has, and leave it as it is."""
    from pipeline.classes import require_class_count
    from pipeline.partitioning import existing
    from pipeline.performance import baselines

    earlier = existing.read(project)
    require_class_count(sorted(set(earlier.class_of)), class_count)
    print(f"measuring on {earlier.place}; the split stays as it is (any option of the split draws a new one)")
    path = project.tables / "baselines.json"
    baselines.report(path, earlier.paths, earlier.class_of, earlier.groups, earlier.test_parts, earlier.seed)


def split(project, asked, command):
    """Find the images of a project, decide which belong together, split them, and write the tables.

    `asked` is the SplitRequest; `command` is recorded, see SplitRecord.
    """
    from pipeline.classes import require_class_count
    from pipeline.image_table import usable
    from pipeline.partitioning import catalogue, duplicate_report, duplicates, groups, intake, leaks, project_tables
    from pipeline.split_files import SplitRecord

    choices = intake.Choices.resolve(project, asked.labels_csv, asked.columns, **asked.kept_choices)
    images = catalogue.find_images(project, choices, asked.forget_groups)
    readable = usable(images)
    intake.require_found(readable, asked.kept_choices)
    groups.tell_found(readable)
    class_names = sorted(set(readable["class_name"]))
    require_class_count(class_names, asked.num_classes)

    known = groups.known_groups(readable, asked.group_csv)
    found = duplicates.find_duplicates(readable, asked.near_duplicates)
    duplicate_report.tell(readable, found, asked.near_duplicates)
    images = groups.group_images(images, found, known, asked.keep_label_conflicts)
    given = intake.given_partitions(images, choices)
    images, leaked = leaks.settle(images, given, found, asked.keep_leaks)

    chosen = usable(images)
    assignments, test_parts = assign(chosen, given[chosen.index], asked)

    record = SplitRecord(command, asked.seed, choices=choices.as_json(), leaks_kept=leaked.kept, options=asked.words)
    project_tables.write(project, images, class_names, assignments, record)
    duplicate_report.draw(project, readable, found)
    leaks.draw(project, images, leaked)
    update_baselines(project, chosen, test_parts, asked.seed)


def assign(images, given, asked):
    """Return {fold: partition of each image}, and the test parts that the baselines are measured on; print the sizes.

    `given` are the partitions that images have in a ready-made split, `asked` is the SplitRequest.
    """
    from pipeline.partitioning import existing, splitting
    from pipeline.performance import small_test_part

    class_of, group_of = images["class_name"], images["group"]
    assignments = splitting.assign(class_of, group_of, asked.folds, asked.val_test_prop, asked.seed, given)
    splitting.require_drawn(given, asked.drawing_options)
    splitting.print_counts(class_of, assignments, asked.val_test_prop, given)
    if not asked.folds:
        outlook = small_test_part.outlook(class_of, group_of, assignments[None], any(given))
        print(outlook, end=outlook and "\n\n")
    if not asked.baselines:
        return assignments, []
    fold_count = asked.folds or existing.most_folds(class_of, group_of)
    return assignments, splitting.test_parts(class_of, group_of, fold_count, asked.seed)


def update_baselines(project, images, test_parts, seed):
    """Measure the baselines on the test parts of a new split; if there are none, remove the earlier baselines."""
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
