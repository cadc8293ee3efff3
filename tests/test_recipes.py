import pytest

from pipeline.learning import recipes
from pipeline.learning.recipes import Recipe


def test_the_published_recipe_is_the_published_one():
    assert recipes.resolve("published").settings() == {
        "batch size": 25,
        "learning rate": 0.001,
        "maximum number of epochs": 256,
        "patience": 5,
        "optimizer": "Adam",
        "weight decay": 0.0,
        "schedule": "constant",
        "label smoothing": 0.0,
        "dropout": None,
        "class weights": "none",
        "normalize": False,
        "augment": "none",
        "average flips": False,
        "weights kept": "best",
    }


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_choice_replaces_that_of_the_recipe_and_nothing_else(name):
    chosen = recipes.resolve(name, learning_rate=0.5, patience=None, normalize=None)
    assert chosen == Recipe(**{**vars(recipes.RECIPES[name]), "learning_rate": 0.5})


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_word_of_a_recipe_is_one_that_its_option_offers(name):
    recipe = recipes.RECIPES[name]
    assert recipe.optimizer in recipes.OPTIMIZERS
    assert recipe.schedule in recipes.SCHEDULES
    assert recipe.augment in recipes.AUGMENTATIONS
    assert recipe.class_weights in recipes.CLASS_WEIGHTS
    assert recipe.keep in recipes.KEPT_EPOCHS
