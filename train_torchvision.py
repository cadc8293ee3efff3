"""Train a torchvision model on a project folder's training images.

    python train_torchvision.py -project_directory DIR -num_epochs 256 -num_classes 2 -learning_rate 0.001 -patience 5
        -batch_size 25 -model_save_name resnet_1.pth.tar -img_shape 3 224 224 -architecture resnet18 --use_GPU

Reads DIR/csv and DIR/bin. Trains until the validation loss has not fallen for `-patience` epochs. Keeps the model with
the lowest loss in DIR/models and the training records, with curves, in DIR/results. Several recipes, architectures,
batch sizes or learning rates are a sweep over all combinations. pipeline/learning/training.py has the loop over the
epochs, pipeline/learning/config.py every choice and its default.
"""

import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which is left out if PYTHONSAFEPATH is set

from pipeline import command_line, processes, split_files
from pipeline.classes import resolve_positive_class
from pipeline.command_line import add_option, add_pixel_limit
from pipeline.errors import UserError, require_none
from pipeline.learning import config, planning
from pipeline.learning.config import TrainingConfig
from pipeline.messages import command_text, note
from pipeline.project import MODEL_SUFFIX, Project, propose
from pipeline.readers import fold_choice, folder_path, whole_number


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Train a torchvision model on a project folder's training images.\n\n"
        "reads:  DIR/csv/train.csv, val.csv, classes.csv and the images in DIR/bin\n"
        "writes: DIR/models/NAME.pth.tar (the model), NAME.last.pth.tar (to resume from);\n"
        "        DIR/results/NAME_epochs.csv, NAME_loss.png and NAME_accuracy.png while it trains,\n"
        "        NAME_hyperparameters.json and NAME_loss_values.json when it has finished",
        "python train_torchvision.py -project_directory DIR -num_epochs 256 -num_classes 2 -learning_rate 0.001 "
        "-patience 5 -batch_size 25 -model_save_name resnet_1.pth.tar -img_shape 3 224 224 -architecture resnet18",
    )
    groups = {name: parser.add_argument_group(name) for name in config.GROUPS}
    # fmt: off
    data, run = groups[config.DATA], groups[config.RUN]
    add_option(data, "-project_directory", "-proj_dir", "-dir", metavar="DIR", required=True, type=folder_path,
               help="project folder, as organize_files.py leaves it (required)")
    add_option(data, "-fold", metavar="K", type=fold_choice,
               help="fold of a cross-validation (partition_datasets.py -folds), or all, one after the other")
    add_option(data, "-num_classes", "-classes", metavar="N", type=whole_number(),
               help="expected number of classes, as a check (default: what the split says)")
    add_option(run, "-model_save_name", "-save", metavar="NAME.pth.tar",
               help="the model's file name (default: ARCHITECTURE.pth.tar; sweep.pth.tar for a sweep)")
    add_option(run, "--use_GPU", action="store_true", help="train on the GPU (default: on the CPU)")
    add_option(run, "--resume", action="store_true",
               help="continue a training that was stopped, after its last complete epoch")
    add_option(run, "--overwrite", action="store_true",
               help="replace an earlier training of the same name; with --resume, only one that cannot be continued")
    add_option(run, "--sweep_3d", action="store_true",
               help="draw the plot of a sweep in three dimensions, as published (default: in two)")
    command_line.add_choices(groups, TrainingConfig, config.default_text)
    add_pixel_limit(data)
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    project = Project(options.project_directory)
    folds = split_files.chosen_folds(project, options.fold)
    values = {field.name: getattr(options, field.name) for field in fields(TrainingConfig)}
    configs = config.grid({name: value for name, value in values.items() if value is not None})
    if options.sweep_3d and (len(configs) == 1 or all(one.freeze_backbone for one in configs)):
        raise UserError("--sweep_3d: has no effect without a sweep over batch sizes or learning rates; leave it out")
    for fold in folds:
        train, _ = split_files.read_training_splits(project, fold, options.num_classes)
        resolve_positive_class(train.class_names, options.positive_class)
    name, runs = planning.plan_runs(project, configs, folds, options.model_save_name)
    if options.resume and not any(run.existing for run in runs):
        note(f"--resume: {project.models} has no training called {name} to resume; it starts now")
    for run in runs:
        # Several runs that are started again continue where they stopped, even without --resume.
        continues = len(runs) > 1 and (run.resumable.exists() or run.model.exists())
        run.prepare(may_exist=options.resume or options.overwrite or continues)
    planning.require_ours(project, runs, name if len(configs) > 1 else None)
    if len(runs) == 1 and not options.overwrite:
        runs[0].require_same_choices()
    # The rest is imported only now, so that --help and faults in the options or the folder appear at once.
    from pipeline import image_files
    from pipeline.learning import devices, distributed, execution, sweep

    image_files.limit_pixels(options.max_pixels)
    device = devices.pick_device(options.use_GPU)
    command = command_text("python", Path(__file__).name, *argv)
    with distributed.process_group(device):
        finished, failed = execution.train_all(runs, device, command, options.resume, options.overwrite)

    if processes.is_main() and len(runs) > 1 and finished:
        sweep.print_table(finished)
        if len(configs) > 1:
            sweep.write_report(project.results, name, finished, options.sweep_3d)
    require_none(failed)
    if processes.is_main():
        fold = [] if options.fold is None else ["-fold", options.fold]
        name = name if len(configs) == 1 else sweep.settings_of(finished)[0]["model name"]
        propose("test_torchvision.py", "-dir", project.root, *fold, "-save", name + MODEL_SUFFIX)


if __name__ == "__main__":
    main()
