import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from pipeline.learning import head


def made_up(count, features, classes, noise=2.0, seed=0):
    """Return features, of very different scales, and labels that they tell with some noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = random.normal(size=(classes, features))
    scales = 10.0 ** random.uniform(-2, 2, features)
    return (centres[labels] + noise * random.normal(size=(count, features))) * scales + scales, labels


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(
    ("count", "features", "classes", "bias"),
    [(60, 200, 2, True), (200, 20, 2, True), (90, 150, 3, False), (300, 10, 5, True)],
)
def test_it_predicts_as_scikit_learns_logistic_regression_on_standardized_features(
    count, features, classes, bias, balanced
):
    values, labels = made_up(count, features, classes)
    labels[: count // 4] = 0  # uneven classes
    fitted = head.fit_head(values, labels, range(count), balanced=balanced, bias=bias)
    logistic = LogisticRegression(
        C=fitted.strength, fit_intercept=bias, class_weight="balanced" if balanced else None, max_iter=10_000, tol=1e-8
    )
    reference = make_pipeline(StandardScaler(with_mean=bias), logistic).fit(values, labels)
    probabilities = torch.from_numpy(fitted.logits(values)).softmax(dim=1).numpy()
    assert np.allclose(probabilities, reference.predict_proba(values), atol=5e-3)


def test_it_is_no_worse_on_new_images_than_logistic_regression_of_any_strength():
    values, labels = made_up(400, 300, 2, noise=6.0)
    train, new = slice(0, 150), slice(150, 400)
    fitted = head.fit_head(values[train], labels[train], range(150))
    loss = head.evaluate(fitted, values[new], labels[new])["loss"]
    losses = []
    for strength in head.STRENGTHS:
        reference = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=10_000))
        probabilities = reference.fit(values[train], labels[train]).predict_proba(values[new])
        losses.append(-np.log(probabilities[np.arange(250), labels[new]]).mean())
    assert loss <= sorted(losses)[2]  # what looks best on 150 images is among the best on others


def test_images_of_a_group_do_not_choose_the_strength_for_each_other():
    """Each image stands ten times in its group: it would choose a weak penalty for itself, others a strong one."""
    values, labels = made_up(40, 100, 2, noise=40.0)
    values, labels = np.repeat(values, 10, axis=0), np.repeat(labels, 10)
    grouped = head.fit_head(values, labels, np.repeat(np.arange(40), 10))
    single = head.fit_head(values, labels, range(400))
    assert grouped.strength < single.strength


def test_an_image_counts_once_however_many_views_of_it_there_are():
    values, labels = made_up(60, 20, 3)
    one, several = (head.fit_head(values, labels, range(60), views=views) for views in ((), [values, values]))
    assert several.strength == one.strength
    assert np.allclose(several.logits(values), one.logits(values), atol=1e-2)


def test_a_class_of_one_group_leaves_the_usual_strength():
    values, labels = made_up(30, 10, 2)
    groups = np.where(labels == 1, "one patient", np.arange(30).astype(str))
    assert head.fit_head(values, labels, groups).strength == head.USUAL_STRENGTH


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_with_it_gives_its_logits(bias):
    values, labels = made_up(50, 8, 3)
    fitted = head.fit_head(values, labels, range(50), bias=bias)
    layer = nn.Linear(8, 3, bias=bias)
    head.put_into(layer, fitted, values)
    outputs = layer(torch.from_numpy(values).float()).detach().numpy()
    assert np.allclose(outputs, fitted.logits(values), atol=1e-2)


def test_a_convolution_with_a_relu_behind_it_gives_its_probabilities():
    values, labels = made_up(50, 8, 3, noise=0.1)
    fitted = head.fit_head(values, labels, range(50))
    fitted = head.Head(10 * fitted.weights, 10 * fitted.biases, fitted.strength)  # logits far below 0
    layer = nn.Conv2d(8, 3, kernel_size=1)
    head.put_into(layer, fitted, values)
    outputs = layer(torch.from_numpy(values).float()[:, :, None, None]).relu().flatten(1)
    expected = torch.from_numpy(fitted.logits(values)).softmax(dim=1)
    assert torch.allclose(outputs.softmax(dim=1).double(), expected, atol=1e-3)
