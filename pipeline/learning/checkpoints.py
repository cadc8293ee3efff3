"""The checkpoint file (.pth.tar): the only place that saves it, loads it and says what is in it."""

import platform
import warnings
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
import torchvision
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from pipeline import files
from pipeline.errors import UserError
from pipeline.learning import models
from pipeline.learning.checkpoint_contents import content_faults
from pipeline.learning.preprocessing import Preprocessing
from pipeline.messages import note
from pipeline.project import LAST_SUFFIX, MODEL_SUFFIX, fold_name


def current_versions():
    """Return the versions that a checkpoint and the training records name."""
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
    optimizer: dict
    architecture: str = None  # torchvision's name
    class_names: list = None  # by class index
    image_shape: list = None  # [channels, height, width]
    preprocessing: dict = None  # its settings besides the shape
    dropout: float = None  # the rate, see dropout.set_rate; None: what the architecture has
    positive_class: str = None  # a class name; None for more than two classes
    epoch: int = None  # from 1, of these weights
    validation_loss: float = None  # of these weights
    history: list = None  # a dict an epoch up to this one, as training.epochs makes them
    options: dict = None  # what training was told, under readable names
    seen_images: dict = None  # content hashes of the images trained ("train") and tuned ("val") on; "earlier training":
    # of those that the first weights come from, None if these do not say
    versions: dict = field(default_factory=current_versions)

    def save(self, path):
        """Write the file whole or not at all."""
        with files.whole_file(path) as temporary:
            try:
                torch.save({entry.name: getattr(self, entry.name) for entry in fields(self)}, temporary)
            except RuntimeError:
                # torch keeps to itself why a file cannot be written: ask the system.
                with open(temporary, "ab") as file:
                    file.write(bytes(2**20))
                raise

    def build_model(self):
        """Return the model with these weights, on the CPU; UserError where the weights are those of another."""
        model = models.build_model(self.architecture, len(self.class_names), self.image_shape, self.dropout)
        self.load_weights(model)
        return model

    def load_weights(self, model):
        """Put these weights into a model; UserError where they are those of another."""
        try:
            model.load_state_dict(self.state_dict)
        except RuntimeError as error:
            details = [line.strip() for line in str(error).splitlines()[1:]]
            raise UserError(
                f"-save: the checkpoint's weights do not fit {self.architecture} with {len(self.class_names)} classes "
                f"and {self.image_shape[0]} channels ({details[0] if details else error}); check the options"
            ) from None

    def build_preprocessing(self):
        """Return the Preprocessing that the model was trained with."""
        return Preprocessing(*self.image_shape, **self.preprocessing)


