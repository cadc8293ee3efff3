"""What is wrong with options, names and files is told without importing torch, which takes seconds."""

import pytest
from conftest import ROOT, SMALL_TRAINING
from torchvision import models

from pipeline.learning.architectures import torchvision_names

WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = None  # from now on importing it fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
PRINTING_SEARCHES = """
import gc, os, runpy, sys
full_search = lambda phase, about: phase == "start" and about["generation"] == 2
gc.callbacks.append(lambda *search: full_search(*search) and os.write(1, b"%d objects\\n" % len(gc.get_objects())))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
TRAIN, TEST = ("train_torchvision.py", "-dir", "PROJECT"), ("test_torchvision.py", "-dir", "PROJECT")
AGAIN = (*TRAIN, *SMALL_TRAINING, "-num_epochs", 2, "-save", "small.pth.tar")


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ((*TRAIN, "-architecture", "resnet19"), "-architecture resnet19: "),
        ((*TRAIN, "-img_shape", 2, 32, 32), "-img_shape 2 32 32: "),
        ((*TRAIN, "-positive_class", "perhaps"), "-positive_class perhaps: "),
        ((*TRAIN, "-num_classes", 3), "-num_classes 3: "),
        ((*TRAIN, "-weights", "none.pth"), "-weights "),
        (AGAIN, "PROJECT/models/small.pth.tar: exists already"),
        ((*AGAIN, "--resume", "-learning_rate", 0.1), "-learning_rate 0.1: PROJECT/results/small_hyperparameters.json"),
        ((*TEST, "-architecture", "resnet19"), "-architecture resnet19: "),
        ((*TEST, "-positive_class", "perhaps"), "-positive_class perhaps: "),
        ((*TEST, "-save", "none"), "PROJECT/models/none: no such checkpoint"),
        ((*TEST, "-images", "PROJECT/none"), "-images PROJECT/none: "),
        ((*TEST, "-images", "PROJECT/bin", "-operating_point", "PROJECT/none"), "-operating_point PROJECT/none: "),
        # With nothing wrong the import fails, as it is meant to here.
        ((*AGAIN, "--resume"), "the package torch is not installed"),
        (TEST, "the package torch is not installed"),
    ],
)
def test_what_is_wrong_is_told_without_torch(run_python, trained_once, command, named):
    script, *arguments = [str(word).replace("PROJECT", str(trained_once)) for word in command]
    result = run_python(WITHOUT_TORCH, ROOT / script, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"{script}: error: {named.replace('PROJECT', str(trained_once))}"), result.stderr
    assert result.stderr.count("\n") == 1


def test_the_names_of_architectures_are_those_that_torchvision_registers():
    assert torchvision_names() == models.list_models(module=models)


def test_what_tests_a_model_imports_nothing_slow_but_torch(slow_imports, trained):
    assert slow_imports(*TEST[:2], trained) == {"numpy", "PIL", "torch", "tqdm"}


def test_the_objects_of_torch_are_never_searched_for_garbage(run_python, trained):
    """Six full searches, the last one as the process ends, took a second."""
    result = run_python(PRINTING_SEARCHES, ROOT / TEST[0], "-dir", trained, "-result_json_name", "searches.json")
    assert result.returncode == 0, result.stderr
    searched = [int(line.split()[0]) for line in result.stdout.splitlines() if line.endswith(" objects")]
    assert max(searched, default=0) < 100_000  # of about 300,000
