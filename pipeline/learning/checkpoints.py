"""The checkpoint file (.pth.tar): only this module defines what is in it, saves it and loads it."""

import contextlib
import errno
import hashlib
import platform
import re
import warnings
import zipfile
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import torch
import torchvision

from pipeline import files
from pipeline.classes import resolve_positive_class, tell_other_positive_class
from pipeline.errors import UserError, require_none
from pipeline.learning import models
from pipeline.learning.architectures import resolve_architecture
from pipeline.learning.checkpoint_checks import content_faults
from pipeline.learning.config import require_shape
from pipeline.learning.history import Epoch
from pipeline.learning.preprocessing import Preprocessing
from pipeline.messages import MOST_NAMES, in_words, listed, note, shortened
from pipeline.project import LAST_SUFFIX, MODEL_SUFFIX

OURS = "is it a checkpoint of train_torchvision.py?"
HOW_TO_SAVE = "save weights with torch.save({'state_dict': model.state_dict()}, FILE)"
# The names under which programs save weights, and the prefixes that DataParallel, torch.compile and Lightning add.
WEIGHTS = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.", "model.")
PREPROCESSING_OPTIONS = {"keep_color": "--keep_color", "mean": "-mean", "std": "-std"}


def current_versions():
    """Return the versions for checkpoints and training records."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
    }


@dataclass
class Checkpoint:
    """What a checkpoint file holds: a dict of tensors and plain types under these names.

    A bare {state_dict, optimizer} file is valid too; what a file does not say is None.
    """

    state_dict: dict
    optimizer: dict = None  # in NAME.last.pth.tar only, to resume from
    architecture: str = None  # torchvision's name
    class_names: list = None  # by class index
    image_shape: list = None  # [channels, height, width]
    preprocessing: dict = None  # its settings besides the shape
    dropout: float = None  # probability, see models.set_dropout; None: the architecture's
    pooling: str = None  # "average+max", see models.pool_largest_too; otherwise the architecture's
    positive_class: str = None  # a class name; None for more than two classes
    epoch: int = None  # from 1, of these weights
    validation_loss: float = None  # of these weights
    history: list = None  # of Epoch, up to this one; dicts in the file
    options: dict = None  # the training record: every choice, under readable names
    seen_images: dict = None  # content hashes of the images trained ("train") and tuned ("val") on, and of those that
    # the pretrained weights were trained on ("earlier training"; None if unknown)
    seen_hashes: dict = None  # difference hashes of "train" and "val", uint8 tensors (n, 32), see thumbnails.packed
    reference: dict = None  # what new images are compared with, see familiarity.reference_of; once training is finished
    fresh_weights: list = None  # names of the weights that were random at the start; None: all
    finished: bool = None  # whether training was completed
    versions: dict = field(default_factory=current_versions)

    def save(self, path):
        """Write the file completely or not at all."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        content["history"] = self.history and [asdict(epoch) for epoch in self.history]
        with files.whole_file(path) as temporary:
            try:
                torch.save(content, temporary)
            except RuntimeError as error:
                # torch does not say why a file cannot be written; the system does, on writing to it.
                with open(temporary, "ab") as file:
                    file.write(bytes(2**20))
                raise OSError(errno.EIO, f"cannot be written ({error})", str(path)) from None

    def build_model(self, path="the checkpoint"):
        """Return the model with these weights, on the CPU; UserError as `load_weights` raises it."""
        model = models.build_model(
            self.architecture, len(self.class_names), self.image_shape, self.dropout, self.pooling
        )
        self.load_weights(model, path)
        return model

    def load_weights(self, model, path="the checkpoint"):
        """Load these weights into a model; UserError, naming their file, if they do not fit or are not all finite."""
        try:
            model.load_state_dict(self.state_dict)
        except RuntimeError as error:
            details = shortened("; ".join(line.strip() for line in str(error).splitlines()[1:]) or str(error), 200)
            raise UserError(
                f"{path}: its weights do not fit {self.architecture} with {len(self.class_names)} classes and "
                f"{self.image_shape[0]} channels ({details}); check the options"
            ) from None
        require_finite(model.state_dict(), path)

    def build_preprocessing(self):
        """Return the Preprocessing that the model was trained with."""
        return Preprocessing(*self.image_shape, **self.preprocessing)


