"""Train a torchvision model on a project folder's training images.

    python train_torchvision.py -project_directory DIR -num_epochs 256 -num_classes 2 -learning_rate 0.001 -patience 5
        -batch_size 25 -model_save_name resnet_1.pth.tar -img_shape 3 224 224 -architecture resnet18 --use_GPU

Reads DIR/csv and DIR/bin. Trains until the validation loss has not fallen for `-patience` epochs; keeps the epoch of
the lowest one in DIR/models and the training records, with curves, in DIR/results. Several architectures, batch sizes
or learning rates are a sweep over all combinations.
"""

import itertools
from argparse import BooleanOptionalAction
from dataclasses import replace
from os.path import abspath
from pathlib import Path

from pipeline import command_line, processes
from pipeline.command_line import (
    add_option,
    add_pixel_limit,
)
from pipeline.learning import recipes
from pipeline.learning.recipes import AUGMENTATIONS, CLASS_WEIGHTS, KEPT_EPOCHS, OPTIMIZERS, RECIPES, SCHEDULES
from pipeline.messages import command_text, note
from pipeline.readers import fold_choice, folder_path, number, whole_number


def default(name):
    """Return what an option's help says of its default in the recipes."""
    published, strong = (describe(getattr(recipe, name)) for recipe in RECIPES.values())
    return f" (default: {published})" if published == strong else f" (default: {published}; strong: {strong})"


def describe(choice):
    """Return a choice of a recipe in words."""
    if choice is None:
        return "none"
    return {True: "yes", False: "no"}[choice] if isinstance(choice, bool) else str(choice)


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Train a torchvision model on a project folder's training images.\n\n"
        "reads:  DIR/csv/train.csv, val.csv, classes.csv and the images in DIR/bin\n"
        "writes: DIR/models/NAME.pth.tar (the model), NAME.last.pth.tar (to resume from);\n"
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
    add_option(data, "-num_classes", "-classes", metavar="N", type=whole_number(),
               help="how many classes there should be, as a check (default: what the split says)")
    add_option(data, "-img_shape", "-img_size", nargs=3, metavar=("C", "H", "W"), type=whole_number(),
               default=[3, 224, 224], help="channels (1 or 3), height, width (default: 3 224 224)")
    add_option(data, "--keep_color", action="store_true",
               help="keep the images' colour instead of their grey values")
    add_pixel_limit(data)
    add_training_options(parser)
    run = parser.add_argument_group("run")
    add_option(run, "-model_save_name", "-save", metavar="NAME.pth.tar",
               help="the model's file name (default: ARCHITECTURE.pth.tar; sweep.pth.tar for a sweep)")
    add_option(run, "-positive_class", metavar="CLASS",
               help="the class whose finding is called positive (default: the last of two)")
    add_option(run, "-seed", metavar="N", type=whole_number(0, 2**32 - 1), default=0,
               help="of the first weights and the order of the images (default: 0)")
    add_option(run, "--use_GPU", action="store_true", help="train on the GPU (default: on the CPU)")
    add_option(run, "-precision", choices=["auto", "float32", "bfloat16"], default="auto",
               help="number format of the model's computations; auto: bfloat16 where the processor has instructions "
                    "for it, which is faster (default: auto)")
    earlier = run.add_mutually_exclusive_group()
    add_option(earlier, "--resume", action="store_true",
               help="go on after the last whole epoch of a training that was stopped")
    add_option(earlier, "--overwrite", action="store_true", help="replace an earlier training of the same name")
    # fmt: on
    return parser


