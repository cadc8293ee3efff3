"""The five commands of the README as a user runs them, less --use_GPU and with smaller settings."""

import json

import pytest

PARTITIONS = ("train", "val", "test")


@pytest.mark.parametrize(
    ("class_names", "runner"),
    [(("no", "yes"), "run_script"), (("Meningiom", "gesund", "glioma é"), "call_script")],
    ids=["two classes, each script in a process of its own", "three classes"],
)
def test_the_five_commands_write_the_files_that_they_should(
    request, class_folders, contents, tmp_path, class_names, runner
):
    run = request.getfixturevalue(runner)
    folder = tmp_path / "Bilder für uns"
    counts = {name: 8 + 2 * number for number, name in enumerate(sorted(class_names))}
    class_folders(folder, counts)
    images = {path.rpartition("/")[2]: data for path, data in contents(folder).items()}
    count = len(class_names)
    commands = [
        ["partition_datasets.py", "-proj_dir", folder, "-val_test_prop", 0.1, "-num_classes", count],
        ["organize_files.py", folder],
        [
            "train_torchvision.py", "-project_directory", folder, "-num_epochs", 2, "-num_classes", count,
            "-learning_rate", 0.001, "-patience", 5, "-batch_size", 25, "-model_save_name", "resnet_1.pth.tar",
            "-img_shape", 3, 32, 32, "-architecture", "resnet18",
        ],
        [
            "test_torchvision.py", "-dir", folder, "-classes", count, "-batch_size", 100, "-save", "resnet_1.pth.tar",
            "-architecture", "resnet18", "-result_json_name", "resnet_1_preds.json", "-img_size", 3, 32, 32,
        ],
        ["calc_model_performance.py", folder / "resnet_1_preds.json", folder / "resnet_1_results.json"],
    ]  # fmt: skip
    for command in commands:
        result = run(*command)
        assert result.returncode == 0, (command, result.stderr)
        assert [line for line in result.stderr.splitlines() if not line.startswith("note: ")] == []
        assert result.stdout

    files = contents(folder)
    assert {path.removeprefix("bin/"): data for path, data in files.items() if path.startswith("bin/")} == images
    results = {path for path in files if path.startswith("resnet_1_results")}
    assert "resnet_1_results.json" in results
    assert {path for path in files if not path.startswith("bin/")} - results == {
        *(f"csv/{name}.csv" for name in ("train", "val", "test", "classes", "images")),
        "csv/split.json",
        "models/resnet_1.pth.tar",
        "models/resnet_1.last.pth.tar",
        "results/resnet_1_hyperparameters.json",
        "results/resnet_1_loss_values.json",
        "results/resnet_1_epochs.csv",
        "results/resnet_1_accuracy.png",
        "results/resnet_1_loss.png",
        "resnet_1_preds.json",
    }
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"bin", "csv", "models", "results"}
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]

    splits = {name: files[f"csv/{name}.csv"].decode().splitlines() for name in PARTITIONS}
    assert sorted(line.rpartition(",")[0] for lines in splits.values() for line in lines) == sorted(images)
    predictions = json.loads(files["resnet_1_preds.json"])
    assert predictions["class names"] == sorted(class_names)
    assert (
        list(map(",".join, zip(predictions["filenames"], map(str, predictions["labels"]), strict=True)))
        == (splits["test"])
    )
    measured = json.loads(files["resnet_1_results.json"])
    correct = sum(map(int.__eq__, predictions["labels"], predictions["predictions"]))
    assert measured["Accuracy"] == pytest.approx(correct / len(splits["test"]))
