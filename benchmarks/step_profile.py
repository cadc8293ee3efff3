"""Where the time of a training step goes: the percentage of each kind of operation, by PyTorch's profiler.

    python benchmarks/step_profile.py [-architecture NAME ...] [-precision FORMAT] [--use_GPU]

Takes the bare step of train_speed.py: random images of 224 x 224 pixels, our memory layout. The profiler slows the
step a little, the small operations most.
"""

from collections import Counter

import measuring
import training_sides
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from pipeline import command_line
from pipeline.command_line import add_option
from pipeline.learning import devices
from pipeline.messages import format_table

STEPS = 3
# How the profiler's names of operations begin, without "aten::".
KINDS = {
    "convolution": ("mkldnn_convolution", "convolution", "cudnn_convolution", "miopen_convolution"),
    "batch normalization": ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"),
    "activation": ("relu", "clamp", "threshold", "hardtanh", "silu", "gelu"),
    "concatenation and slicing": ("cat", "slice", "narrow"),
    "pooling": ("max_pool", "avg_pool", "_adaptive_avg_pool", "adaptive_avg_pool", "mean"),
    "matrix product": ("addmm", "mm", "linear", "mkldnn_linear"),
    "addition": ("add", "sum"),
    "copies between formats": ("copy_", "_to_copy", "contiguous", "clone"),
    "optimizer": ("_fused_adam", "Optimizer"),
}


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Show which operations take the time of a training step.\n\nwrites: tables on standard output",
        "python benchmarks/step_profile.py",
    )
    # fmt: off
    add_option(parser, "-architecture", nargs="+", metavar="NAME", default=["resnet18", "densenet121", "vgg11_bn"],
               help="torchvision's names (default: resnet18 densenet121 vgg11_bn)")
    add_option(parser, "-precision", choices=["auto", "float32", "bfloat16"], default="auto",
               help="as for train_torchvision.py (default: auto)")
    add_option(parser, "--use_GPU", action="store_true", help="on the GPU, in batches of 256 instead of 25")
    # fmt: on
    return parser


def kind_of(operation):
    """Return the kind of one of the profiler's operations."""
    name = operation.removeprefix("aten::")
    return next((kind for kind, beginnings in KINDS.items() if name.startswith(beginnings)), "everything else")


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    device = devices.pick_device(options.use_GPU)
    precision = devices.pick_precision(options.precision, device)
    batch = training_sides.random_images(training_sides.BATCH_SIZE[device.type], device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    rows = []
    for architecture in options.architecture:
        _, step = training_sides.bare_step(architecture, device, precision)
        step(*batch)
        with profile(activities=activities) as profiler:
            for _ in range(STEPS):
                step(*batch)
        seconds = Counter()
        for event in profiler.key_averages():
            if event.device_type != DeviceType.CPU:
                continue  # a GPU's own events, whose times are also those of the operations that started them
            microseconds = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
            seconds[kind_of(event.key)] += microseconds / 1e6 / STEPS
        total = seconds.total()
        rows += [
            [architecture, kind, f"{spent:.3f}", f"{100 * spent / total:.0f}%"] for kind, spent in seconds.most_common()
        ]
    print(measuring.machine("torch", "torchvision"))
    print(f"\nA step of {len(batch[1])} images in {precision}\n")
    print(format_table(["architecture", "operations", "seconds", "%"], rows))


if __name__ == "__main__":
    main()