def add_training_options(parser):
    """Add the options of the model and of how it is trained."""
    # fmt: off
    model = parser.add_argument_group("model and training (several values: a sweep over all combinations)")
    add_option(model, "-architecture", nargs="+", metavar="NAME", default=["resnet18"],
               help="any torchvision classification model, or vgg (vgg11_bn) or densenet (densenet121) "
                    "(default: resnet18)")
    add_option(model, "-weights", metavar="imagenet|FILE",
               help="start from torchvision's weights (fetched once), or from those in a file, all but the last "
                    "layer's (default: random weights)")
    add_option(model, "--freeze_backbone", action="store_true",
               help="with -weights: train the last layer alone (default: all, the others at a tenth of the rate)")
    add_option(model, "-batch_size", nargs="+", metavar="N", type=whole_number(),
               help="images a training step" + default("batch_size"))
    add_option(model, "-learning_rate", nargs="+", metavar="RATE", type=number(above=0),
               help="of the optimizer, at its highest" + default("learning_rate"))
    stop = parser.add_argument_group("when to stop")
    add_option(stop, "-num_epochs", metavar="N", type=whole_number(),
               help="at most so many passes over the training images" + default("max_epochs"))
    add_option(stop, "-patience", metavar="N|none", type=lambda text: text if text == "none" else whole_number()(text),
               help="stop after so many epochs in a row without a lower validation loss; none: do not"
                    + default("patience"))
    recipe = parser.add_argument_group("recipe")
    add_option(recipe, "-recipe", choices=[*RECIPES], default="published",
               help="strong: what learns best from a few hundred images; other options change a part of it "
                    "(default: published, with the training of the published work)")
    add_option(recipe, "--normalize", action=BooleanOptionalAction,
               help="shift and scale the images to mean 0 and standard deviation 1 of the training images; "
                    "--no-normalize: do not" + default("normalize"))
    add_option(recipe, "-augment", choices=AUGMENTATIONS,
               help="random changes of training images; NAME_augmented.png shows them" + default("augment"))
    add_option(recipe, "-optimizer", choices=OPTIMIZERS, help="the rule of a step" + default("optimizer"))
    add_option(recipe, "-schedule", choices=SCHEDULES,
               help="of the learning rate; one-cycle: up, then down to nothing" + default("schedule"))
    add_option(recipe, "-weight_decay", metavar="RATE", type=number(at_least=0),
               help="pull of the weights towards 0" + default("weight_decay"))
    add_option(recipe, "-label_smoothing", metavar="SHARE", type=number(at_least=0, below=1),
               help="share of the label that is spread over all classes" + default("label_smoothing"))
    add_option(recipe, "-dropout", metavar="SHARE", type=number(at_least=0, below=1),
               help="share of the inputs to leave out, at the dropout layers of the architecture or, where it has "
                    "none, before its last layer (default: what the architecture has)")
    add_option(recipe, "-class_weights", choices=CLASS_WEIGHTS,
               help="balanced: images of rare classes count more" + default("class_weights"))
    add_option(recipe, "--average_flips", action=BooleanOptionalAction,
               help="predict from an image and its mirror image; --no-average_flips: do not"
                    + default("average_flips"))
    add_option(recipe, "-keep", choices=KEPT_EPOCHS,
               help="the weights to keep: of the epoch of lowest validation loss, or of the last one" + default("keep"))
    # fmt: on


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    options.command_line = command_text("python", Path(__file__).name, *argv)
    # The rest is imported only now, so that --help answers at once.
    from pipeline import image_files
    from pipeline.errors import UserError
    from pipeline.learning import distributed, models, sweep
    from pipeline.learning.devices import pick_device
    from pipeline.learning.runs import Run
    from pipeline.project import MODEL_SUFFIX, Project, fold_name

    if options.freeze_backbone and not options.weights:
        raise UserError("--freeze_backbone: random weights would stay random; give -weights too")
    image_files.limit_pixels(options.max_pixels)
    project = Project(options.project_directory)
    project.require_organized()
    device = pick_device(options.use_GPU)
    architectures = [models.resolve_architecture(name) for name in options.architecture]
    variants = [
        (architecture, resolve_recipe(options, batch_size, learning_rate))
        for architecture, batch_size, learning_rate in sweep.grid(
            architectures, options.batch_size or [None], options.learning_rate or [None]
        )
    ]
    folds = project.folds(options.fold)
    is_sweep = len(variants) > 1
    file_name = options.model_save_name or f"{'sweep' if is_sweep else architectures[0]}{MODEL_SUFFIX}"
    name = project.model_path(file_name).name.removesuffix(MODEL_SUFFIX)
    runs = {
        (fold, variant): Run(project, fold_name(sweep.run_name(name, *variant) if is_sweep else name, fold))
        for fold in folds
        for variant in variants
    }
    for run in runs.values():
        # Several runs that are started again go on where they stopped, without being asked to.
        run.prepare(may_exist=options.resume or options.overwrite or len(runs) > 1)
    with distributed.process_group(device):
        finished, failed = train_all(project, runs, options, device)
    if processes.is_main() and finished:
        if is_sweep:
            sweep.report(project.results, name, finished)
        elif len(runs) > 1:
            sweep.print_table(finished)
    if failed:
        raise UserError(*failed)


def resolve_recipe(options, batch_size=None, learning_rate=None):
    """Return the Recipe that the options mean, for one of the batch sizes and learning rates; None: the recipe's."""
    recipe = recipes.resolve(
        options.recipe,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_epochs=options.num_epochs,
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        schedule=options.schedule,
        label_smoothing=options.label_smoothing,
        dropout=options.dropout,
        class_weights=options.class_weights,
        normalize=options.normalize,
        augment=options.augment,
        average_flips=options.average_flips,
        keep=options.keep,
    )
    if options.patience is None:
        return recipe
    return replace(recipe, patience=None if options.patience == "none" else options.patience)


