"""Predict a project's test images, or any other images, with a trained model.

    python test_torchvision.py -dir DIR -classes 2 -batch_size 100 -save resnet_1.pth.tar -architecture resnet18
        -result_json_name resnet_1_preds.json -img_size 3 224 224 --use_GPU
    python test_torchvision.py -save MODEL.pth.tar -images FOLDER_OR_FILE -out FILE.csv -operating_point RESULTS.json
    python test_torchvision.py -save MODEL.pth.tar -external FOLDER -out FILE_preds.json
    python test_torchvision.py -save MODEL.pth.tar -export MODEL.onnx
    python test_torchvision.py -dir DIR -save resnet_1.pth.tar --explain -mc_samples 30

Reads the checkpoint, which says by itself what it is, and the images; writes the predictions of a labelled partition as
JSON into DIR, those of new images as CSV; and if asked to, pictures of where in the images the model looks.
"""

import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which is left out where PYTHONSAFEPATH is set

from pipeline import command_line
from pipeline.command_line import add_option, add_pixel_limit
from pipeline.errors import UserError
from pipeline.messages import command_text
from pipeline.project import Project, script_command
from pipeline.readers import file_path, fold_choice, folder_path, number, whole_number


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Predict a project's test images, or any other images, with a trained model.\n\n"
        "reads:  DIR/models/NAME.pth.tar; DIR/csv and DIR/bin, or with -images or -external any image files\n"
        "writes: DIR/NAME_preds.json, or with -images a CSV file, with --explain pictures beside it;\n"
        "        with -external a JSON file, with -export the model as ONNX or safetensors;\n"
        "        with -doubtful_labels a page and a CSV file in DIR",
        "python test_torchvision.py -dir DIR -classes 2 -batch_size 100 -save resnet_1.pth.tar -architecture resnet18 "
        "-result_json_name resnet_1_preds.json -img_size 3 224 224\n"
        "  python test_torchvision.py -save DIR/models/resnet_1.pth.tar -images FOLDER_OR_FILE -out FILE.csv",
    )
    # fmt: off
    data = parser.add_argument_group("a project's labelled images")
    add_option(data, "-dir", "-proj_dir", "-project_directory", metavar="DIR", type=folder_path,
               help="project folder (required, unless -images, -external or -export is given)")
    add_option(data, "-split", choices=["train", "val", "test"], help="partition (default: test)")
    add_option(data, "-fold", metavar="K", type=fold_choice,
               help="fold of a cross-validation, or all: one predictions file each, with -images all "
                    "models together")
    add_option(data, "--ensemble", action="store_true",
               help="with -fold all, the mean of all folds' models, for images that none of them has trained on")
    add_option(data, "-result_json_name", metavar="NAME.json",
               help="predictions file, in DIR (default: NAME_preds.json; NAME_val_preds.json for another split)")
    add_option(data, "-doubtful_labels", metavar="NAME.html",
               help="with -fold all, a page in DIR of the images whose label is doubtful, and NAME.csv to correct them")
    new = parser.add_argument_group("or new images")
    add_option(new, "-images", metavar="PATH", type=folder_path, help="folder of images, or one image, without labels")
    add_option(new, "-out", metavar="FILE", type=Path,
               help="predictions file, CSV (default: standard output); with -external JSON (required)")
    add_option(new, "-operating_point", metavar="RESULTS.json", type=Path,
               help="results of this model: calibrate and decide as it was measured there; the sensitivity and "
                    "specificity go into FILE_operating_point.json")
    outside = parser.add_argument_group("or labelled images from elsewhere")
    add_option(outside, "-external", metavar="FOLDER", type=folder_path,
               help="folder in any layout that partition_datasets.py takes; it is only read")
    add_option(outside, "-labels_csv", metavar="FILE.csv", type=file_path,
               help="table of its images and classes, instead of class folders")
    add_option(outside, "-class_map", metavar="FILE.csv", type=file_path,
               help="CSV external,class: which class of the model each of theirs is; empty: left out")
    add_option(outside, "--keep_leaks", action="store_true",
               help="predict images, too, that the model has trained on or that look the same")
    export = parser.add_argument_group("or the model for other programs")
    add_option(export, "-export", metavar="FILE.onnx", type=Path,
               help="the model with its preprocessing (and the -operating_point) as ONNX, checked on images of -dir or "
                    "drawn ones; or FILE.safetensors, its weights")
    model = parser.add_argument_group("model")
    add_option(model, "-save", "-model_save_name", metavar="NAME.pth.tar",
               help="checkpoint, in DIR/models or a path (default: the only one there is)")
    add_option(model, "-positive_class", metavar="CLASS",
               help="the class whose finding is called positive (default: what the checkpoint says)")
    said = parser.add_argument_group("what the checkpoint already says (checked; needed for one that says nothing)")
    add_option(said, "-architecture", metavar="NAME", help="torchvision's name of the model")
    add_option(said, "-classes", "-num_classes", metavar="N", type=whole_number(), help="number of classes")
    add_option(said, "-img_size", "-img_shape", nargs=3, metavar=("C", "H", "W"), type=whole_number(),
               help="channels, height, width")
    add_option(said, "--keep_color", action="store_true", default=None, help="the model sees colour, not grey values")
    add_option(said, "-mean", nargs="+", metavar="X", type=number(),
               help="subtracted from the images' values in [0, 1], one number or one a channel")
    add_option(said, "-std", nargs="+", metavar="X", type=number(above=0), help="what they are divided by then")
    more = parser.add_argument_group("where the model looks, and how certain it is")
    add_option(more, "--explain", action="store_true",
               help="show where the model looks: NAME_preds_explained.png with the most telling images; with -images, "
                    "every image, in FILE_explained/")
    add_option(more, "-mc_samples", metavar="N", type=whole_number(2),
               help="Monte Carlo dropout: predict each image N times, 2 or more, with random dropout; gives mean "
                    "probabilities and how uncertain they are (default: predict once, without dropout)")
    run = parser.add_argument_group("run")
    add_option(run, "-batch_size", metavar="N", type=whole_number(), help="batch size (default: 100)")
    add_option(run, "--use_GPU", action="store_true", help="predict on the GPU (default: on the CPU)")
    add_pixel_limit(run)
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    require_one_task(options)
    require_places(options.dir, options.images, options.result_json_name, options.out, options.explain)
    require_out_of_fold(options.doubtful_labels, options.fold, options.split, options.ensemble)
    together = options.fold == "all" and (
        options.ensemble or bool(options.images or options.external or options.export)
    )
    require_one_model_where_needed(together, options.fold, options.ensemble, options.explain, options.mc_samples)
    # The rest is imported only now, so that --help answers at once.
    from pipeline import image_files
    from pipeline.learning import devices, new_images, testing

    if options.explain:
        from pipeline.learning import overlays  # it takes matplotlib half a second
    if options.doubtful_labels:
        from pipeline.learning import doubtful_labels

    image_files.limit_pixels(options.max_pixels)
    project = None if options.dir is None else Project(options.dir)
    device = devices.pick_device(options.use_GPU)
    given = {"keep_color": options.keep_color, "mean": options.mean, "std": options.std}
    given = {name: value for name, value in given.items() if value is not None}
    choice = testing.ModelChoice(
        options.save, project, options.architecture, options.classes, options.img_size, given, options.positive_class
    )
    command = command_text("python", Path(__file__).name, *argv)
    manner = {"batch_size": options.batch_size or 100, "sample_count": options.mc_samples}

    if options.external is not None:
        from pipeline.learning import external
        from pipeline.partitioning import outside

        ensemble = choice.load_ensemble(device, options.fold)
        images = outside.labelled_images(options.external, options.labels_csv)
        chosen = {"class_map": options.class_map, "keep_leaks": options.keep_leaks}
        path = external.validate(
            ensemble, images, options.external, options.out, command_line=command, **chosen, **manner
        )
        print(f"next: {script_command('calc_model_performance.py', path, testing.results_path([path]))}")
        return

    if options.export is not None:
        from pipeline.learning import export

        ensemble = choice.load_ensemble(device, options.fold)
        point = new_images.read_operating_point(options.operating_point, ensemble, None)
        export.export_model(ensemble, options.export, point, project)
        return

    if options.images is not None:
        explain = functools.partial(overlays.write_overlays, pictures_folder(options.out)) if options.explain else None
        ensemble = choice.load_ensemble(device, options.fold)
        point = new_images.read_operating_point(options.operating_point, ensemble, options.mc_samples)
        new_images.predict_new_images(ensemble, options.images, options.out, explain=explain, point=point, **manner)
        return

    project.require_organized()
    paths = []
    doubtful = doubtful_labels.DoubtfulLabels(project, options.doubtful_labels) if options.doubtful_labels else None
    for fold in ["all"] if together else project.folds(options.fold):
        ensemble, images, predictions = testing.predict_partition(
            choice, project, options.split or "test", fold, device, command_line=command, **manner
        )
        path = testing.predictions_path(project, predictions, options.result_json_name)
        if options.explain:
            predictions.gallery = testing.gallery_path(path).name
            overlays.draw_gallery(testing.gallery_path(path), ensemble.members[0], images, predictions)
        testing.write_predictions(path, predictions)
        paths.append(path)
        if doubtful:
            doubtful.add(ensemble.members[0], images, predictions)
    if doubtful:
        doubtful.write()
    print(f"next: {script_command('calc_model_performance.py', *paths, testing.results_path(paths))}")


