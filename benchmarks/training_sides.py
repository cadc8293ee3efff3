"""The sides that train_speed.py measures ours against, each in a process of its own.

    python benchmarks/training_sides.py SIDE PROJECT ARCHITECTURE DEVICE BATCH_SIZE EPOCHS_OR_PARTITION

Trains with SIDE naive, lightning or bare and prints the seconds of each epoch, training and validation, as JSON; or
predicts a partition with naive_test. All sides take the same number of steps, on equally many images of the same shape.
"""

import csv
import json
import os
import sys
import time
from pathlib import Path

import measuring
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models, transforms

from pipeline.learning import devices

SIZE = 224
BATCH_SIZE = {"cpu": 25, "cuda": 256}
LARGE_MATRIX = {"cpu": 4096, "cuda": 16384}  # rows and columns; large enough for either to come near its peak


class ImageFiles(Dataset):
    """A partition, each image opened and resized whenever it is asked for, as in a tutorial."""

    def __init__(self, project, partition):
        with open(project / "csv" / f"{partition}.csv", newline="") as file:
            self.rows = list(csv.reader(file))
        self.folder = project / "bin"
        self.transform = transforms.Compose(
            [transforms.Resize((SIZE, SIZE)), transforms.Grayscale(num_output_channels=3), transforms.ToTensor()]
        )

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        name, label = self.rows[number]
        return self.transform(Image.open(self.folder / name).convert("RGB")), int(label)


def naive(project, architecture, device, batch_size, epochs):
    """The loop of a tutorial: files opened in every epoch by one process, float32, contiguous, Adam."""
    train_loader = DataLoader(ImageFiles(project, "train"), batch_size, shuffle=True)
    val_loader = DataLoader(ImageFiles(project, "val"), batch_size)
    model = models.get_model(architecture, num_classes=2).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    criterion = nn.CrossEntropyLoss()
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        model.train()
        for images, labels in train_loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            loss.item()
        model.eval()
        with torch.no_grad():
            for images, labels in val_loader:
                criterion(model(images.to(device)), labels.to(device)).item()
        seconds.append(time.perf_counter() - started)
    torch.save(model.state_dict(), _naive_weights(project, architecture))
    return seconds


def naive_test(project, architecture, device, batch_size, partition):
    """Prediction as in a tutorial: files opened one after the other, float32."""
    model = models.get_model(architecture, num_classes=2)
    model.load_state_dict(torch.load(_naive_weights(project, architecture), map_location="cpu", weights_only=True))
    model.to(device).eval()
    with torch.no_grad():
        outputs = [model(images.to(device)) for images, _ in DataLoader(ImageFiles(project, partition), batch_size)]
    return torch.cat(outputs).softmax(dim=1).tolist()


def lightning(project, architecture, device, batch_size, epochs):
    """Lightning's Trainer: mixed precision, channels last, files opened by workers, nothing logged or saved."""
    from lightning import pytorch as pl

    class Classifier(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = models.get_model(architecture, num_classes=2).to(memory_format=torch.channels_last)

        def loss(self, batch):
            images, labels = batch
            return nn.functional.cross_entropy(self.model(images.to(memory_format=torch.channels_last)), labels)

        def training_step(self, batch):
            return self.loss(batch)

        def validation_step(self, batch):
            self.log("val_loss", self.loss(batch), batch_size=len(batch[1]))

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.001, fused=True)

    class Clock(pl.Callback):
        seconds = ()

        def on_train_epoch_start(self, trainer, module):
            self.started = time.perf_counter()

        def on_train_epoch_end(self, trainer, module):  # after the validation
            _finish(device)
            self.seconds = [*self.seconds, time.perf_counter() - self.started]

    def loader(partition, **settings):
        return DataLoader(
            ImageFiles(project, partition),
            batch_size,
            num_workers=os.cpu_count(),
            persistent_workers=True,
            pin_memory=device.type == "cuda",
            **settings,
        )

    precision = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
    clock = Clock()
    trainer = pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision=precision[devices.pick_precision("auto", device)],
        max_epochs=epochs,
        callbacks=[clock],
        benchmark=True,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Classifier(), loader("train", shuffle=True), loader("val"))
    return clock.seconds


def bare(project, architecture, device, batch_size, epochs):
    """Nothing but the steps: random images that are ready on the device, in our precision and layout."""
    precision = devices.pick_precision("auto", device)
    model, step = bare_step(architecture, device, precision)

    def batches(partition):
        images, labels = random_images(measuring.count_images(project, partition), device)
        return list(zip(images.split(batch_size), labels.split(batch_size), strict=True))

    train_batches, val_batches = batches("train"), batches("val")
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        model.train()
        for images, labels in train_batches:
            step(images, labels)
        model.eval()
        with torch.inference_mode(), devices.autocast(device, precision):
            for images, _ in val_batches:
                model(images)
        _finish(device)
        seconds.append(time.perf_counter() - started)
    return seconds


def bare_step(architecture, device, precision):
    """Return a model and a function from images and labels that takes a training step, in our memory layout."""
    model = models.get_model(architecture, num_classes=2).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)

    def step(images, labels):
        with devices.autocast(device, precision):
            loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return model, step


def random_images(count, device):
    """Return images and labels on the device, in our memory layout."""
    images = torch.rand(count, 3, SIZE, SIZE).to(device, memory_format=torch.channels_last)
    return images, torch.randint(2, (count,)).to(device)


def floating_point_operations(architecture, train_count, val_count):
    """Return how many an epoch takes: multiplications and additions of convolutions and matrix products."""
    with torch.device("meta"):  # shapes only, no computation
        model = models.get_model(architecture, num_classes=2)
        images = torch.zeros(2, 3, SIZE, SIZE)
    with FlopCounterMode(display=False) as forward:
        loss = model(images).sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    step, prediction = forward.get_total_flops() + backward.get_total_flops(), forward.get_total_flops()
    return (step * train_count + prediction * val_count) / len(images)


def matrix_product_peak(device, dtype):
    """Return GFLOP/s of a large matrix product: the best of ten."""
    size = LARGE_MATRIX[device.type]
    matrix, seconds = torch.rand(size, size, device=device).to(dtype), []
    for _ in range(10):
        started = time.perf_counter()
        matrix @ matrix
        _finish(device)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds) / 1e9


def _naive_weights(project, architecture):
    return project / "models" / f"naive_{architecture}.pth"


def _finish(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def main():
    side, project, architecture, device, batch_size, last = sys.argv[1:]
    sides = {"naive": naive, "naive_test": naive_test, "lightning": lightning, "bare": bare}
    last = last if side == "naive_test" else int(last)
    print(json.dumps(sides[side](Path(project), architecture, torch.device(device), int(batch_size), last)))


if __name__ == "__main__":
    main()
