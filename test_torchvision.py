"""Predict a project's test images, or any other images, with a trained model.

    python test_torchvision.py -dir DIR -classes 2 -batch_size 100 -save resnet_1.pth.tar -architecture resnet18
        -result_json_name resnet_1_preds.json -img_size 3 224 224 --use_GPU
    python test_torchvision.py -save MODEL.pth.tar -images FOLDER_OR_FILE -out FILE.csv

Reads the checkpoint, which says by itself what it is, and the images; writes the predictions of a labelled partition as
JSON into DIR, those of new images as CSV.
"""

from pathlib import Path

from pipeline import command_line
from pipeline.command_line import add_option, add_pixel_limit, fold_choice, folder_path, positive_integer


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Predict a project's test images, or any other images, with a trained model.\n\n"
        "reads:  DIR/models/NAME.pth.tar; DIR/csv and DIR/bin, or with -images any image files\n"
        "writes: DIR/NAME_preds.json, or with -images a CSV file",
        "python test_torchvision.py -dir DIR -classes 2 -batch_size 100 -save resnet_1.pth.tar "
        "-architecture resnet18\n      -result_json_name resnet_1_preds.json -img_size 3 224 224\n"
        "  python test_torchvision.py -save DIR/models/resnet_1.pth.tar -images FOLDER_OR_FILE -out FILE.csv",
    )
    # fmt: off
    data = parser.add_argument_group("a project's labelled images")
    add_option(data, "-dir", "-proj_dir", "-project_directory", metavar="DIR", type=folder_path,
               help="project folder (required, unless -images is given)")
    add_option(data, "-split", choices=["train", "val", "test"], default="test", help="partition (default: test)")
    add_option(data, "-fold", metavar="K", type=fold_choice,
               help="fold of a cross-validation, or all: one predictions file each")
    add_option(data, "-result_json_name", metavar="NAME.json",
               help="predictions file, in DIR (default: NAME_preds.json; NAME_val_preds.json for another split)")
    new = parser.add_argument_group("new images")
    add_option(new, "-images", metavar="PATH", type=folder_path, help="folder of images, or one image, without labels")
    add_option(new, "-out", metavar="FILE.csv", type=Path, help="predictions file (default: standard output)")
    model = parser.add_argument_group("model")
    add_option(model, "-save", "-model_save_name", metavar="NAME.pth.tar",
               help="checkpoint, in DIR/models or a path (default: the only one there is)")
    add_option(model, "-positive_class", metavar="CLASS",
               help="the class whose finding is called positive (default: what the checkpoint says)")
    said = parser.add_argument_group("what the checkpoint says already (checked; needed for one that says nothing)")
    add_option(said, "-architecture", metavar="NAME", help="torchvision's name of the model")
    add_option(said, "-classes", "-num_classes", metavar="N", type=positive_integer, help="number of classes")
    add_option(said, "-img_size", "-img_shape", nargs=3, metavar=("C", "H", "W"), type=positive_integer,
               help="channels, height, width")
    run = parser.add_argument_group("run")
    add_option(run, "-batch_size", metavar="N", type=positive_integer, default=100,
               help="images at a time (default: 100)")
    add_option(run, "--use_GPU", action="store_true", help="predict on the GPU (default: on the CPU)")
    add_pixel_limit(run)
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    # The rest is imported only now, so that --help answers at once.
    from pipeline import image_files
    from pipeline.learning import new_images
    from pipeline.learning.devices import memory_shortage_named, pick_device
    from pipeline.project import Project

    require_one_task(options)
    image_files.limit_pixels(options.max_pixels)
    project = None if options.dir is None else Project(options.dir)
    device = pick_device(options.use_GPU)
    if options.images is not None:
        _, checkpoint = load_checkpoint(project, None, options)
        with memory_shortage_named(options.batch_size, checkpoint.image_shape):
            model = checkpoint.build_model().to(device)
            table = new_images.predict_files(options.images, checkpoint, model, device, options.batch_size)
        write_table(options.out, table)
        return
    project.require_organized()
    for fold in project.folds(options.fold):
        path, checkpoint = load_checkpoint(project, fold, options)
        with memory_shortage_named(options.batch_size, checkpoint.image_shape):
            predictions = predict_partition(project, options.split, fold, path, checkpoint, device, options.batch_size)
        write_predictions(project, options.result_json_name, predictions)