def pictures_folder(out):
    """Return the folder, beside the table of new images, of the pictures that explain them, and print it."""
    folder = out.with_name(f"{out.stem}_explained")
    print(f"where the model looks: {folder}")
    return folder


def require_one_task(options):
    """Raise UserError unless the options are those of a project's labelled images, of new or of external ones."""
    tasks = [name for name in ("images", "external", "export") if getattr(options, name) is not None]
    if not tasks and options.dir is None:
        raise UserError("-dir: give the project folder, or -images for new images")
    if len(tasks) > 1:
        raise UserError(f"{', '.join(f'-{name}' for name in tasks)}: are different tasks; give one of them")
    task = tasks[0] if tasks else "dir"
    only_for = {
        "-split": "dir",
        "--ensemble": "dir",
        "-result_json_name": "dir",
        "-doubtful_labels": "dir",
        "-positive_class": "dir external export",
        "--explain": "dir images",
        "-out": "images external",
        "-operating_point": "images export",
        "-labels_csv": "external",
        "-class_map": "external",
        "--keep_leaks": "external",
        "-mc_samples": "dir images external",
        "-batch_size": "dir images external",
        "--use_GPU": "dir images external",
    }
    given = {name: getattr(options, name.lstrip("-")) for name in only_for}
    faults = [
        f"{name if value is True else f'{name} {value}'}: has no effect "
        + (f"with -{task}" if tasks else f"without -{only_for[name].split()[0]}")
        for name, value in given.items()
        if value not in (None, False) and task not in only_for[name].split()
    ]
    if task == "external" and (options.out is None or options.out.suffix != ".json"):
        faults.append("-external: give the JSON file for the predictions too, -out NAME_preds.json")
    if faults:
        raise UserError(*faults)


