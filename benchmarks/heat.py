"""Whether --explain finds what tells the classes apart: how much of its heat is on lesions whose place is known.

    python benchmarks/heat.py [-sizes 64 112 224] [-architecture resnet18]

Trains on drawn heads with and without a lesion, SIZE x SIZE pixels. Then, among other drawn heads, explains those with
a lesion that are predicted correctly: with the method of --explain, and with Grad-CAM at the layer that --explain uses
and at the model's last layer. Lift is the fraction of the heat that is on the lesion, divided by the lesion's fraction
of the image: at 1 it is not better than heat everywhere. A hit is an image whose hottest pixel is on the lesion.
"""

import argparse

import measuring
import numpy as np
import torch
from captum.attr import LayerGradCam
from PIL import Image
from torch.nn import functional

import demo
from pipeline.learning import explanation, models
from pipeline.learning.preprocessing import Preprocessing
from pipeline.messages import format_table

TRAINED, TESTED, EPOCHS = 300, 100, 15


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("-sizes", type=int, nargs="+", default=[64, 112, 224])
    parser.add_argument("-architecture", default="resnet18")
    arguments = parser.parse_args()
    rows = [row for size in arguments.sizes for row in measure(arguments.architecture, size)]
    print(f"{measuring.machine('torch', 'torchvision')}\n")
    print(format_table(["size", "accuracy", "images", "heat", "cells", "lift", "hits"], rows))


def measure(architecture, size):
    """Yield a row for each way to explain a model for images of this size."""
    preprocessing = Preprocessing(3, size, size)
    model = train(architecture, preprocessing)
    pixels, labels, lesions = draw(preprocessing, TESTED, seed=2)
    model.eval()
    with torch.no_grad():
        correct = model(preprocessing.model_input(pixels)).argmax(dim=1) == labels
    chosen = correct & (labels == 1)
    pixels, labels, lesions = pixels[chosen], labels[chosen], lesions[chosen.numpy()]
    images = preprocessing.model_input(pixels)
    layer, is_last = explanation.target_layer(model, images[:1])
    ways = {"--explain": explanation.explain(model, pixels, preprocessing, labels)}
    if not is_last:
        last, _ = explanation.target_layer(model, images[:1], cells=1)
        ways |= {"Grad-CAM there": grad_cam(model, layer, images, labels)}
        ways |= {"Grad-CAM, last layer": grad_cam(model, last, images, labels)}
    for way, heat in ways.items():
        lift, hits = on_lesions(heat, lesions)
        yield [size, f"{correct.float().mean():.2f}", len(labels), way, "x".join(map(str, heat.shape[1:])), lift, hits]


def draw(preprocessing, count, seed):
    """Return pixels, labels and masks of the lesions (n, height, width) of drawn heads, half of them with a lesion."""
    pixels, masks = [], []
    for number in range(count):
        generator = np.random.default_rng([seed, number])
        lesion = demo.LESIONS[number // 2 % 2] if number % 2 else None
        image, mask = demo.draw_phantom(generator, lesion, (256, 256))
        pixels.append(preprocessing.pixels(image))
        mask = Image.fromarray(mask).resize((preprocessing.width, preprocessing.height))
        masks.append(np.asarray(mask))
    return torch.from_numpy(np.stack(pixels)), torch.arange(count) % 2, np.stack(masks)


def train(architecture, preprocessing):
    """Return a model trained on drawn heads."""
    pixels, labels, _ = draw(preprocessing, TRAINED, seed=1)
    torch.manual_seed(0)
    model = models.build_model(architecture, 2, preprocessing.image_shape)
    optimizer = torch.optim.Adam(model.parameters(), 0.001)
    for _ in range(EPOCHS):
        for batch in torch.randperm(TRAINED).split(25):
            loss = functional.cross_entropy(model(preprocessing.model_input(pixels[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def grad_cam(model, layer, images, labels):
    """Return Grad-CAM maps as captum computes them."""
    return LayerGradCam(model, layer).attribute(images, labels, relu_attributions=True)[:, 0].detach()


def on_lesions(heat, lesions):
    """Return the mean lift, and how many images have their hottest pixel on the lesion."""
    heat = functional.interpolate(heat[:, None], size=lesions.shape[1:], mode="bilinear")[:, 0].numpy()
    fractions = (heat * lesions).sum(axis=(1, 2)) / np.maximum(heat.sum(axis=(1, 2)), 1e-9)
    hits = [lesion.ravel()[values.argmax()] for values, lesion in zip(heat, lesions, strict=True)]
    return f"{fractions.mean() / lesions.mean():.1f}", sum(hits)


if __name__ == "__main__":
    main()
