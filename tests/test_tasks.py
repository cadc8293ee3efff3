"""What test_torchvision.py cannot be asked to do, whatever the files hold."""

import pytest
from conftest import error_places

from pipeline.learning.tasks import Task

NEW = ("-images", "images")
ELSEWHERE = ("-external", "images", "-out", "a_preds.json")
PROJECT = ("-dir", "project")
DOUBT = (*PROJECT, "-doubtful_labels", "a.html")


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ((), "-dir"),
        ((*NEW, *ELSEWHERE), "-images, -external"),
        ((*NEW, "-export", "a.onnx"), "-images, -export"),
        # Without effect.
        ((*NEW, "--ensemble"), "--ensemble"),
        ((*NEW, "-split", "val"), "-split val"),
        ((*NEW, "-positive_class", "yes"), "-positive_class yes"),
        ((*NEW, "-result_json_name", "a.json"), "-result_json_name a.json"),
        ((*NEW, "-doubtful_labels", "a.html"), "-doubtful_labels a.html"),
        ((*ELSEWHERE, "-split", "val"), "-split val"),
        ((*ELSEWHERE, "--explain"), "--explain"),
        ((*ELSEWHERE, "-result_json_name", "a.json"), "-result_json_name a.json"),
        ((*ELSEWHERE, "-columns", "image=scan"), "-columns"),
        (("-export", "a.onnx", "-mc_samples", 3), "-mc_samples 3"),
        (("-export", "a.onnx", "-batch_size", 3), "-batch_size 3"),
        (("-export", "a.onnx", "--use_GPU"), "--use_GPU"),
        (("-export", "a.onnx", "-max_pixels", 9), "-max_pixels 9"),
        ((*PROJECT, "-out", "a.csv"), "-out a.csv"),
        ((*PROJECT, "-operating_point", "a.json"), "-operating_point a.json"),
        ((*PROJECT, "-columns", "image=scan"), "-columns image scan"),  # and -labels_csv is not asked for
        # Of one model or of several.
        ((*PROJECT, "--ensemble"), "--ensemble"),
        ((*PROJECT, "-fold", 0, "--ensemble"), "--ensemble"),
        ((*NEW, "-fold", "all", "-out", "a.csv", "--explain"), "--explain"),
        ((*NEW, "-fold", "all", "-mc_samples", 3), "-mc_samples 3"),
        # Of the images that no model has seen.
        (DOUBT, "-doubtful_labels a.html"),
        ((*DOUBT, "-fold", 0), "-doubtful_labels a.html"),
        ((*DOUBT, "-fold", "all", "--ensemble"), "-doubtful_labels a.html"),
        ((*DOUBT, "-fold", "all", "-split", "val"), "-doubtful_labels a.html"),
        # Where nothing can lie.
        (("-external", "images"), "-external"),
        (("-external", "images", "-out", "a.csv"), "-out a.csv"),
        ((*NEW, "-out", "a.xlsx"), "-out a.xlsx"),
        ((*NEW, "-out", "nowhere/a.csv"), "-out nowhere/a.csv"),
        ((*PROJECT, "-result_json_name", "nowhere/a.json"), "-result_json_name nowhere/a.json"),
        (("-export", "a.pt"), "-export a.pt"),
        (("-export", "nowhere/a.onnx"), "-export nowhere/a.onnx"),
        ((*NEW, "--explain"), "--explain"),
        ((*NEW, "-out", "images/a.csv", "--explain"), "-out images/a.csv"),  # pictures would become new images,
        ((*NEW, "-out", "project/a.csv", "--explain"), "-out project/a.csv"),  # or a class
    ],
)
def test_an_option_without_effect_without_a_place_or_of_another_task_is_named(
    call_script, tmp_path, monkeypatch, words, place
):
    monkeypatch.chdir(tmp_path)
    for folder in ("images", "project/bin", "project/csv"):
        (tmp_path / folder).mkdir(parents=True)
    result = call_script("test_torchvision.py", *words)
    assert (error_places(result), result.stdout) == ([place], "")


def test_the_limit_on_pixels_holds_for_the_images_that_an_export_is_checked_with(tmp_path):
    task = Task(dir=tmp_path, save="m.pth.tar", export=tmp_path / "m.onnx", max_pixels=9)
    assert task.max_pixels == 9  # without -dir no image is read, and it is an error
