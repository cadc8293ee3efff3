"""Which images a model has seen in training, and refusing to test it on them."""

from pipeline import split_files
from pipeline.errors import UserError
from pipeline.messages import note

WORDS = {"train": "training", "val": "validation"}


def seen_in_training(checkpoints, content_hashes):
    """Return for each content hash which part of the training of any of the Checkpoints had this image.

    That is "train" (also for images of an earlier training), "val" or "no"; "" if a checkpoint does not say.
    """
    seen = [entry for checkpoint in checkpoints for entry in (checkpoint.seen_images or {}).items()]
    part_of = {}
    for part, hashes in sorted(seen, key=lambda entry: entry[0] != "val"):  # val first: train replaces it
        part_of |= dict.fromkeys(hashes or [], "val" if part == "val" else "train")
    otherwise = "no" if all(map(_says_all, checkpoints)) else ""
    return [part_of.get(one, otherwise) for one in content_hashes]


def require_unseen(classifier, project, split, fold, content_hashes):
    """Raise UserError if a Classifier was trained or tuned on test images, or trained on validation images.

    Validation images only count if the split has changed since the training. If it has not, and was made with
    --keep_leaks, test images only get a note. So does a checkpoint that does not say what it has seen.
    `content_hashes` are those of the files of `split`, a Split.
    """
    if split.partition == "val" and not _split_has_changed(classifier.checkpoint, project, fold):
        return
    tell_unknown(classifier)
    seen_images = classifier.checkpoint.seen_images or {}
    if split.partition == "val":  # an earlier training does not say which of its images it was only tuned on
        seen_images = {"train": seen_images.get("train")}
    part_of = {one: part for part, hashes in seen_images.items() for one in hashes or []}
    found = [(name, part_of[one]) for name, one in zip(split.file_names, content_hashes, strict=True) if one in part_of]
    if not found:
        return
    has_changed = split.partition == "val" or _split_has_changed(classifier.checkpoint, project, fold)
    parts = " and ".join(dict.fromkeys(WORDS.get(part, part) for _, part in found))
    names = ", ".join(name for name, _ in found[:3]) + (", ..." if len(found) > 3 else "")
    changed = "; the split has changed since" if has_changed else ""
    fault = (
        f"{split.path}: the model {classifier.path} has seen {len(found)} of its {len(content_hashes)} images in "
        f"{parts} ({names}){changed}; testing on them proves nothing"
    )
    record = split_files.read_split_record(project.csv / "split.json")
    if has_changed or not (record and record.leaks_kept):
        others = "train" if has_changed else "train or val"  # the validation images of another split may be known too
        raise UserError(f"{fault}; use a model trained on this split, or -split {others}")
    note(f"{fault}, but this split was made with --keep_leaks, so they are tested")


def tell_unknown(classifier):
    """Print a note if the checkpoint of a Classifier does not name all images that it has seen."""
    if not _says_all(classifier.checkpoint):
        what = "it was" if not classifier.checkpoint.seen_images else "the weights that it started from were"
        note(
            f"{classifier.path} does not say which images {what} trained on: whether any of them are tested cannot be "
            "checked"
        )


def _says_all(checkpoint):
    return bool(checkpoint.seen_images) and None not in checkpoint.seen_images.values()


def _split_has_changed(checkpoint, project, fold):
    """Tell whether a project's training and validation files are not those that a checkpoint was trained with."""
    recorded = (checkpoint.options or {}).get("split fingerprint")
    if recorded is None:
        return False
    try:
        splits = [split_files.read_split(project, partition, fold) for partition in ("train", "val")]
    except UserError:  # testing needs neither
        return False
    return recorded != split_files.fingerprint(*splits)
