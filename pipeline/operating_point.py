"""The operating point: the temperature and the threshold that were measured, carried over to new images.

It is written into the results JSON and read from there. The order is fixed: probabilities are calibrated first, and
the threshold applies to the calibrated ones.
"""

from dataclasses import asdict, dataclass

import numpy as np

from pipeline import files
from pipeline.errors import UserError, require_none
from pipeline.messages import in_words
from pipeline.plain_values import are_texts, is_plain_number

KEY = "Operating Point"  # in the results JSON
SMALLEST = float(np.finfo(np.float32).tiny)  # in place of a probability of 0, whose logarithm is infinite


@dataclass(frozen=True)
class OperatingPoint:
    """What turns a model's probabilities into findings, and how good these were on the images measured."""

    class_names: list
    positive_class: str | None
    checkpoints: list  # file names of the models measured: one, or one of each fold
    monte_carlo_samples: int | None
    temperature: float | None  # None: the probabilities stay as the model gives them
    threshold: float | None  # of the positive class; None: the finding is the most probable class
    rule: str | None  # how the threshold was chosen
    measured_images: int
    sensitivity: float | None  # on the images measured, like the next three
    sensitivity_interval: list | None  # 95 %
    specificity: float | None
    specificity_interval: list | None
    weights: list | None = None  # hashes of the weights of the models measured; None: only the file names are known

    def as_json(self):
        """Return the object for the JSON file, with the names of the fields in words."""
        return {name.replace("_", " "): value for name, value in asdict(self).items()}

    def calibrated(self, probabilities):
        """Return the probabilities with the temperature applied, if there is one; float (n, classes)."""
        return probabilities if self.temperature is None else calibrated(probabilities, self.temperature)

    def findings(self, probabilities):
        """Return the class of each row of calibrated `probabilities` by the threshold; for two classes."""
        positive = self.class_names.index(self.positive_class)
        finding = probabilities[:, positive] >= self.threshold
        return [self.class_names[positive if found else 1 - positive] for found in finding]

    def sentence(self):
        """Say what is done with the probabilities, and how good the findings were on the images measured."""
        done = []
        if self.temperature is not None:
            done.append(f"calibrated by the temperature {self.temperature:.3g}")
        if self.threshold is not None:
            done.append(f"{self.positive_class} from a probability of {self.threshold:.4g}")
        measured = [
            f"{name} {value:.1%} ({limits[0]:.1%} to {limits[1]:.1%})"
            for name, value, limits in (
                (f"sensitivity for {self.positive_class}", self.sensitivity, self.sensitivity_interval),
                ("specificity", self.specificity, self.specificity_interval),
            )
            if value is not None
        ]
        sentence = ": ".join(filter(None, (", ".join(done), ", ".join(measured))))
        if measured:
            sentence += f" on the {self.measured_images} images measured"
        if measured and len(self.checkpoints) > 1:
            own = "temperature" if self.threshold is None else "threshold"
            sentence += f", each by the model of one fold at its own {own}"
        return sentence

    def require_model(self, path, class_names, positive_class, checkpoints, sample_count):
        """Raise UserError, one line per fault, if the point (read from `path`) belongs to another model or classes.

        `checkpoints` are (file name, hash of the weights) of the model that will predict, or of all whose probabilities
        are averaged.
        """
        faults = [
            f"-operating_point {path}: its {what} {in_words(theirs)}, the model's {in_words(ours)}; {way_out}"
            for what, theirs, ours, way_out in (
                ("classes are", ", ".join(self.class_names), ", ".join(class_names), "give the model's own results"),
                ("positive class is", self.positive_class, positive_class, "measure again with -positive_class"),
                ("Monte Carlo samples are", self.monte_carlo_samples, sample_count, "predict as it was measured"),
            )
            if theirs != ours
        ]
        for name, weights in checkpoints:
            if name not in self.checkpoints:
                listed = ", ".join(self.checkpoints)
                faults.append(f"-operating_point {path}: is of {listed}, not of {name}; give the model's own results")
            elif self.weights is not None and weights not in self.weights:
                faults.append(f"-operating_point {path}: is of other weights of {name}; give the model's own results")
        require_none(faults)


def calibrated(probabilities, temperature):
    """Return softmax(ln p / temperature) of probabilities p, float (n, classes): above 1 less confident, below 1 more.

    Guo et al., ICML 2017. The logarithms are the logits but for a constant in each row, which cancels in the softmax.
    """
    logits = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def is_alone_in(path):
    """Return whether a file holds an operating point, sound or not, and unlike results nothing else."""
    try:
        return files.read_json_object(path).keys() == {KEY}
    except UserError:
        return False


def read(path):
    """Read the OperatingPoint of a results JSON; raises UserError if there is none for images, or it is damaged."""
    results = files.read_json_object(path)
    content = results.get(KEY)
    if results.get("Unit") == "group":
        raise UserError(
            f"-operating_point {path}: was measured on groups, not on single images; calculate it with "
            "calc_model_performance.py without -per group"
        )
    if content is None:
        raise UserError(
            f"-operating_point {path}: has no operating point; calculate it with calc_model_performance.py "
            "-threshold_from or -calibrate_from, from predictions that name their checkpoint"
        )
    try:
        point = OperatingPoint(**{name.replace(" ", "_"): value for name, value in content.items()})
    except (TypeError, AttributeError):
        point = None
    if point is None or not _is_sound(point):
        raise UserError(f"-operating_point {path}: {KEY!r} is damaged; run calc_model_performance.py again")
    return point


def _is_sound(point):
    """Tell whether all values have the right type and are within their bounds."""
    names, positive, threshold = point.class_names, point.positive_class, point.threshold
    fractions = [point.sensitivity, point.specificity, threshold]
    for value, limits in (
        (point.sensitivity, point.sensitivity_interval),
        (point.specificity, point.specificity_interval),
    ):
        if value is None and limits is None:
            continue
        if value is None or not isinstance(limits, list) or len(limits) != 2:
            return False
        fractions += limits
    return (
        all(texts and are_texts(texts) for texts in (names, point.checkpoints))
        and (point.weights is None or are_texts(point.weights))
        and (positive is None or positive in names)
        and (threshold is None or (len(names) == 2 and positive is not None))
        and all(value is None or is_plain_number(value, 0, 1) for value in fractions)
        and (point.temperature is None or is_plain_number(point.temperature, 1e-3, 1e3))
    )
