"""Train a torchvision model on a project folder's training images.

    python train_torchvision.py -project_directory DIR -num_epochs 256 -num_classes 2 -learning_rate 0.001 -patience 5
        -batch_size 25 -model_save_name resnet_1.pth.tar -img_shape 3 224 224 -architecture resnet18 --use_GPU

Reads DIR/csv and DIR/bin. Trains until the validation loss has not fallen for `-patience` epochs; keeps the epoch of
the lowest one in DIR/models and the training records, with curves, in DIR/results. Several architectures, batch sizes
or learning rates are a sweep over all combinations.
"""

from pipeline import command_line
from pipeline.command_line import add_option, fold_choice, folder_path, positive_integer, positive_number, seed_number


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Train a torchvision model on a project folder's training images.\n\n"
        "reads:  DIR/csv/train.csv, val.csv, classes.csv and the images in DIR/bin\n"
        "writes: DIR/models/NAME.pth.tar (best epoch), NAME.last.pth.tar (to resume from);\n"
        "        DIR/results/NAME_hyperparameters.json, NAME_loss_values.json, NAME_loss.png, NAME_accuracy.png",
        "python train_torchvision.py -project_directory DIR -num_epochs 256 -num_classes 2 -learning_rate 0.001 "
        "-patience 5\n      -batch_size 25 -model_save_name resnet_1.pth.tar -img_shape 3 224 224 "
        "-architecture resnet18",
    )
    # fmt: off
    data = parser.add_argument_group("data")
    add_option(data, "-project_directory", "-proj_dir", "-dir", metavar="DIR", required=True, type=folder_path,
               help="project folder, as organize_files.py leaves it (required)")
    add_option(data, "-fold", metavar="K", type=fold_choice,
               help="fold of a cross-validation (partition_datasets.py -folds), or all, one after the other")
    add_option(data, "-num_classes", "-classes", metavar="N", type=positive_integer,
               help="how many classes there should be, as a check (default: what the split says)")
    add_option(data, "-img_shape", "-img_size", nargs=3, metavar=("C", "H", "W"), type=positive_integer,
               default=[3, 224, 224], help="channels (1 or 3), height, width (default: 3 224 224)")
    add_option(data, "--keep_color", action="store_true",
               help="keep the images' colour instead of their grey values")
    model = parser.add_argument_group("model and training (several values: a sweep over all combinations)")
    add_option(model, "-architecture", nargs="+", metavar="NAME", default=["resnet18"],
               help="any torchvision classification model, or vgg (vgg11_bn) or densenet (densenet121) "
                    "(default: resnet18)")
    add_option(model, "-batch_size", nargs="+", metavar="N", type=positive_integer, default=[25],
               help="images a training step (default: 25)")
    add_option(model, "-learning_rate", nargs="+", metavar="RATE", type=positive_number, default=[0.001],
               help="of the Adam optimizer (default: 0.001)")
    stop = parser.add_argument_group("when to stop")
    add_option(stop, "-num_epochs", metavar="N", type=positive_integer, default=256,
               help="at most so many passes over the training images (default: 256)")
    add_option(stop, "-patience", metavar="N", type=positive_integer, default=5,
               help="stop after so many epochs in a row without a lower validation loss (default: 5)")
    run = parser.add_argument_group("run")
    add_option(run, "-model_save_name", "-save", metavar="NAME.pth.tar",
               help="the model's file name (default: ARCHITECTURE.pth.tar; sweep.pth.tar for a sweep)")
    add_option(run, "-positive_class", metavar="CLASS",
               help="the class whose finding is called positive (default: the last of two)")
    add_option(run, "-seed", metavar="N", type=seed_number, default=0,
               help="of the first weights and the order of the images (default: 0)")
    add_option(run, "--use_GPU", action="store_true", help="train on the GPU (default: on the CPU)")
    earlier = run.add_mutually_exclusive_group()
    add_option(earlier, "--resume", action="store_true",
               help="go on after the last whole epoch of a training that was stopped")
    add_option(earlier, "--overwrite", action="store_true", help="replace an earlier training of the same name")
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    # The rest is imported only now, so that --help answers at once.
    from pipeline.errors import UserError
    from pipeline.learning import models, sweep
    from pipeline.learning.devices import pick_device
    from pipeline.learning.runs import Run
    from pipeline.project import MODEL_SUFFIX, Project, fold_name

    project = Project(options.project_directory)
    project.require_organized()
    device = pick_device(options.use_GPU)
    architectures = [models.resolve_architecture(name) for name in options.architecture]
    combinations = sweep.grid(architectures, options.batch_size, options.learning_rate)
    folds = project.folds(options.fold)
    is_sweep = len(combinations) > 1
    file_name = options.model_save_name or f"{'sweep' if is_sweep else architectures[0]}{MODEL_SUFFIX}"
    name = project.model_path(file_name).name.removesuffix(MODEL_SUFFIX)
    runs = {
        (fold, combination): Run(project, fold_name(sweep.run_name(name, *combination) if is_sweep else name, fold))
        for fold in folds
        for combination in combinations
    }
    for run in runs.values():
        # Several runs that are started again go on where they stopped, without being asked to.
        run.prepare(may_exist=options.resume or options.overwrite or len(runs) > 1)

    finished, failed = [], []
    for fold in folds:
        train_set, val_set, shared_settings = load_data(project, fold, options, device)
        for combination in combinations:
            run = runs[fold, combination]
            if len(runs) > 1:
                print(f"\nrun {len(finished) + len(failed) + 1} of {len(runs)}: {run.name}")
            settings = {"model name": run.name, **sweep.settings(combination), **shared_settings}
            try:
                finished.append(train(run, settings, train_set, val_set, options.overwrite))
            except UserError as error:
                # A run that diverges, or an architecture that cannot take the images, does not end the others.
                if len(runs) == 1:
                    raise
                print(f"failed: {'; '.join(error.faults)}")
                failed.append(f"{run.name}: {'; '.join(error.faults)}")
    if is_sweep and finished:
        sweep.report(project.results, name, finished)
    elif len(runs) > 1 and finished:
        sweep.print_table(finished)
    if failed:
        raise UserError(*failed)


