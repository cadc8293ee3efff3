"""Time and peak memory of partition_datasets.py on 1,000, 10,000 and 100,000 small images.

    python benchmarks/partition_scale.py [COUNT ...]

Draws COUNT different images of 96 x 96 pixels, every tenth a recompressed near-duplicate of the one before it, runs the
script on them, and times by itself the comparison of all pairs of difference hashes that is part of it. Unix only.
"""

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SCRIPTS))

from pipeline.partitioning import duplicates  # noqa: E402
from pipeline.progress import map_in_threads  # noqa: E402
from pipeline.tables import format_table  # noqa: E402


def draw(folder, count):
    """Draw `count` images into two class folders."""
    for name in ("no", "yes"):
        (folder / name).mkdir()

    def save(number):
        seed = number - 1 if number % 10 == 9 else number
        pixels = np.random.default_rng(seed).integers(0, 256, (7, 7), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC)
        image.save(folder / ("no", "yes")[number // 10 % 2] / f"{number}.jpg", quality=90 - number % 10)

    map_in_threads(save, range(count), "drawing")


def measure(count):
    """Return (count, seconds of the script, its peak memory in MB, seconds of comparing all pairs)."""
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), count)
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, SCRIPTS / "partition_datasets.py", "-proj_dir", folder],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - started
    # Children run one after the other with growing counts, so the largest so far is the last one.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    hashes = np.random.default_rng(0).integers(0, 256, (count, 32), dtype=np.uint8)
    started = time.perf_counter()
    duplicates.group_near(np.arange(count), hashes, 10)
    return count, f"{seconds:.1f}", f"{peak:.0f}", f"{time.perf_counter() - started:.1f}"


def main():
    counts = sorted(map(int, sys.argv[1:])) or [1_000, 10_000, 100_000]
    rows = [measure(count) for count in counts]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}\n")
    print(format_table(["images", "seconds", "peak memory (MB)", "of it comparing all pairs (s)"], rows))


if __name__ == "__main__":
    main()
