from dataclasses import dataclass, fields, replace

import pytest

from pipeline import command_line
from pipeline.command_line import ArgumentParser
from pipeline.errors import UserError
from pipeline.learning import config
from pipeline.learning.config import PARTS, RECIPES, TrainingConfig, choice
from pipeline.readers import number, whole_number

FIELDS = fields(TrainingConfig)
# A value that is not the published default, as text and as it is read, of each field that is not a switch.
CHOSEN = {
    "image_shape": (["1", "64", "48"], [1, 64, 48]),
    "positive_class": (["no"], "no"),
    "recipe": (["strong", "transfer"], ["strong", "transfer"]),
    "architecture": (["vgg", "resnet18"], ["vgg", "resnet18"]),
    "weights": (["imagenet"], "imagenet"),
    "batch_size": (["8", "16"], [8, 16]),
    "learning_rate": (["1e-4", "0.01"], [0.0001, 0.01]),
    "num_epochs": (["3"], 3),
    "patience": (["7"], 7),
    "seed": (["3"], 3),
    "precision": (["float32"], "float32"),
    "augment": (["strong"], "strong"),
    "optimizer": (["SGD"], "SGD"),
    "schedule": (["one-cycle"], "one-cycle"),
    "weight_decay": (["0.2"], 0.2),
    "clip_gradient": (["0.5"], 0.5),
    "label_smoothing": (["0.2"], 0.2),
    "dropout": (["0.2"], 0.2),
    "pooling": (["average+max"], "average+max"),
    "class_weights": (["balanced"], "balanced"),
    "keep": (["last"], "last"),
}
SWITCHES = [entry for entry in FIELDS if isinstance(entry.default, bool)]


def parse(config_class, arguments, default_text=lambda entry: ""):
    """Return {field: value} of the options that are given."""
    parser = ArgumentParser("script.py", "A script.", "python script.py")
    groups = {entry.metadata["option"].group: parser for entry in fields(config_class)}
    command_line.add_choices(groups, config_class, default_text)
    return {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}


def spellings(entry):
    """Yield all ways to write a field's option."""
    option = entry.metadata["option"]
    for name in (option.name, *option.other_names):
        for dashes in ("-", "--"):
            yield dashes + name.lstrip("-")


def test_every_choice_is_tried():
    assert {entry.name for entry in FIELDS} == CHOSEN.keys() | {entry.name for entry in SWITCHES}


@pytest.mark.parametrize("entry", [entry for entry in FIELDS if entry.name in CHOSEN], ids=lambda entry: entry.name)
def test_an_option_takes_one_dash_and_two_and_its_other_names(entry):
    texts, expected = CHOSEN[entry.name]
    for spelling in spellings(entry):
        assert parse(TrainingConfig, [spelling, *texts]) == {entry.name: expected}


@pytest.mark.parametrize("entry", SWITCHES, ids=lambda entry: entry.name)
def test_a_switch_can_be_turned_on_and_off_with_one_dash_and_two(entry):
    for spelling in spellings(entry):
        dashes, name = spelling[: -len(spelling.lstrip("-"))], spelling.lstrip("-")
        assert parse(TrainingConfig, [spelling]) == {entry.name: True}
        assert parse(TrainingConfig, [f"{dashes}no-{name}"]) == {entry.name: False}


def test_what_is_not_given_is_left_to_the_recipe():
    assert parse(TrainingConfig, []) == {}


def test_every_choice_has_a_name_of_its_own_in_the_records_and_on_the_command_line():
    assert len({config.record_name(entry) for entry in FIELDS}) == len(FIELDS)
    names = [spelling for entry in FIELDS for spelling in spellings(entry)]
    assert len(set(names)) == len(names)


def test_the_published_recipe_is_the_published_one():
    (published,) = config.grid({})
    assert published == TrainingConfig()
    expected = {
        "recipe": "published", "image shape": [3, 224, 224], "keep color": False, "positive class": None,
        "architecture": "resnet18", "weights": None, "freeze backbone": False, "fit head": False, "batch size": 25,
        "learning rate": 0.001, "maximum number of epochs": 256, "patience": 5, "seed": 0, "precision": "auto",
        "normalize": False, "augment": "none", "optimizer": "Adam", "schedule": "constant", "weight decay": 0.0,
        "clip gradient": 0.0, "label smoothing": 0.0, "dropout": None, "pooling": "average", "class weights": "none",
        "average flips": False, "weights kept": "best",
    }  # fmt: skip
    assert published.record() == expected


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_choice_replaces_that_of_the_recipe_and_nothing_else(recipe):
    (whole,) = config.grid({"recipe": [recipe]})
    (changed,) = config.grid({"recipe": [recipe], "class_weights": "balanced", "average_flips": False})
    assert whole == replace(TrainingConfig(), recipe=recipe, **RECIPES[recipe])
    assert changed == replace(whole, class_weights="balanced", average_flips=False)


def test_several_recipes_are_a_sweep_each_with_its_own_defaults():
    strong, transfer = config.grid({"recipe": ["strong", "transfer"], "seed": 1, "batch_size": [10]})
    assert (strong.batch_size, strong.weight_decay, strong.weights, strong.seed) == (10, 0.05, None, 1)
    assert (transfer.architecture, transfer.weights, transfer.seed) == ("efficientnet_lite0", "imagenet", 1)
    assert transfer.record()["batch size"] is None


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_holds_what_its_options_offer(recipe):
    options = {entry.name: entry.metadata["option"] for entry in FIELDS}
    for name, value in RECIPES[recipe].items():
        assert options[name].values is None or value in options[name].values


