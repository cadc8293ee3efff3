"""Write scikit-learn's handwritten digits, 8 x 8 pixels each, as images in class folders: another set to train on.

    python benchmarks/digits.py FOLDER [COUNT]

COUNT images (default: 300), as many of each digit, the same ones every time.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int, nargs="?", default=300)
    arguments = parser.parse_args()
    digits = load_digits()
    chosen, _ = train_test_split(
        np.arange(len(digits.target)), train_size=arguments.count, stratify=digits.target, random_state=0
    )
    for number in chosen:
        path = arguments.folder / str(digits.target[number]) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 255 / 16).astype(np.uint8)).save(path)
    print(f"wrote {arguments.count} images to {arguments.folder}")


if __name__ == "__main__":
    main()
