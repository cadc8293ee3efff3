"""Gather the images in one folder and lay out the project.

    python organize_files.py DIR

Reads DIR/images.csv, which partition_datasets.py has written; moves the images from the class folders into DIR/bin
and the tables into DIR/csv; creates DIR/models and DIR/results. If interrupted, the same command completes the work.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which is left out if PYTHONSAFEPATH is set

from pipeline import command_line
from pipeline.command_line import Switch, add_option
from pipeline.errors import UserError
from pipeline.messages import counted, printable
from pipeline.project import Project, propose, script_command
from pipeline.readers import folder_path


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Gather the images of a partitioned folder in bin/ and lay out the project.\n\n"
        "reads:  DIR/images.csv and the images it names\n"
        "writes: DIR/bin (every image), DIR/csv (the tables), DIR/models and DIR/results (empty)",
        "python organize_files.py DIR",
    )
    # fmt: off
    add_option(parser, "DIR", nargs="?", type=folder_path, help="folder that partition_datasets.py has split")
    add_option(parser, "-proj_dir", "-project_directory", "-dir", metavar="DIR", type=folder_path,
               help="the same, as an option")
    add_option(parser, "--copy", action=Switch, default=None,
               help="copy the images and leave the class folders as they are, in later runs too; --no-copy moves them")
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    if (options.DIR is None) == (options.proj_dir is None):
        raise UserError("DIR, -proj_dir: give one of the two: the folder that partition_datasets.py has split")
    project = Project(options.DIR or options.proj_dir)
    table_path = project.tables / "images.csv"
    if not table_path.exists():
        raise UserError(
            f"{table_path}: no such file; run: {script_command('partition_datasets.py', '-proj_dir', project.root)}"
        )
    # The rest is imported only now, so that --help and faults in the folder's name appear at once.
    from pipeline import image_table, split_files
    from pipeline.locks import only_one
    from pipeline.partitioning import moving, project_tables

    with only_one(project.lock, project.root):
        images = [row for row in image_table.read(table_path) if row.file_name]
        project_tables.require_ours(project)
        split_files.require_finished_split(project.tables / "split.json")

        for folder in (project.bin, project.csv, project.models, project.results):
            folder.mkdir(exist_ok=True)
        if options.copy is not None:
            moving.remember_copying(project, options.copy)
        copy = moving.was_copied(project)
        gathered, removed = moving.gather_images(project, images, copy)
        emptied = [] if copy else moving.remove_emptied_folders(project, images)
        tables_moved = project_tables.move(project)

    if gathered or tables_moved:
        print(f"{'copied' if copy else 'moved'} {counted(gathered)} into {project.bin} ({len(images)} in all)")
        print(f"CSV files: {project.csv}; created: {project.models}, {project.results}")
    if pictures := [str(path) for path in tables_moved if path.suffix == ".png"]:
        print(f"moved pictures, to be checked by eye: {', '.join(pictures)}")
    if removed:
        print(f"removed {counted(removed)} from the class folders, since identical copies are in {project.bin}")
    if emptied:
        print(f"removed the emptied class folders: {printable(', '.join(emptied))}")
    if not (gathered or tables_moved or removed or emptied):
        print(f"{project.root} is organized already: {counted(len(images))} in {project.bin}; nothing to do")
    folds = ["-fold", "all"] if project.fold_folders() else []
    recommended = ("-recipe", "transfer", "-model_save_name", "transfer.pth.tar")
    propose("train_torchvision.py", "-project_directory", project.root, *folds, *recommended)


if __name__ == "__main__":
    main()
