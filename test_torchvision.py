"""Predict a project's test images, or any other images, with a trained model.

    python test_torchvision.py -dir DIR -classes 2 -batch_size 100 -save resnet_1.pth.tar -architecture resnet18
        -result_json_name resnet_1_preds.json -img_size 3 224 224 --use_GPU
    python test_torchvision.py -save MODEL.pth.tar -images FOLDER_OR_FILE -out FILE.csv
    python test_torchvision.py -dir DIR -save resnet_1.pth.tar --explain -mc_samples 30

Reads the checkpoint, which says by itself what it is, and the images; writes the predictions of a labelled partition as
JSON into DIR, those of new images as CSV; and if asked to, pictures of where in the images the model looks.
"""

from pathlib import Path

from pipeline import command_line
from pipeline.command_line import (
    add_option,
    add_pixel_limit,
)
from pipeline.messages import command_text, note
from pipeline.readers import fold_choice, folder_path, whole_number


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Predict a project's test images, or any other images, with a trained model.\n\n"
        "reads:  DIR/models/NAME.pth.tar; DIR/csv and DIR/bin, or with -images any image files\n"
        "writes: DIR/NAME_preds.json, or with -images a CSV file; with --explain pictures beside it",
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
    add_option(said, "-classes", "-num_classes", metavar="N", type=whole_number(), help="number of classes")
    add_option(said, "-img_size", "-img_shape", nargs=3, metavar=("C", "H", "W"), type=whole_number(),
               help="channels, height, width")
    more = parser.add_argument_group("why, and how sure")
    add_option(more, "--explain", action="store_true",
               help="show where the model looks: NAME_preds_explained.png with the images that tell most; of new "
                    "images each, in FILE_explained/")
    add_option(more, "-mc_samples", metavar="N", type=whole_number(2),
               help="predict each image so many times, 2 or more, leaving out other parts of the model by dropout: "
                    "mean probabilities, and how unsure they are (default: predict once, with the whole model)")
    run = parser.add_argument_group("run")
    add_option(run, "-batch_size", metavar="N", type=whole_number(), default=100,
               help="images at a time (default: 100)")
    add_option(run, "--use_GPU", action="store_true", help="predict on the GPU (default: on the CPU)")
    add_pixel_limit(run)
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    options.command_line = command_text("python", Path(__file__).name, *argv)
    # The rest is imported only now, so that --help answers at once.
    from pipeline import image_files
    from pipeline.learning.devices import memory_shortage_named, pick_device
    from pipeline.project import Project

    require_one_task(options)
    image_files.limit_pixels(options.max_pixels)
    project = None if options.dir is None else Project(options.dir)
    device = pick_device(options.use_GPU)
    if options.images is not None:
        path, checkpoint = load_checkpoint(project, None, options)
        with memory_shortage_named(options.batch_size, checkpoint.image_shape):
            write_new_images(options, checkpoint, build_model(path, checkpoint, device, options), device)
        return
    project.require_organized()
    for fold in project.folds(options.fold):
        path, checkpoint = load_checkpoint(project, fold, options)
        with memory_shortage_named(options.batch_size, checkpoint.image_shape):
            model = build_model(path, checkpoint, device, options)
            images, predictions = predict_partition(project, fold, path, checkpoint, model, device, options)
            write_predictions(project, options, model, images, predictions)


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
        note(f"positive class {checkpoint.positive_class!r} instead of {recorded!r}, which {path} names")
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
    if options.explain and options.images is not None and options.out is None:
        raise UserError("--explain: the pictures of new images go beside a file; give -out FILE.csv too")
    if options.explain and options.images is not None and options.images.resolve() in options.out.resolve().parents:
        raise UserError(
            f"-out {options.out}: the pictures beside it would be new images of {options.images} the next time; "
            "give another place"
        )
    if options.out is not None and not options.out.parent.is_dir():
        raise UserError(f"-out {options.out}: no such folder {options.out.parent}; make it or give another name")


def build_model(path, checkpoint, device, options):
    """Return the model of the checkpoint at `path`; UserError where it cannot do what the options ask for."""
    import torch

    from pipeline.learning import dropout

    model = checkpoint.build_model().to(device)
    if options.mc_samples is not None:
        dropout.require_dropout(model, path)
        torch.manual_seed(dropout.SEED)
    return model