def require_one_model_where_needed(together, fold, ensemble, explain, sample_count):
    """Raise UserError unless what is meant for one model is asked of one, and what is meant for several of several."""
    if ensemble and not together:
        given = "without -fold all" if fold is None else f"with -fold {fold}"
        raise UserError(f"--ensemble: has no effect {given}; give -fold all")
    if together and explain:
        raise UserError("--explain: shows where one model looks; give the number of one with -fold")
    if together and sample_count is not None:
        raise UserError(
            f"-mc_samples {sample_count}: several models are uncertain where they disagree; leave it out, or give the "
            "number of one with -fold"
        )


def require_out_of_fold(doubtful_labels, fold, split, ensemble):
    """Raise UserError unless doubtful labels are asked of models that have not trained on the images."""
    if doubtful_labels and (fold != "all" or ensemble or split not in (None, "test")):
        raise UserError(
            f"-doubtful_labels {doubtful_labels}: takes the test images of every fold, which its model has not seen; "
            "give -fold all, without --ensemble and another -split"
        )


def require_places(project, images, json_name, out, explain):
    """Raise UserError where what is to be written has no folder, or would be read as images the next time."""
    if json_name is not None and not (project / json_name).parent.is_dir():
        raise UserError(f"-result_json_name {json_name}: no such folder in {project}; create it or give another name")
    if out is not None and not out.parent.is_dir():
        raise UserError(f"-out {out}: no such folder {out.parent}; create it or give another name")
    if not explain or images is None:
        return
    if out is None:
        raise UserError("--explain: the pictures of new images go beside a file; give -out FILE.csv too")
    if images.resolve() in out.resolve().parents:
        raise UserError(
            f"-out {out}: the pictures beside it would be new images of {images} the next time; give another place"
        )
    if (out.parent / "csv").is_dir() and (out.parent / "bin").is_dir():
        raise UserError(
            f"-out {out}: the folder of pictures beside it would be a class at the next split of {out.parent}; give "
            "another place"
        )


if __name__ == "__main__":
    main()