def load_data(project, fold, options, device):
    """Return training and validation set on the device, and the settings that all runs on them share."""
    from pipeline import split_files
    from pipeline.classes import resolve_positive_class
    from pipeline.learning import checkpoints, image_sets
    from pipeline.learning.preprocessing import Preprocessing

    splits = [split_files.read_split(project, partition, fold) for partition in ("train", "val")]
    class_names = splits[0].class_names
    split_files.require_class_count(class_names, options.num_classes, "-num_classes")
    preprocessing = Preprocessing.from_options(options.img_shape, options.keep_color)
    train_set, val_set = [image_sets.load_image_set(project, split, preprocessing) for split in splits]
    if train_set.in_color and not options.keep_color:
        command_line.note(
            f"{train_set.in_color} of {len(train_set)} training images show colour, of which the model sees grey "
            "values only; --keep_color keeps it"
        )
    settings = {
        "maximum number of epochs": options.num_epochs,
        "optimizer": "Adam",
        "loss": "cross-entropy",
        "patience": options.patience,
        "image shape": preprocessing.image_shape,
        "keep color": preprocessing.keep_color,
        "class names": class_names,
        "positive class": resolve_positive_class(class_names, options.positive_class),
        "fold": fold,
        "training images": len(train_set),
        "validation images": len(val_set),
        "split fingerprint": split_files.fingerprint(*splits),
        "seed": options.seed,
        "device": str(device),
        "precision": "float32",
        "versions": checkpoints.current_versions(),
    }
    return train_set.to(device), val_set.to(device), settings


def train(run, settings, train_set, val_set, overwrite):
    """Train one model, or go on with it; save every epoch, write the records and return the hyperparameters."""
    from pipeline.learning import training

    finished = None if overwrite else run.finished_hyperparameters(settings)
    if finished:
        print(f"{run.model}: finished already, after {finished['number of epochs']} epochs; nothing to do")
        return finished
    model, optimizer, history = start_or_resume(run, settings, train_set, overwrite)
    print(f"training {settings['architecture']} on {settings['device']}: ", end="")
    print(f"{len(train_set)} training images, {len(val_set)} validation images\n")
    print("epoch      loss  accuracy  val loss  val accuracy  best", flush=True)
    for _ in training.epochs(
        model,
        optimizer,
        train_set,
        val_set,
        history,
        batch_size=settings["batch size"],
        max_epochs=settings["maximum number of epochs"],
        patience=settings["patience"],
        seed=settings["seed"],
    ):
        run.save_epoch(model, optimizer, train_set, val_set, settings, history)
        print_epoch(history)
    hyperparameters = run.write_records(settings, history)
    print_hyperparameters(run, hyperparameters)
    return hyperparameters


def start_or_resume(run, settings, train_set, overwrite):
    """Return model, optimizer and history: fresh ones, or as they were after the last whole epoch."""
    import torch

    from pipeline.learning import models

    torch.manual_seed(settings["seed"])
    model = models.build_model(settings["architecture"], len(settings["class names"]), settings["image shape"])
    models.require_batch_size(model, min(settings["batch size"], len(train_set)))
    if overwrite:
        # Only now that nothing stands in the way of the new training any more.
        run.remove()
    model.to(train_set.labels.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings["learning rate"])
    last = run.load_last(settings)
    if last is None:
        return model, optimizer, []
    model.load_state_dict(last.state_dict)
    optimizer.load_state_dict(last.optimizer)
    print(f"going on after epoch {last.epoch} of {run.last}")
    return model, optimizer, last.history


def print_epoch(history):
    """Print one line for the newest epoch."""
    from pipeline.learning.history import best_epoch

    newest = history[-1]
    line = "{epoch:5}  {loss:8.4f}  {accuracy:8.4f}  {val_loss:8.4f}  {val_accuracy:12.4f}".format(**newest)
    print(f"{line}  {best_epoch(history)['epoch']:4}", flush=True)


def print_hyperparameters(run, hyperparameters):
    """Print the published table of hyperparameters, and where everything lies."""
    from pipeline.tables import format_table

    shown = ("batch size", "learning rate", "number of epochs", "optimizer", "loss", "patience")
    print(f"\nHyperparameters of {hyperparameters['model name']} ({hyperparameters['architecture']})\n")
    print(format_table(["hyperparameter", "value"], [(name, hyperparameters[name]) for name in shown]))
    print(
        f"\nbest epoch: {hyperparameters['best epoch']}, validation loss "
        f"{hyperparameters['minimum validation loss']:.4f}, saved as {run.model}\nwrote:"
    )
    for path in run.files[1:]:
        print(f"  {path}")


if __name__ == "__main__":
    main()
