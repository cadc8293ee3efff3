"""Remarks on images that can be read but may not be what the user thinks."""

from collections import defaultdict

from pipeline.messages import MOST_NAMES, listed, note

SEVERAL_PAGES = "several pages, of which only the first is used"
NO_CONTRAST = "no contrast, the same value everywhere"


class Remarks:
    """Collects remarks on images; prints each in one line, with the number of images and the first names."""

    def __init__(self):
        self.names = defaultdict(list)  # {remark: names of the images}
        self.count = 0  # of all images

    def add(self, name, remarks):
        """Add an image and the remarks on it, often none."""
        self.count += 1
        for remark in remarks:
            self.names[remark].append(str(name))

    def tell(self, images):
        """Print a note for each remark; `images` says what they are."""
        for remark, names in self.names.items():
            note(f"{remark}: {len(names)} of {self.count} {images} ({listed(names, MOST_NAMES)})")