def require_finite(weights, path):
    """Raise UserError, naming their file, if weights, {name: tensor}, are not all finite numbers."""
    broken = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if broken:
        raise UserError(
            f"{path}: its weights are not all finite numbers ({listed(broken, MOST_NAMES)}): the file is damaged or "
            "training diverged; train it again"
        )


def load(path):
    """Read a checkpoint file, onto the CPU, without running any code that it may hold.

    Weights that other programs saved are read too: a bare state dict, or one under a name in WEIGHTS, without the
    PREFIXES that all its names share. Raises UserError for a missing file, one without weights, and entries unlike
    those of Checkpoint.save: anyone may have written the file.
    """
    content = _read(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__} and no weights; {HOW_TO_SAVE}")
    if content and all(map(torch.is_tensor, content.values())):
        content = {"state_dict": content}
    weights = next((content[key] for key in WEIGHTS if isinstance(content.get(key), dict)), None)
    if weights is None:
        keys = ", ".join(sorted(map(str, content))[:5]) or "nothing"
        raise UserError(f"{path}: holds {shortened(keys, 80)}, and no {' or '.join(WEIGHTS)}; {HOW_TO_SAVE}")
    entries = {entry.name: content.get(entry.name) for entry in fields(Checkpoint)} | {"state_dict": weights}
    faults = [
        f"{path}: {entry.name} is a {type(entries[entry.name]).__name__}, not a {entry.type.__name__}; {OURS}"
        for entry in fields(Checkpoint)
        if entries[entry.name] is not None and not isinstance(entries[entry.name], entry.type)
    ] or [f"{path}: {fault}; {OURS}" for fault in content_faults(entries)]
    require_none(faults)
    entries["state_dict"] = _without_prefix(weights)
    entries["history"] = entries["history"] and [Epoch.from_plain(entry) for entry in entries["history"]]
    return Checkpoint(**entries)


def _read(path):
    if Path(path).exists() and not Path(path).is_file():
        raise UserError(f"{path}: not a regular file; give a checkpoint file")
    try:
        if zipfile.is_zipfile(path) and any(entry.compress_type for entry in zipfile.ZipFile(path).infolist()):
            # torch.save compresses nothing, and a compressed file may expand beyond any memory.
            raise UserError(f"{path}: is compressed; {HOW_TO_SAVE}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on files that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the name") from None
    except PermissionError as error:
        raise UserError(f"{path}: {error.strerror}; give a checkpoint file that can be read") from None
    except Exception as error:  # torch raises anything on damaged files: RuntimeError, EOFError, UnpicklingError, ...
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"holds a {shortened(refused[1], 80)}" if refused else "not a checkpoint, or damaged"
        raise UserError(
            f"{path}: {what}; only tensors and plain types are read, since others could run code; {HOW_TO_SAVE}"
        ) from None


def _without_prefix(state_dict):
    """Return weights without the prefixes that wrappers put in front of all names."""
    while state_dict and (prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in state_dict)), None)):
        state_dict = {name.removeprefix(prefix): weights for name, weights in state_dict.items()}
    return state_dict