def load(path, plain_weights=False):
    """Read a checkpoint file, onto the CPU, without running any code that it may hold.

    With `plain_weights` a state dict by itself will do too. Raises UserError for a missing file, one that is no
    checkpoint, and entries of a wrong type.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on files that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the name") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: {error.strerror}; give a checkpoint file that can be read") from None
    except Exception:  # torch raises anything on damaged files: RuntimeError, EOFError, UnpicklingError, ...
        raise UserError(
            f"{path}: not a checkpoint of tensors and plain types, or damaged; anything else in such a file could "
            "run code and is not read"
        ) from None
    if plain_weights and _is_state_dict(content):
        content = {"state_dict": content}
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"{path}: holds no state_dict; is it a checkpoint of train_torchvision.py?")
    known = {entry.name: content.get(entry.name) for entry in fields(Checkpoint)}
    faults = [
        f"{path}: {entry.name} is a {type(known[entry.name]).__name__}, not a {entry.type.__name__}; "
        "is it a checkpoint of train_torchvision.py?"
        for entry in fields(Checkpoint)
        if known[entry.name] is not None and not isinstance(known[entry.name], entry.type)
    ] or [f"{path}: {fault}; is it a checkpoint of train_torchvision.py?" for fault in content_faults(known)]
    if faults:
        raise UserError(*faults)
    # Weights saved from a model inside DataParallel carry its prefix.
    consume_prefix_in_state_dict_if_present(known["state_dict"], "module.")
    return Checkpoint(**known)


def _is_state_dict(content):
    return isinstance(content, dict) and bool(content) and all(map(torch.is_tensor, content.values()))


def complete(checkpoint, path, *, architecture=None, class_count=None, image_shape=None, class_names=None):
    """Fill in what a bare file does not say from the options, and check the options against what it says.

    Args:
        architecture, class_count, image_shape: what the person said, None where nothing.
        class_names: the project's, None without a project.

    Raises UserError for every contradiction, naming both sides, and for everything that neither side says.
    """
    faults = []

    def settle(option, said, recorded, source=path):
        if said is None and recorded is None:
            faults.append(f"{path}: does not say what {option} it was trained with; give {option}")
        elif said is not None and recorded is not None and said != recorded:
            faults.append(f"{option} {_shown(said)}: {source} says {_shown(recorded)}; leave the option out")
        return recorded if recorded is not None else said

    checkpoint.architecture = settle("-architecture", architecture, checkpoint.architecture)
    checkpoint.image_shape = settle("-img_size", image_shape, checkpoint.image_shape)
    names, source = (checkpoint.class_names, path) if checkpoint.class_names else (class_names, "the project")
    class_count = settle("-classes", class_count, len(names) if names else None, source)
    if checkpoint.class_names and class_names and checkpoint.class_names != class_names:
        faults.append(
            f"{path}: was trained on the classes {', '.join(checkpoint.class_names)}, "
            f"the project has {', '.join(class_names)}; use a model of these"
        )
    if faults:
        raise UserError(*faults)
    checkpoint.architecture = models.resolve_architecture(checkpoint.architecture)
    checkpoint.class_names = names or [str(index) for index in range(class_count)]
    if checkpoint.preprocessing is None:
        checkpoint.preprocessing = Preprocessing.from_options(checkpoint.image_shape, keep_color=False).settings()
    return checkpoint


def require_unseen(checkpoint, path, split, content_hashes):
    """Raise UserError naming each image of a Split that the model was trained or tuned on.

    `content_hashes` are those of the split's files. A checkpoint that does not say what it has seen gets a note.
    """
    seen_images = checkpoint.seen_images or {}
    if not seen_images or None in seen_images.values():
        what = "it was" if not seen_images else "the weights that it started from were"
        note(f"{path} does not say which images {what} trained on: that none of them is tested cannot be checked")
    partition_of = {content: partition for partition, contents in seen_images.items() for content in contents or []}
    faults = [
        f"{split.path}: {name}: the model {path} has seen this image (in its {partition_of[content]} images), so that "
        "testing on it proves nothing; use a model trained on this split, or -split train or val"
        for name, content in zip(split.file_names, content_hashes, strict=True)
        if content in partition_of
    ]
    if faults:
        raise UserError(*faults)


def find(name, project, fold=None):
    """Return the path of the checkpoint that the person means.

    `name` is a file name in the project's models/ or a path; None means the only model there is. With a fold, the
    model of that fold. `project` may be None. Raises UserError where there is none, or more than one to choose from.
    """
    if name is not None and fold is not None:
        name = fold_name(name.removesuffix(MODEL_SUFFIX), fold) + MODEL_SUFFIX
    if name is not None:
        places = [project.models / name] if project else []
        places.append(Path(name))
        for place in places:
            if place.is_file():
                return place
        raise UserError(f"{places[0]}: no such checkpoint; train_torchvision.py writes it")
    if project is None:
        raise UserError("-save: give the checkpoint to use")
    pattern = fold_name("*", fold) + MODEL_SUFFIX
    found = sorted(path for path in project.models.glob(pattern) if not path.name.endswith(LAST_SUFFIX))
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise UserError(f"-save: {project.models} has {len(found)} models ({listed}); give the name of one with -save")
    return found[0]


def _shown(value):
    return " ".join(map(str, value)) if isinstance(value, list) else value