def test_help_says_the_defaults_of_the_recipes():
    text = {entry.name: config.default_text(entry) for entry in FIELDS}
    assert text["weight_decay"] == " (default: 0; strong: 0.05; fine-tune: 0.05)"
    assert text["image_shape"] == " (default: 3 224 224; transfer: 3 260 260; fine-tune: 3 160 160)"
    assert text["normalize"] == " (default: no; strong: yes)"
    assert text["weights"] == ""


def test_the_grid_is_every_combination_once_in_the_order_given():
    grid = config.grid({"architecture": ["vgg11", "alexnet"], "batch_size": [8, 4], "learning_rate": [0.1], "seed": 3})
    assert [(one.architecture, one.batch_size, one.learning_rate, one.seed) for one in grid] == [
        ("vgg11", 8, 0.1, 3), ("vgg11", 4, 0.1, 3), ("alexnet", 8, 0.1, 3), ("alexnet", 4, 0.1, 3),
    ]  # fmt: skip
    assert len(config.grid({"architecture": ["alexnet", "alexnet"], "learning_rate": [0.1, 1e-1]})) == 1
    # What the configurations are compared by is the same whether it was given or not.
    assert config.grid({"image_shape": [3, 224, 224]}) == config.grid({})


@pytest.mark.parametrize("name", ["freeze_backbone", "fit_head"])
def test_a_last_layer_is_fitted_to_pretrained_weights_only(name):
    assert getattr(TrainingConfig(weights="imagenet", **{name: True}), name)
    with pytest.raises(UserError, match=rf"^--{name}: "):
        TrainingConfig(**{name: True})


@pytest.mark.parametrize(
    "entry", [entry for entry in FIELDS if entry.metadata["option"].of_steps], ids=lambda entry: entry.name
)
def test_a_choice_about_steps_has_no_effect_where_the_last_layer_alone_is_fitted(entry):
    option, (_, value) = entry.metadata["option"].name, CHOSEN.get(entry.name, ((), True))
    frozen = {"freeze_backbone": True, "weights": "imagenet"}
    for chosen, named in (({"recipe": ["transfer"]}, "-recipe transfer"), (frozen, "--freeze_backbone")):
        with pytest.raises(UserError, match=rf"^{option}: has no effect with {named}, "):
            config.grid(chosen | {entry.name: value})


@pytest.mark.parametrize(
    ("shape", "keep_color", "place"),
    [
        ((2, 8, 8), False, "-img_shape 2 8 8"),
        ((224, 224, 3), False, "-img_shape 224 224 3"),
        ((3, 8, 100_001), False, "-img_shape 3 8 100001"),
        ((1, 8, 8), True, "--keep_color, -img_shape 1 8 8"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(shape, keep_color, place):
    with pytest.raises(UserError, match=f"^{place}: "):
        TrainingConfig(image_shape=shape, keep_color=keep_color)


def test_a_training_may_be_longer_on_resume_but_not_along_a_schedule():
    longer = {"num_epochs": 5, "patience": 7, "positive_class": "no"}
    plain, scheduled = TrainingConfig(num_epochs=3), TrainingConfig(num_epochs=3, schedule="one-cycle")
    assert replace(plain, **longer).contradictions(plain.record()) == []
    assert replace(scheduled, **longer).contradictions(scheduled.record()) == [
        ("-num_epochs", 5, "maximum number of epochs", 3)
    ]


@pytest.mark.parametrize(
    "entry", [entry for entry in FIELDS if not entry.metadata["option"].may_change], ids=lambda entry: entry.name
)
def test_every_other_choice_has_to_be_the_same_on_resume(entry):
    _, other = CHOSEN.get(entry.name, ((), True))
    other = {"image_shape": (1, 64, 48), "architecture": "vgg11_bn", "batch_size": 8, "learning_rate": 0.01}.get(
        entry.name, other
    )
    base = TrainingConfig(weights="imagenet" if entry.name in ("freeze_backbone", "fit_head") else None)
    changed = replace(base, **{entry.name: other})
    ((option, value, name, recorded),) = changed.contradictions(base.record())
    assert (option, name) == (entry.metadata["option"].name, config.record_name(entry))
    assert (value, recorded) == (changed.record()[name], base.record()[name])
    # A record that does not know the choice was written without it.
    assert len(changed.contradictions({key: value for key, value in base.record().items() if key != name})) == 1


@dataclass(frozen=True)
class WithMore(TrainingConfig):
    """The configuration with the choices that someone has added."""

    # fmt: off
    warm_up: int = choice(3, "-warm_up", "epochs of rising learning rate", PARTS, whole_number(0))
    mix: float | None = choice(None, "-mix", "mix images", PARTS, number(at_least=0), metavar="X",
                               record="mixed images")
    blur: bool = choice(False, "--blur", "blur images", may_change=True)
    # fmt: on


def test_a_new_field_brings_its_option_its_record_and_its_check_on_resume():
    assert parse(WithMore, ["--warm_up", "5", "-mix", "0.5", "-blur", "-seed", "1"]) == {
        "warm_up": 5, "mix": 0.5, "blur": True, "seed": 1,
    }  # fmt: skip
    chosen = WithMore(warm_up=5, mix=0.5, blur=True)
    added = {"warm up": 5, "mixed images": 0.5, "blur": True}
    assert chosen.record() == TrainingConfig().record() | added
    assert chosen.contradictions(WithMore().record()) == [
        ("-warm_up", 5, "warm up", 3),
        ("-mix", 0.5, "mixed images", None),
    ]


def test_a_new_field_is_checked_by_its_reader(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(WithMore, ["-warm_up", "-1"])
    assert stop.value.code == 2
    assert "-warm_up: " in capsys.readouterr().err
