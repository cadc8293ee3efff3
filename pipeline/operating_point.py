"""The operating point: the temperature and the threshold that were measured, carried to new images.

Written into the results JSON, and read from there. The order is fixed: probabilities are calibrated first, and the
threshold applies to the calibrated ones.
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
    checkpoints: list  # file names of the models measured; of each fold, where there are several
    monte_carlo_samples: int | None
    temperature: float | None  # None: the probabilities stay as the model gives them
    threshold: float | None  # of the positive class; None: the finding is the most probable class
    rule: str | None  # by which the threshold was chosen
    measured_images: int
    sensitivity: float | None  # on the images measured, as are the other three
    sensitivity_interval: list | None  # 95 %
    specificity: float | None
    specificity_interval: list | None
    weights: list | None = None  # hashes of those of the models measured; None: only their names are known

    def as_json(self):
        """Return the object of the JSON file: the names of the fields in words."""
        return {name.replace("_", " "): value for name, value in asdict(self).items()}

    def calibrated(self, probabilities):
        """Return the probabilities with the temperature applied, where there is one; float (n, classes)."""
        return probabilities if self.temperature is None else calibrated(probabilities, self.temperature)

    def findings(self, probabilities):
        """Return the class that the threshold gives each row of calibrated `probabilities`; two classes."""
        positive = self.class_names.index(self.positive_class)
        finding = probabilities[:, positive] >= self.threshold
        return [self.class_names[positive if found else 1 - positive] for found in finding]

    def sentence(self):
        """Say what is done with the probabilities, and how good the findings were where they were measured."""
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
        """Raise UserError, with a line a fault, where the point (read from `path`) is of another model or classes.

        `checkpoints`, (file name, hash of the weights), are of the model that is to predict, or of all whose
        probabilities are averaged.
        """
        faults = [
            f"-operating_point {path}: is of {what} {in_words(theirs)}, the model of {in_words(ours)}; {way_out}"
            for what, theirs, ours, way_out in (
                ("the classes", ", ".join(self.class_names), ", ".join(class_names), "give its own results"),
                ("positive class", self.positive_class, positive_class, "measure again with -positive_class"),
                ("Monte Carlo samples", self.monte_carlo_samples, sample_count, "predict as it was measured"),
            )
            if theirs != ours
        ]
        for name, weights in checkpoints:
            if name not in self.checkpoints:
                listed = ", ".join(self.checkpoints)
                faults.append(f"-operating_point {path}: is of {listed}, not of {name}; give its own results")
            elif self.weights is not None and weights not in self.weights:
                faults.append(f"-operating_point {path}: is of a {name} with other weights; give its own results")
        require_none(faults)


def calibrated(probabilities, temperature):
    """Return probabilities p as softmax(ln p / temperature), float (n, classes): above 1 less confident, below 1 more.

    Guo et al., ICML 2017: the logarithms are the logits but for a constant in each row, which the softmax does not see.
    """
    logits = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def is_alone_in(path):
    """Return whether a file holds an operating point, be it sound or not, and nothing else, as results do."""
    try:
        return files.read_json_object(path).keys() == {KEY}
    except UserError:
        return False


def read(path):
    """Read the OperatingPoint of a results JSON; UserError where there is none, or it is damaged."""
    results = files.read_json_object(path)
    content = results.get(KEY)
    if results.get("Unit") == "group":
        raise UserError(
            f"-operating_point {path}: was measured on groups, and is not for single images; calculate it with "
            "calc_model_performance.py without -per group"
        )
    if content is None:
        raise UserError(
            f"-operating_point {path}: has no operating point; calculate it with calc_model_performance.py "
            "-threshold_from or -calibrate_from, of predictions that name their checkpoint"
        )
    try:
        point = OperatingPoint(**{name.replace(" ", "_"): value for name, value in content.items()})
    except (TypeError, AttributeError):
        point = None
    if point is None or not _is_sound(point):
        raise UserError(f"-operating_point {path}: {KEY!r} is damaged; run calc_model_performance.py again")
    return point


def _is_sound(point):
    """Tell whether all values are of their type and within their bounds."""
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