def load_checkpoint(project, fold, options):
    """Return the checkpoint that the options mean, checked against them, and its path."""
    from pipeline import split_files
    from pipeline.classes import resolve_positive_class
    from pipeline.learning import checkpoints
    from pipeline.learning.models import resolve_architecture

    path = checkpoints.find(options.save, project, fold)
    checkpoint = checkpoints.complete(
        checkpoints.load(path),
        path,
        architecture=options.architecture and resolve_architecture(options.architecture),
        class_count=options.classes,
        image_shape=options.img_size,
        class_names=split_files.read_class_names(project, fold) if options.images is None else None,
    )
    recorded = checkpoint.positive_class
    checkpoint.positive_class = resolve_positive_class(checkpoint.class_names, options.positive_class, recorded)
    if recorded not in (None, checkpoint.positive_class):
        command_line.note(f"positive class {checkpoint.positive_class!r} instead of {recorded!r}, which {path} names")
    return path, checkpoint


def require_one_task(options):
    """Raise UserError unless the options are those of either a project's images or new ones."""
    from pipeline.errors import UserError

    if options.dir is None and options.images is None:
        raise UserError("-dir: give the project folder, or -images for new images")
    if options.images is None and options.out is not None:
        raise UserError(f"-out {options.out}: is for new images; give -images too, or -result_json_name instead")
    if options.images is not None and options.result_json_name is not None:
        raise UserError(
            f"-result_json_name {options.result_json_name}: -images has no labels; give -out FILE.csv instead"
        )
    if options.out is not None and not options.out.parent.is_dir():
        raise UserError(f"-out {options.out}: no such folder {options.out.parent}; make it or give another name")


def predict_partition(project, partition, fold, path, checkpoint, device, batch_size):
    """Return the Predictions of the model in the checkpoint at `path` for one partition's images.

    Raises UserError where the partition is test and the model has seen one of the images in training.
    """
    from pipeline import split_files
    from pipeline.learning import checkpoints, image_sets
    from pipeline.learning.inference import predict_probabilities
    from pipeline.predictions import Predictions

    split = split_files.read_split(project, partition, fold)
    images = image_sets.load_image_set(project, split, checkpoint.build_preprocessing(), device)
    if partition == "test":
        checkpoints.require_unseen(checkpoint, path, split, images.content_hashes)
    model = checkpoint.build_model().to(device)
    probabilities = predict_probabilities(model, images.pixels_in_order(batch_size), images.preprocessing)
    return Predictions(
        labels=images.labels.numpy(),
        predictions=probabilities.argmax(axis=1),
        probabilities=probabilities,
        class_names=checkpoint.class_names,
        positive_class=checkpoint.positive_class,
        file_names=split.file_names,
        split=partition,
        fold=fold,
        checkpoint=path.name,
    )


def write_predictions(project, file_name, predictions):
    """Write the predictions JSON and print a summary of it and the next command."""
    from pipeline.project import MODEL_SUFFIX, fold_name

    name = predictions.checkpoint.removesuffix(MODEL_SUFFIX)
    suffix = "" if predictions.split == "test" else f"_{predictions.split}"
    chosen = file_name and fold_name(file_name.removesuffix(".json"), predictions.fold) + ".json"
    path = project.root / (chosen or f"{name}{suffix}_preds.json")
    replaced = path.exists()
    predictions.write(path)
    correct = int((predictions.labels == predictions.predictions).sum())
    print(f"{predictions.split}: {correct} of {len(predictions.labels)} images classified correctly")
    print(f"{'replaced' if replaced else 'wrote'} {path}")
    results = path.with_name(path.stem.removesuffix("_preds") + "_results.json")
    print(f"next: {command_line.command_text('python', 'calc_model_performance.py', path, results)}")


def write_table(path, table):
    """Write the predictions of new images as CSV to a file, or to standard output if there is none."""
    import sys

    from pipeline import files

    text = table.to_csv(index=False, lineterminator="\n")
    unreadable = int((table["error"] != "").sum())
    if unreadable:
        command_line.note(f"{unreadable} of {len(table)} files cannot be read; the column error says why")
    if path is None:
        sys.stdout.write(text)
    else:
        replaced = path.exists()
        files.write_text(path, text)
        print(f"{len(table) - unreadable} images predicted; {'replaced' if replaced else 'wrote'} {path}")


if __name__ == "__main__":
    main()
