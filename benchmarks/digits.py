"""Write scikit-learn's handwritten digits, 8 x 8 pixels each, as images in class folders: another set to train on.

    python benchmarks/digits.py FOLDER [COUNT]

COUNT images (default: 300), as many of each digit, the same ones every time.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def main():
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 300
    digits = load_digits()
    chosen, _ = train_test_split(
        np.arange(len(digits.target)), train_size=count, stratify=digits.target, random_state=0
    )
    for number in chosen:
        path = folder / str(digits.target[number]) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 255 / 16).astype(np.uint8)).save(path)
    print(f"wrote {count} images to {folder}")


if __name__ == "__main__":
    main()
