"""A trained model for other programs: ONNX with the preprocessing in it, or its weights as safetensors.

Needs packages that nothing else needs: pip install onnx onnxruntime onnxscript safetensors
"""

import contextlib
import io
import json
import logging
import warnings

import numpy as np
import onnx
import onnxruntime
import onnxscript  # noqa: F401 - torch's exporter imports it later; if it is missing, this says so at once
import PIL
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

from pipeline import files, image_files
from pipeline.errors import UserError
from pipeline.image_values import is_deep
from pipeline.learning.inference import logits_of
from pipeline.messages import note
from pipeline.operating_point import SMALLEST

TOLERANCE = 1e-4  # of a probability, between the exported model and the scripts
MOST_CHECKED = 20  # images
LARGEST_FILE = 2**31 - 2**20  # bytes of weights; protobuf's limit is 2 GiB
BITS = 22  # of the fractions by which Pillow multiplies 8-bit values (PRECISION_BITS in its Resample.c)
RED, GREEN, BLUE = 19595, 38470, 7471  # weights in Pillow's grey value, times 2**16 (ITU-R 601-2)
# From this version on, Pillow resizes vertically first if the height shrinks more (its pull request 9549).
TALL_FIRST = int(PIL.__version__.partition(".")[0]) >= 13
SHAPES = ((300, 260), (61, 240), (512, 90), (17, 19), (700, 900))  # height, width of the drawn images


def export_model(ensemble, path, point, project):
    """Write an Ensemble in the format of the path's suffix: .onnx, or .safetensors for the weights of a single model.

    Args:
        ensemble: on the CPU.
        path: of the file.
        point: OperatingPoint whose temperature and threshold become part of the ONNX model, or None.
        project: Project whose images it is checked on; None: on drawn ones.

    Raises UserError for an impossible request, and if the exported model does not predict what the scripts do.
    """
    replaced = path.exists()
    if path.suffix == ".onnx":
        images = _drawn_images() if project is None else _images_of(project, ensemble)
        source = "drawn images" if project is None else f"images of {project.root}"
        content = _onnx(ensemble, path, point, images, source)
    else:
        if ensemble.several or point is not None:
            option = "-fold all" if ensemble.several else "-operating_point"
            raise UserError(f"{option}: has no effect on weights in {path}; leave it out, or give a .onnx file")
        weights = {name: values.contiguous() for name, values in ensemble.members[0].model.state_dict().items()}
        content = save(weights, metadata=description(ensemble))
    with files.whole_file(path) as temporary:
        temporary.write_bytes(content)
    print(f"{'replaced' if replaced else 'wrote'} {path}")


def description(ensemble, point=None):
    """Return what an exported file says about the model, {name: text}; values that are not texts are JSON."""
    members = ensemble.members
    content = {
        "producer": files.MARK,
        "class names": ensemble.class_names,
        "positive class": ensemble.positive_class,
        "checkpoints": {member.path.name: files.content_hash(member.path.read_bytes()) for member in members},
        "architecture": [member.checkpoint.architecture for member in members],
        "image shape": [member.checkpoint.image_shape for member in members],
        "preprocessing": [member.checkpoint.preprocessing for member in members],
        "training": [member.interruption or "finished" for member in members],
        "operating point": None if point is None else point.as_json(),
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in content.items()}


class ExportedModel(nn.Module):
    """From an image to its probabilities and its finding: what the scripts do, as one graph of tensors.

    forward(image) takes an RGB image of any size, uint8 (height, width, 3), and returns the probabilities, float32
    (classes,), and the index of the class that is the finding, int64 ().
    """

    def __init__(self, ensemble, point=None):
        super().__init__()
        self.models = nn.ModuleList(member.model for member in ensemble.members)
        self.preprocessings = [member.preprocessing for member in ensemble.members]
        for number, preprocessing in enumerate(self.preprocessings):
            # Buffers, since what Preprocessing caches between calls would be part of the first graph.
            for name in ("mean", "std"):
                values = getattr(preprocessing, name)
                self.register_buffer(
                    f"{name}_{number}", None if values is None else torch.tensor(values).view(-1, 1, 1)
                )
        self.temperature = None if point is None else point.temperature
        self.threshold = None if point is None else point.threshold
        self.positive = None if self.threshold is None else ensemble.class_names.index(point.positive_class)

    def forward(self, image):
        each = [self._probabilities(image, number) for number in range(len(self.models))]
        probabilities = sum(each[1:], each[0]) / len(each)
        if self.temperature is not None:
            probabilities = (probabilities.clamp(min=SMALLEST).log() / self.temperature).softmax(dim=0)
        if self.threshold is None:
            finding = probabilities.argmax()
        else:
            is_positive = (probabilities[self.positive] >= self.threshold).long()
            finding = is_positive if self.positive == 1 else 1 - is_positive
        return probabilities.float(), finding

    def _probabilities(self, image, number):
        preprocessing = self.preprocessings[number]
        numbers = resized(image, preprocessing) / 255
        mean, std = getattr(self, f"mean_{number}"), getattr(self, f"std_{number}")
        if mean is not None:
            numbers = (numbers - mean) / std
        numbers = numbers.expand(preprocessing.channels, -1, -1).unsqueeze(0)
        logits = logits_of(self.models[number], numbers, preprocessing.average_flips)
        return logits[0].double().softmax(dim=0)