def predict_partition(project, fold, path, checkpoint, model, device, options):
    """Return the ImageSet of the partition that the options mean, and the model's Predictions for it.

    Raises UserError where the partition is test and the model has seen one of the images in training.
    """
    from pipeline import split_files
    from pipeline.learning import checkpoints, dropout, image_sets
    from pipeline.learning.inference import predict_probabilities
    from pipeline.predictions import Predictions

    split = split_files.read_split(project, options.split, fold)
    images = image_sets.load_image_set(project, split, checkpoint.build_preprocessing(), device)
    if options.split == "test":
        checkpoints.require_unseen(checkpoint, path, split, images.content_hashes)
    batches = images.pixels_in_order(options.batch_size)
    uncertainty = {}
    if options.mc_samples is None:
        probabilities = predict_probabilities(model, batches, images.preprocessing)
    else:
        sampled = dropout.predict_samples(model, batches, images.preprocessing, options.mc_samples)
        probabilities = sampled.probabilities
        uncertainty = {
            "sample_count": options.mc_samples,
            "predictive_entropy": sampled.predictive_entropy,
            "mutual_information": sampled.mutual_information,
        }
    return images, Predictions(
        labels=images.labels.numpy(),
        predictions=probabilities.argmax(axis=1),
        probabilities=probabilities,
        class_names=checkpoint.class_names,
        positive_class=checkpoint.positive_class,
        file_names=split.file_names,
        split=options.split,
        fold=fold,
        checkpoint=path.name,
        command_line=options.command_line,
        **uncertainty,
    )


def write_predictions(project, options, model, images, predictions):
    """Write the predictions JSON, and with --explain its gallery; print a summary of it and the next command."""
    from pipeline.project import MODEL_SUFFIX, fold_name

    name = predictions.checkpoint.removesuffix(MODEL_SUFFIX)
    suffix = "" if predictions.split == "test" else f"_{predictions.split}"
    json_name = options.result_json_name
    chosen = json_name and fold_name(json_name.removesuffix(".json"), predictions.fold) + ".json"
    path = project.root / (chosen or f"{name}{suffix}_preds.json")
    correct = int((predictions.labels == predictions.predictions).sum())
    print(f"{predictions.split}: {correct} of {len(predictions.labels)} images classified correctly")
    if options.explain:
        from pipeline.learning import overlays

        gallery = path.with_name(f"{path.stem}_explained.png")
        predictions.gallery = gallery.name
        verb = "replaced" if gallery.exists() else "wrote"
        overlays.draw_gallery(gallery, model, images, predictions)
        print(f"{verb} {gallery}")
    verb = "replaced" if path.exists() else "wrote"
    predictions.write(path)
    print(f"{verb} {path}")
    results = path.with_name(path.stem.removesuffix("_preds") + "_results.json")
    print(f"next: {command_text('python', 'calc_model_performance.py', path, results)}")


def write_new_images(options, checkpoint, model, device):
    """Predict new images and write the table, as CSV, to a file, or to standard output if there is none."""
    import contextlib
    import sys

    from pipeline import files
    from pipeline.learning import new_images

    path, count, unreadable = options.out, 0, 0
    replaced = path is not None and path.exists()
    overlay_folder = path.with_name(f"{path.stem}_explained") if options.explain else None
    with contextlib.ExitStack() as stack:
        file = sys.stdout if path is None else stack.enter_context(files.whole_text_file(path))
        for table in new_images.predict_files(
            options.images, checkpoint, model, device, options.batch_size, options.mc_samples, overlay_folder
        ):
            table.to_csv(file, index=False, lineterminator="\n", header=count == 0)
            count, unreadable = count + len(table), unreadable + int((table["error"] != "").sum())
    if unreadable:
        note(f"{unreadable} of {count} files cannot be read; the column error says why")
    if path is not None:
        print(f"{count - unreadable} images predicted; {'replaced' if replaced else 'wrote'} {path}")
    if overlay_folder and overlay_folder.is_dir():
        print(f"where the model looks: {overlay_folder}")


if __name__ == "__main__":
    main()