def train_all(project, runs, options, device):
    """Train every run of `runs`, a dict {(fold, (architecture, Recipe)): Run}.

    Returns the hyperparameters of the finished ones, and a line for each that failed.
    """
    from pipeline.errors import UserError
    from pipeline.learning.devices import memory_shortage_named

    finished, failed = [], []
    for fold, of_this_fold in itertools.groupby(runs.items(), key=lambda entry: entry[0][0]):
        with memory_shortage_named(1, options.img_shape):
            train_set, val_set, settings = load_data(project, fold, options, device)
        for (_, (architecture, recipe)), run in of_this_fold:
            if len(runs) > 1:
                print(f"\nrun {len(finished) + len(failed) + 1} of {len(runs)}: {run.name}")
            own_settings = {"model name": run.name, "architecture": architecture, **recipe.settings(), **settings}
            try:
                with memory_shortage_named(recipe.batch_size, options.img_shape):
                    finished.append(train(run, own_settings, recipe, train_set, val_set, options.overwrite))
            except UserError as error:
                # A run that diverges, or an architecture that cannot take the images, does not end the others; but of
                # several processes one may fail that the others would wait for.
                if len(runs) == 1 or processes.count() > 1:
                    raise
                print(f"failed: {'; '.join(error.faults)}")
                failed.append(f"{run.name}: {'; '.join(error.faults)}")
        del train_set, val_set  # room for those of the next fold
    return finished, failed


def load_data(project, fold, options, device):
    """Return training and validation set, with the preprocessing, and the settings that all runs on them share."""
    from pipeline import split_files
    from pipeline.classes import require_class_count, resolve_positive_class
    from pipeline.learning import checkpoints, devices, image_sets
    from pipeline.learning.preprocessing import Preprocessing

    splits = [split_files.read_split(project, partition, fold) for partition in ("train", "val")]
    class_names = splits[0].class_names
    require_class_count(class_names, options.num_classes, "-num_classes")
    recipe = resolve_recipe(options)
    preprocessing = Preprocessing.from_options(options.img_shape, options.keep_color)
    preprocessing = replace(preprocessing, average_flips=recipe.average_flips)
    train_set, val_set = [image_sets.load_image_set(project, split, preprocessing, device) for split in splits]
    if train_set.in_color and not options.keep_color:
        note(
            f"{train_set.in_color} of {len(train_set)} training images show colour, of which the model sees grey "
            "values only; --keep_color keeps it"
        )
    if recipe.normalize:
        mean, std = train_set.channel_statistics()
        preprocessing = replace(preprocessing, mean=mean, std=std)
        train_set, val_set = (replace(images, preprocessing=preprocessing) for images in (train_set, val_set))
    settings = {
        "loss": "cross-entropy",
        "recipe": options.recipe,
        "weights": options.weights and (options.weights if options.weights == "imagenet" else abspath(options.weights)),
        "freeze backbone": options.freeze_backbone,
        "image shape": preprocessing.image_shape,
        "keep color": preprocessing.keep_color,
        "class names": class_names,
        "positive class": resolve_positive_class(class_names, options.positive_class),
        "fold": fold,
        "training images": len(train_set),
        "validation images": len(val_set),
        "split fingerprint": split_files.fingerprint(*splits),
        "command line": options.command_line,
        "seed": options.seed,
        "device": str(device),
        "precision": devices.pick_precision(options.precision, device),
        "processes": processes.count(),
        "versions": checkpoints.current_versions(),
    }
    return train_set, val_set, settings


def train(run, settings, recipe, train_set, val_set, overwrite):
    """Train one model, or go on with it; save every epoch, write the records and return the hyperparameters."""
    from pipeline.learning import devices, distributed

    with distributed.main_process_first():
        finished = None if overwrite else run.finished_hyperparameters(settings)
        if finished:
            print(f"{run.model}: finished already, after {finished['number of epochs']} epochs; nothing to do")
            return finished
        trainer = start_or_resume(run, settings, recipe, train_set, val_set, overwrite)
    if settings["device"] == "cpu" and settings["precision"] == "bfloat16":
        # Not in float32, where it would take some 500 MB more than without.
        devices.keep_freed_memory(trainer.whole)
    settings = {**settings, **trainer.settings()}
    print_plan(run, settings, recipe, trainer)
    for _ in trainer.epochs():
        if processes.is_main():
            run.save_epoch(trainer, settings)
        print_epoch(trainer)
    if not processes.is_main():
        return settings
    hyperparameters = run.write_records(settings, trainer.history)
    print_hyperparameters(run, hyperparameters)
    return hyperparameters