def resized(image, preprocessing):
    """Resize uint8 (height, width, 3) as `pixels` does, to float32 values from 0 to 255, (1 or 3, height, width).

    This is Pillow's integer arithmetic in exact 64-bit floats: grey values, then one pass in each direction, each
    rounded to 8 bits.
    """
    values = image.permute(2, 0, 1).double()
    if not preprocessing.keep_color:
        red, green, blue = values
        values = ((red * RED + green * GREEN + blue * BLUE + 2**15) / 2**16).floor().unsqueeze(0)
    height, width = image.shape[:2]
    rows = _resizing_matrix(height, preprocessing.height)
    columns = _resizing_matrix(width, preprocessing.width).T
    if not TALL_FIRST:
        return _rows_last(values, rows, columns).float()
    shrinks = height - preprocessing.height
    is_tall = torch.scalar_tensor(shrinks) > 2 * torch.scalar_tensor(width - preprocessing.width).clamp(min=0)
    return torch.cond(is_tall, _rows_first, _rows_last, (values, rows, columns)).float()


def _rows_first(values, rows, columns):
    return _rounded(_rounded(rows @ values) @ columns)


def _rows_last(values, rows, columns):
    return _rounded(rows @ _rounded(values @ columns))


def _resizing_matrix(size, new_size):
    """Return bilinear weights with antialiasing, times 2**BITS and rounded, float64 (new_size, size)."""
    scale = torch.scalar_tensor(size, dtype=torch.float64) / new_size
    centres = (torch.arange(new_size, dtype=torch.float64) + 0.5) * scale
    positions = torch.arange(size, dtype=torch.float64) + 0.5
    weights = (1 - ((positions - centres[:, None]) / scale.clamp(min=1)).abs()).clamp(min=0)
    return (weights / weights.sum(dim=1, keepdim=True) * 2**BITS + 0.5).floor()


def _rounded(sums):
    return (sums / 2**BITS + 0.5).floor().clamp(0, 255)


def _onnx(ensemble, path, point, images, source):
    """Return the bytes of the ONNX model, checked to predict `images` as the scripts do; print the difference."""
    size = sum(values.nbytes for member in ensemble.members for values in member.model.state_dict().values())
    if size > LARGEST_FILE:
        raise UserError(f"-export {path}: {size / 2**30:.1f} GiB of weights, but ONNX can hold 2; export fewer folds")
    proto = _graph(ExportedModel(ensemble, point).eval())
    proto.producer_name = files.MARK  # at the beginning of the file, for has_mark
    onnx.helper.set_model_props(proto, description(ensemble, point))
    content = proto.SerializeToString()
    difference = largest_difference(content, ensemble, point, images)
    if not difference <= TOLERANCE:
        raise UserError(
            f"-export {path}: not written, since its probabilities differ from the checkpoint's by up to "
            f"{difference:.2g} on {len(images)} {source}; use other versions of onnxruntime and torch"
        )
    print(f"checked with onnxruntime on {len(images)} {source}: probabilities differ by at most {difference:.1g}")
    return content


def _graph(model):
    """Return a module as an ONNX ModelProto whose image may have any height and width."""
    size = {0: torch.export.Dim("height", min=1), 1: torch.export.Dim("width", min=1)}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's remarks on its own code
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        return torch.onnx.export(
            model,
            (torch.zeros(50, 60, 3, dtype=torch.uint8),),
            dynamo=True,
            verbose=False,
            input_names=["image"],
            output_names=["probabilities", "finding"],
            dynamic_shapes={"image": size},
        ).model_proto


def largest_difference(content, ensemble, point, images):
    """Return the largest difference in a probability between onnxruntime and the scripts, for RGB Pillow images."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    expected = ensemble.predict(images).probabilities
    expected = expected if point is None else point.calibrated(expected)
    found = [session.run(["probabilities"], {"image": np.asarray(image)})[0] for image in images]
    return float(np.abs(np.stack(found) - expected).max())  # NaN if one of them is


def _drawn_images():
    """Return images of noise of several shapes, from a fixed random seed."""
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in SHAPES]


def _images_of(project, ensemble):
    """Return up to MOST_CHECKED RGB images, from all over a project's bin/, in 8 bits as the models see them."""
    project.require_organized()
    paths = sorted(path for path in project.bin.iterdir() if path.is_file())
    images, unreadable = [], 0
    for path in paths[:: max(1, len(paths) // MOST_CHECKED)][:MOST_CHECKED]:
        try:
            image = image_files.decode_values(image_files.read_bytes(path))
        except image_files.UnreadableImage:
            unreadable += 1
            continue
        if is_deep(image):
            image = ensemble.members[0].preprocessing.to_8_bits(image)
        images.append(image.convert("RGB"))
    if unreadable:
        note(f"{unreadable} files of {project.bin} cannot be read; the export is not checked on them")
    if not images:
        raise UserError(f"{project.bin}: has no readable image to check the export on; leave -dir out")
    return images
