"""Training and testing speed beside a tutorial's loop, Lightning, and the bare training step.

    pip install -r benchmarks/requirements.txt
    python benchmarks/train_speed.py FOLDER [-architecture NAME ...] [-repeats N] [--use_GPU]

FOLDER holds class folders of images and is copied. Trains each architecture for three epochs on every side, each in a
process of its own, one side after the other and all of them again for each repeat. The first epoch warms up, and
the medians are those of all others. An epoch is the steps over the training images and the pass over the validation
images, without saving. "bare" takes the same steps on images that are ready on the device: 100% of it is the most that
a loop can reach. Times are compared as ratios of medians. The other sides are in training_sides.py. Unix only.
"""

import json
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import measuring
import torch
import training_sides
from training_sides import BATCH_SIZE

from pipeline import command_line
from pipeline.command_line import add_option
from pipeline.messages import format_table
from pipeline.readers import folder_path, whole_number

EPOCHS = 3  # the first is warm-up
SIDES = ("naive", "lightning", "ours, float32", "ours", "bare")


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Measure training and testing beside a tutorial's loop, Lightning, and the bare training step.\n\n"
        "reads:  FOLDER, class folders of images\nwrites: tables on standard output",
        "python benchmarks/train_speed.py FOLDER",
    )
    parser.add_argument("FOLDER", type=folder_path, help="class folders of images; copied, never changed")
    # fmt: off
    add_option(parser, "-architecture", nargs="+", metavar="NAME", default=["resnet18", "densenet121", "vgg11_bn"],
               help="torchvision's names; testing is measured with the first (default: resnet18 densenet121 vgg11_bn)")
    add_option(parser, "-repeats", metavar="N", type=whole_number(), default=3, help="of all sides (default: 3)")
    add_option(parser, "--use_GPU", action="store_true", help="all sides on the GPU, in batches of 256 instead of 25")
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    device = "cuda" if options.use_GPU else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        measuring.make_project(options.FOLDER, project)
        counts = {partition: measuring.count_images(project, partition) for partition in ("train", "val", "test")}
        runs = measure_training(project, options.architecture, device, options.repeats)
        tests = measure_testing(project, options.architecture[0], device, options.repeats)
    print(measuring.machine("torch", "torchvision", "lightning"))
    if options.use_GPU:
        print(torch.cuda.get_device_name())
    print_epochs(runs, counts)
    precisions = (torch.float32, torch.bfloat16)
    peaks = [training_sides.matrix_product_peak(torch.device(device), precision) for precision in precisions]
    print("\nLarge matrix products: {:.0f} GFLOP/s in float32, {:.0f} in bfloat16".format(*peaks))
    print_commands(runs)
    print_tests(tests, counts)


def measure_training(project, architectures, device, repeats):
    """Return {(architecture, side): [(Measured, seconds of each epoch), ...]}, one entry per repeat."""
    runs = defaultdict(list)
    for repeat in range(repeats):
        for architecture in architectures:
            for side in SIDES:
                if side.startswith("ours"):
                    precision = "auto" if side == "ours" else "float32"
                    measured = train(project, architecture, precision, device)
                    seconds = measuring.epoch_seconds(project, architecture)
                else:
                    measured = other_side(side, project, architecture, device, EPOCHS)
                    seconds = json.loads(measured.output.splitlines()[-1])
                tell(repeat, architecture, side, *(f"{epoch:.2f} s" for epoch in seconds))
                runs[architecture, side].append((measured, seconds))
    return runs


def measure_testing(project, architecture, device, repeats):
    """Return {(side, partition): [seconds of the process, ...]}, one entry per repeat."""
    runs = defaultdict(list)
    for repeat in range(repeats):
        for partition in ("test", "train"):
            naive = other_side("naive_test", project, architecture, device, partition).seconds
            ours = test(project, architecture, device, partition).seconds
            tell(repeat, architecture, partition, f"naive {naive:.2f} s, ours {ours:.2f} s")
            runs["naive", partition].append(naive)
            runs["ours", partition].append(ours)
    return runs