def start_or_resume(run, settings, recipe, train_set, val_set, overwrite):
    """Return a Trainer: a fresh one, or as it was after the last whole epoch."""
    import torch

    from pipeline.errors import UserError
    from pipeline.learning import models, transfer

    torch.manual_seed(settings["seed"])
    architecture, class_count = settings["architecture"], len(settings["class names"])
    model = models.build_model(architecture, class_count, settings["image shape"], recipe.dropout)
    models.require_batch_size(model, min(recipe.batch_size, len(train_set)), processes.count())
    last = None if overwrite else run.load_last(settings)
    if last is not None:
        start = transfer.start_of(last)
        last.load_weights(model)
    elif settings["weights"]:
        start = transfer.start_from(model, settings["weights"], architecture, class_count, train_set.preprocessing)
    else:
        start = transfer.Start(train_set.preprocessing)
    image_sets = [replace(images, preprocessing=start.preprocessing) for images in (train_set, val_set)]
    trainer = make_trainer(model.to(train_set.device), start, settings, recipe, image_sets)
    if last is not None:
        try:
            trainer.resume(last.optimizer, last.history)
        except ValueError as error:
            raise UserError(f"{run.last}: holds {error}; start anew with --overwrite") from None
        print(f"going on after epoch {last.epoch} of {run.last}")
    elif overwrite and processes.is_main():
        # Only now that nothing stands in the way of the new training any more.
        run.remove()
    return trainer


def make_trainer(model, start, settings, recipe, image_sets):
    """Return a Trainer of a model, or of its last layer alone on features where nothing changes these."""
    from pipeline.learning import training, transfer

    trained, class_count = model, len(settings["class names"])
    if settings["freeze backbone"]:
        head = transfer.freeze_backbone(
            model, settings["architecture"], class_count, settings["image shape"], start.fresh
        )
        if recipe.augment == "none" and not recipe.average_flips and not recipe.dropout:
            trained, image_sets = transfer.on_features(model, head, image_sets, settings["precision"])
    return training.Trainer(
        trained,
        *image_sets,
        recipe,
        class_count=class_count,
        seed=settings["seed"],
        precision=settings["precision"],
        fresh=start.fresh,
        whole=model,
        seen_before=start.seen_images,
    )


def print_plan(run, settings, recipe, trainer):
    """Print what is trained on what, and how where that is not the published way; draw the augmented images."""
    from pipeline.learning import augmentation

    together = f", {processes.count()} processes" if processes.count() > 1 else ""
    print(f"training {settings['architecture']} on {settings['device']}{together}, {settings['precision']}: ", end="")
    print(f"{settings['training images']} training images, {settings['validation images']} validation images")
    published = recipes.resolve("published").settings()
    differing = [f"{name} {describe(value)}" for name, value in recipe.settings().items() if value != published[name]]
    if differing:
        print(f"other than published: {', '.join(differing)}")
    if recipe.augment != "none" and processes.is_main():
        path = run.augmented
        augmentation.draw_augmented(path, trainer.train_set, recipe.augment)
        print(f"augmented training images: {path}")
    print("\nepoch      loss  accuracy  val loss  val accuracy  best", flush=True)


def print_epoch(trainer):
    """Print one line for the newest epoch."""
    from pipeline.learning.history import best_epoch

    newest = trainer.history[-1]
    line = "{epoch:5}  {loss:8.4f}  {accuracy:8.4f}  {val_loss:8.4f}  {val_accuracy:12.4f}".format(**newest)
    print(f"{line}  {best_epoch(trainer.history)['epoch']:4}", flush=True)


def print_hyperparameters(run, hyperparameters):
    """Print the published table of hyperparameters, and where everything lies."""
    from pipeline.messages import format_table

    shown = ("batch size", "learning rate", "number of epochs", "optimizer", "loss", "patience")
    print(f"\nHyperparameters of {hyperparameters['model name']} ({hyperparameters['architecture']})\n")
    print(format_table(["hyperparameter", "value"], [(name, describe(hyperparameters[name])) for name in shown]))
    print(
        f"\nbest epoch: {hyperparameters['best epoch']}, validation loss "
        f"{hyperparameters['minimum validation loss']:.4f}"
    )
    print(f"saved epoch {hyperparameters['kept epoch']} as {run.model}\nwrote:")
    for path in run.files[1:]:
        print(f"  {path}")


if __name__ == "__main__":
    main()
