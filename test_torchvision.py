"""Predict a project's test images, or any other images, with a trained model.

    python test_torchvision.py -dir DIR -classes 2 -batch_size 100 -save resnet_1.pth.tar -architecture resnet18
        -result_json_name resnet_1_preds.json -img_size 3 224 224 --use_GPU
    python test_torchvision.py -save MODEL.pth.tar -images FOLDER_OR_FILE -out FILE.csv -operating_point RESULTS.json
    python test_torchvision.py -save MODEL.pth.tar -external FOLDER -out FILE_preds.json
    python test_torchvision.py -save MODEL.pth.tar -export MODEL.onnx
    python test_torchvision.py -dir DIR -save resnet_1.pth.tar --explain -mc_samples 30

Reads the checkpoint, which says what it is, and the images. Writes the predictions of a labelled partition as JSON into
DIR and those of new images as CSV and, if asked to, pictures of where in the images the model looks.
"""

import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which is left out if PYTHONSAFEPATH is set

from pipeline import command_line
from pipeline.command_line import add_choices, add_pixel_limit
from pipeline.learning import tasks
from pipeline.learning.tasks import Task
from pipeline.messages import command_text
from pipeline.project import propose


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
    groups = {name: parser.add_argument_group(name) for name in tasks.GROUPS}
    add_choices(groups, Task)
    add_pixel_limit(groups[tasks.RUN])
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    task = Task(**{field.name: getattr(options, field.name) for field in fields(Task)})
    # The rest is imported only now, so that --help answers at once; torch last, which takes seconds.
    from pipeline import image_files
    from pipeline.learning import task_files

    task_files.require(task)
    image_files.limit_pixels(task.max_pixels)

    from pipeline.learning import devices, testing

    if task.explain:
        from pipeline.learning import overlays  # takes half a second, because of matplotlib
    if task.doubtful_labels:
        from pipeline.learning import doubtful_labels

    device = devices.pick_device(task.use_GPU)
    command = command_text("python", Path(__file__).name, *argv)
    if task.name == tasks.PROJECT:
        explain = overlays.draw_gallery if task.explain else None
        doubtful = task.doubtful_labels and doubtful_labels.DoubtfulLabels(task.project, task.doubtful_labels)
        paths = testing.predict_folds(task, device, command, explain, doubtful)
        propose("calc_model_performance.py", *paths, task_files.results_path(paths))
        return

    ensemble = testing.load_ensemble(task, device, task.fold)
    match task.name:
        case tasks.NEW:
            from pipeline.learning import new_images

            explain = overlays.beside(task.out) if task.explain else None
            point = testing.operating_point_of(task, ensemble)
            new_images.predict_new_images(ensemble, task, explain, point)
        case tasks.EXTERNAL:
            from pipeline.learning import external
            from pipeline.partitioning import outside

            images = outside.labelled_images(task.external, task.labels_csv, task.columns or [])
            testing.write_predictions(task.out, external.predict_external(ensemble, images, task, command))
            propose("calc_model_performance.py", task.out, task_files.results_path([task.out]))
        case tasks.EXPORT:
            from pipeline.learning import export

            export.export_model(ensemble, task.export, testing.operating_point_of(task, ensemble), task.project)


if __name__ == "__main__":
    main()