def train(project, architecture, precision, device):
    """Run our training script."""
    return measuring.run_script(
        *("train_torchvision.py", "-project_directory", project, "-architecture", architecture),
        *("-num_epochs", EPOCHS, "-batch_size", BATCH_SIZE[device], "-precision", precision, "--overwrite"),
        *(["--use_GPU"] if device == "cuda" else []),
    )


def test(project, architecture, device, partition):
    """Run our testing script."""
    return measuring.run_script(
        *("test_torchvision.py", "-dir", project, "-save", f"{architecture}.pth.tar"),
        *("-split", partition, "-batch_size", BATCH_SIZE[device]),
        *(["--use_GPU"] if device == "cuda" else []),
    )


def other_side(side, project, architecture, device, last):
    """Run one of the sides in training_sides.py."""
    return measuring.run(training_sides.__file__, side, project, architecture, device, BATCH_SIZE[device], last)


def tell(repeat, *words):
    print(f"repeat {repeat + 1}:", *words, file=sys.stderr, flush=True)


def print_epochs(runs, counts):
    """Print the medians of the epochs, and how they compare."""
    epochs = {key: [second for _, seconds in repeats for second in seconds[1:]] for key, repeats in runs.items()}
    medians = {key: statistics.median(seconds) for key, seconds in epochs.items()}
    rows = []
    for (architecture, side), seconds in medians.items():
        of_this = epochs[architecture, side]
        work = training_sides.floating_point_operations(architecture, counts["train"], counts["val"])
        rows.append(
            [
                architecture,
                side,
                f"{seconds:.2f}",
                f"{min(of_this):.2f} to {max(of_this):.2f}",
                f"{(counts['train'] + counts['val']) / seconds:.1f}",
                f"{work / seconds / 1e9:.0f}",
                f"{medians[architecture, 'naive'] / seconds:.2f}",
                f"{100 * medians[architecture, 'bare'] / seconds:.0f}%",
            ]
        )
    print(f"\nAn epoch: {counts['train']} training and {counts['val']} validation images\n")
    headers = ["architecture", "side", "seconds", "range", "images/s", "GFLOP/s", "times naive", "% of bare"]
    print(format_table(headers, rows))


def print_commands(runs):
    """Print what the whole processes took."""
    rows = []
    for (architecture, side), repeats in runs.items():
        if side != "bare":
            memory = statistics.median(measured.memory for measured, _ in repeats)
            seconds = statistics.median(measured.seconds for measured, _ in repeats)
            naive = statistics.median(measured.seconds for measured, _ in runs[architecture, "naive"])
            rows.append([architecture, side, f"{seconds:.1f}", f"{naive / seconds:.2f}", f"{memory:.0f}"])
    print(f"\nThe whole process, {EPOCHS} epochs; Lightning's memory is without its worker processes\n")
    print(format_table(["architecture", "side", "seconds", "times naive", "peak memory (MB)"], rows))


def print_tests(tests, counts):
    """Print how long testing few and many images took, and the rate from the difference, which excludes starting up."""
    rates, rows = {}, []
    for side in ("naive", "ours"):
        few, many = (statistics.median(tests[side, partition]) for partition in ("test", "train"))
        rates[side] = (counts["train"] - counts["test"]) / (many - few)
        ratio = rates[side] / rates["naive"]
        rows.append([side, f"{few:.2f}", f"{many:.2f}", f"{rates[side]:.1f}", f"{ratio:.2f}"])
    few, many = (f"{counts[partition]} images (s)" for partition in ("test", "train"))
    print("\nTesting, the whole process; the rate is that of the additional images\n")
    print(format_table(["side", few, many, "images/s", "times naive"], rows))


if __name__ == "__main__":
    main()
