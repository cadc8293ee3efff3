"""Which trainings a command asks for, where their files go, and what stands in the way. Imports no torch."""

from dataclasses import dataclass

from pipeline import files
from pipeline.errors import UserError, require_none
from pipeline.learning.config import IMAGENET, TrainingConfig
from pipeline.messages import in_words
from pipeline.project import LAST_SUFFIX, MODEL_SUFFIX, Project, fold_name

WAYS_OUT = "use --overwrite, or another -model_save_name"


@dataclass
class PlannedRun:
    """A training run of a project, and where its files go."""

    project: Project
    name: str
    config: TrainingConfig
    fold: int = None

    def __post_init__(self):
        models, at_once = self.project.models, self.config.freeze_backbone
        self.model = models / f"{self.name}{MODEL_SUFFIX}"
        self.last = models / f"{self.name}{LAST_SUFFIX}"
        # The checkpoint to resume from. A last layer that is fitted at once only leaves the model.
        self.resumable = self.model if at_once else self.last
        self.lock = models / f".{self.name}.lock"
        self.augmented, self.epochs = self._result("augmented.png"), self._result("epochs.csv")
        self.hyperparameters, self.losses = self._result("hyperparameters.json"), self._result("loss_values.json")
        # What this run leaves, and what one of this name may have left: steps also leave a state to resume from, and
        # curves.
        of_steps = [self.last, self._result("accuracy.png"), self._result("loss.png")]
        self.files = [self.model, self.hyperparameters, self.losses, self.epochs, *([] if at_once else of_steps)]
        self.possible_files = list(dict.fromkeys([*self.files, *of_steps]))

    def _result(self, ending):
        return self.project.results / f"{self.name}_{ending}"

    @property
    def existing(self):
        """The files that an earlier run of this name left."""
        return [path for path in self.possible_files if path.exists()]

    def prepare(self, may_exist):
        """Create the folders; UserError if an earlier run of this name left something and that is not expected.

        Also raises UserError if the training would replace the weights that it starts from: it could then not be
        resumed, and other folds would start from other weights.
        """
        weights, own = self.config.weights, [path for path in (self.model, self.last) if path.exists()]
        if weights not in (None, IMAGENET) and any(path.samefile(weights) for path in own):
            raise UserError(f"-weights {weights}: would be replaced by this training; give another -model_save_name")
        for folder in (self.project.models, self.project.results):
            folder.mkdir(exist_ok=True)
        if self.existing and not may_exist:
            raise UserError(
                f"{self.existing[0]}: exists already; --resume continues that training, --overwrite starts again, "
                "-model_save_name gives another name"
            )

    def choice_faults(self, recorded, path):
        """Return a line for each choice that must not differ from the record in `path`, but does."""
        return [
            f"{option if value is None else f'{option} {in_words(value)}'}: {path} was trained with {name} "
            f"{in_words(theirs)}; give the same, {WAYS_OUT}"
            for option, value, name, theirs in self.config.contradictions(recorded)
        ]

    def recorded(self):
        """Return the record of a finished training of this name; None if there is none, or a damaged one."""
        if not self.hyperparameters.exists() or not self.model.exists():
            return None
        try:
            return files.read_json_object(self.hyperparameters)
        except UserError:
            return None  # written again from the last epoch's checkpoint, which holds it too

    def require_same_choices(self):
        """Raise UserError if a finished training of this name had other choices, before anything is loaded."""
        recorded = self.recorded()
        if recorded is not None:
            require_none(self.choice_faults(recorded, self.hyperparameters))


def plan_runs(project, configs, folds, file_name):
    """Return the name in the model's file name, and a PlannedRun for each fold and configuration."""
    default = configs[0].architecture if len(configs) == 1 else "sweep"
    several_recipes = len({one.recipe for one in configs}) > 1
    name = project.model_path(file_name or f"{default}{MODEL_SUFFIX}").name.removesuffix(MODEL_SUFFIX)
    names = [run_name(name, one, several_recipes) for one in configs] if len(configs) > 1 else [name]
    return name, [
        PlannedRun(project, fold_name(its_name, fold), one, fold)
        for fold in folds
        for its_name, one in zip(names, configs, strict=True)
    ]


def require_ours(project, runs, sweep):
    """Raise UserError for each file of another origin that the runs, or the sweep of this name, would replace unasked.

    `sweep` is None if there is none. PlannedRun.prepare asks about what trainings of these names have left.
    """
    pictures, tables = [run.augmented for run in runs if run.config.augment != "none"], []
    if sweep is not None:
        pictures.append(project.results / f"{sweep}_sweep.png")
        tables.append(project.results / f"{sweep}_sweep.csv")
    foreign = [path for path in pictures if path.is_file() and not files.has_mark(path)]
    foreign += [path for path in tables if path.is_file() and not path.read_bytes().startswith(b"model name")]
    require_none(
        f"{path}: was not written by train_torchvision.py; rename it, or give another -model_save_name"
        for path in foreign
    )


def run_name(name, one, with_recipe=False):
    """Return the name of one run of the sweep called `name`."""
    recipe = f"_{one.recipe}" if with_recipe else ""
    steps = "" if one.freeze_backbone else f"_b{one.batch_size}_lr{in_words(one.learning_rate)}"
    return f"{name}{recipe}_{one.architecture}{steps}"