def weights_hash(state_dict):
    """Return a SHA-256 of weights and their names, as hexadecimal digits; predictions and training records hold it."""
    digest = hashlib.sha256()
    for name, weights in state_dict.items():
        digest.update(name.encode())
        digest.update(weights.cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def interruption(checkpoint, path):
    """Return "stopped at epoch 9 of 256" if training of the Checkpoint in `path` was not completed, otherwise "".

    A file that does not say counts as completed. For NAME.last.pth.tar, the model beside it says so.
    """
    model = path.with_name(path.name.removesuffix(LAST_SUFFIX) + MODEL_SUFFIX)
    if path.name.endswith(LAST_SUFFIX) and model.is_file():
        with contextlib.suppress(UserError):  # a damaged model says nothing, and the last state may be all that is left
            return interruption(load(model), model)
    if checkpoint.finished is not False:
        return ""
    reached, last = checkpoint.epoch, path.with_name(path.name.removesuffix(MODEL_SUFFIX) + LAST_SUFFIX)
    if last.is_file():
        reached = max(filter(None, (reached, load(last).epoch)), default=None)
    most = (checkpoint.options or {}).get("maximum number of epochs", "?")
    return f"stopped at epoch {'?' if reached is None else reached} of {most}"


def complete(
    checkpoint,
    path,
    *,
    architecture=None,
    class_count=None,
    image_shape=None,
    preprocessing=None,
    class_names=None,
    positive_class=None,
):
    """Fill in from the options what a bare file does not say, and check the options against what it says.

    Args:
        architecture, class_count, image_shape: what the options give, or None.
        preprocessing: those of "keep_color", "mean" and "std" that the options give, as a dict.
        class_names: the project's, None without a project.
        positive_class: what the option gives, or None; it replaces the recorded one, with a note.

    Raises UserError for every contradiction, naming both sides, and for everything that neither side says.
    """
    faults = []

    def settle(option, given, recorded, source=path):
        if given is None and recorded is None:
            faults.append(f"{path}: does not say what {option} it was trained with; give {option}")
        elif given is not None and recorded is not None and given != recorded:
            faults.append(f"{option} {in_words(given)}: {source} says {in_words(recorded)}; leave the option out")
        return recorded if recorded is not None else given

    checkpoint.architecture = settle("-architecture", architecture, checkpoint.architecture)
    checkpoint.image_shape = settle("-img_size", image_shape, checkpoint.image_shape)
    names, source = (checkpoint.class_names, path) if checkpoint.class_names else (class_names, "the project")
    class_count = settle("-classes", class_count, len(names) if names else None, source)
    require_none([*faults, *_contradictions(checkpoint, path, preprocessing or {}, class_names)])
    checkpoint.architecture = resolve_architecture(checkpoint.architecture)
    checkpoint.class_names = names or [str(index) for index in range(class_count)]
    recorded = checkpoint.positive_class
    checkpoint.positive_class = resolve_positive_class(checkpoint.class_names, positive_class, recorded)
    tell_other_positive_class(checkpoint.positive_class, recorded, path)
    if checkpoint.preprocessing is None:
        checkpoint.preprocessing = _given_preprocessing(checkpoint.image_shape, preprocessing or {}, path)
    return checkpoint


def _contradictions(checkpoint, path, preprocessing, class_names):
    """Return a line for each way in which the options or the project's classes contradict a file."""
    recorded = preprocessing if checkpoint.preprocessing is None else checkpoint.preprocessing
    faults = [
        f"{PREPROCESSING_OPTIONS[name]}: {path} says {in_words(recorded.get(name))}; leave the option out"
        for name, given in preprocessing.items()
        if given != recorded.get(name)
    ]
    if checkpoint.class_names and class_names and checkpoint.class_names != class_names:
        faults.append(
            f"{path}: was trained on the classes {', '.join(checkpoint.class_names)}, "
            f"the project has {', '.join(class_names)}; use a model trained on these"
        )
    return faults


def _given_preprocessing(image_shape, given, path):
    """Return the preprocessing settings that the options give, for a file without any."""
    if not given:
        options = ", ".join(PREPROCESSING_OPTIONS.values())
        note(f"{path} does not say how images are prepared: assuming grey values from 0 to 1; otherwise give {options}")
    keep_color = given.get("keep_color", False)
    require_shape(image_shape, keep_color)
    preprocessing = Preprocessing(*image_shape, keep_color)
    numbers = [given.get("mean"), given.get("std")]
    if numbers != [None, None]:
        lengths = [0 if values is None else len(values) for values in numbers]
        if lengths not in ([1, 1], [preprocessing.pixels_shape[0]] * 2):
            raise UserError(f"-mean, -std: give both, one number or {preprocessing.pixels_shape[0]} each")
        preprocessing = replace(preprocessing, mean=numbers[0], std=numbers[1])
    return preprocessing.settings()
