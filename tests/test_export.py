import json
import shutil

import numpy as np
import pytest
import torch
from conftest import error_places
from PIL import Image

from pipeline.learning.ensemble import Ensemble
from pipeline.learning.preprocessing import Preprocessing

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="the package onnxscript is not installed")
safetensors = pytest.importorskip("safetensors.torch", reason="the package safetensors is not installed")

from pipeline.learning import export  # noqa: E402 - it imports these

SCRIPT = "test_torchvision.py"


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def noise(height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def folds(telling):
    """The model as that of two folds, one of which has other weights, colour, another size and mirror images."""
    path = telling / "models" / "small.pth.tar"
    content = torch.load(path, weights_only=True)
    shutil.copy(path, telling / "models" / "small_fold_0.pth.tar")
    content["state_dict"]["fc.weight"] *= 3
    content["image_shape"] = [3, 40, 36]
    content["preprocessing"] |= {"keep_color": True, "average_flips": True, "mean": [0.1, 0.2, 0.3], "std": [0.5] * 3}
    torch.save(content, telling / "models" / "small_fold_1.pth.tar")
    return telling


def operating_point(path, temperature, threshold):
    """Write results whose threshold finds other classes than the most probable ones."""
    content = {
        "class names": ["no", "yes"], "positive class": "yes", "checkpoints": ["small_fold_0.pth.tar",
        "small_fold_1.pth.tar"], "monte carlo samples": None, "temperature": temperature, "threshold": threshold,
        "rule": "x", "measured images": 4, "sensitivity": 0.5, "sensitivity interval": [0.1, 0.9],
        "specificity": 0.5, "specificity interval": [0.1, 0.9],
    }  # fmt: skip
    path.write_text(json.dumps({"Operating Point": content}), encoding="utf-8")
    return path


def test_onnxruntime_predicts_what_the_script_does_for_all_folds_at_the_operating_point(call_script, folds, tmp_path):
    model = folds / "models" / "small.pth.tar"
    images = [noise(*shape) for shape in ((50, 70), (200, 30), (33, 300), (1, 9))]
    ensemble = Ensemble.load(model)
    plain = ensemble.predict(images).probabilities
    logits = np.log(plain) / 0.25
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    threshold = float(np.sort(expected[:, 1])[1:3].mean())  # two images on either side
    results = operating_point(tmp_path / "results.json", 0.25, threshold)
    path = tmp_path / "small é.onnx"
    result = call_script(SCRIPT, "-dir", folds, "-save", "small", "-fold", "all", "-export", path,
                         "-operating_point", results)  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "checked" in result.stdout and str(folds) in result.stdout
    run = session(path)
    found, findings = zip(*(run.run(None, {"image": np.asarray(image)}) for image in images), strict=True)
    assert np.ptp(expected[:, 1]) > 1e-3, "the images look alike to the model"
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert [int(one) for one in findings] == (expected[:, 1] >= threshold).astype(int).tolist()
    metadata = run.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["class names"]) == ["no", "yes"] and metadata["positive class"] == "yes"
    assert list(json.loads(metadata["checkpoints"])) == ["small_fold_0.pth.tar", "small_fold_1.pth.tar"]
    assert json.loads(metadata["operating point"])["threshold"] == threshold


@pytest.mark.parametrize("keep_color", [False, True])
def test_the_graph_resizes_to_the_very_values_of_pillow(keep_color):
    preprocessing = Preprocessing(3, 40, 56, keep_color)
    for seed, shape in enumerate([(40, 56), (1, 1), (300, 20), (300, 187), (90, 81), (91, 81), (30, 900), (640, 480)]):
        image = noise(*shape, seed)
        found = export.resized(torch.from_numpy(np.array(image)), preprocessing)
        np.testing.assert_array_equal(found, preprocessing.pixels(image), err_msg=str(shape))


def test_the_weights_are_exported_as_safetensors(call_script, trained, tmp_path):
    path = tmp_path / "small.safetensors"
    result = call_script(SCRIPT, "-dir", trained, "-export", path)
    assert result.returncode == 0, result.stderr
    state_dict = torch.load(trained / "models" / "small.pth.tar", weights_only=True)["state_dict"]
    found = safetensors.load_file(path)
    assert found.keys() == state_dict.keys() and all(torch.equal(found[name], state_dict[name]) for name in found)
    assert call_script(SCRIPT, "-dir", trained, "-export", path).stdout.startswith("replaced")  # it is known as ours


def test_weights_alone_take_no_operating_point(call_script, trained_once, tmp_path):
    results = operating_point(tmp_path / "results.json", 2.0, 0.5)
    content = json.loads(results.read_text())
    content["Operating Point"]["checkpoints"] = ["small.pth.tar"]
    results.write_text(json.dumps(content))
    model = ("-save", trained_once / "models" / "small.pth.tar", "-export", tmp_path / "model.safetensors")
    assert error_places(call_script(SCRIPT, *model, "-operating_point", results)) == ["-operating_point"]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize("answer", [0.6, float("nan")])
def test_a_model_that_predicts_something_else_is_not_written(call_script, trained_once, tmp_path, monkeypatch, answer):
    make = onnx.helper
    image = make.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["height", "width", 3])
    output = make.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [2])
    constant = make.make_node("Constant", [], ["probabilities"], value_floats=[answer, 1 - answer])
    other = make.make_model(make.make_graph([constant], "g", [image], [output]), ir_version=10)
    monkeypatch.setattr(export, "_graph", lambda model: other)
    path = tmp_path / "model.onnx"
    result = call_script(SCRIPT, "-save", trained_once / "models" / "small.pth.tar", "-export", path)
    assert result.returncode == 2 and str(path) in result.stderr and not path.exists()


def test_a_missing_package_is_named(run_python, trained_once, tmp_path):
    code = "import sys; sys.modules['onnx'] = None; import test_torchvision; test_torchvision.main(sys.argv[1:])"
    model = trained_once / "models" / "small.pth.tar"
    result = run_python(code, "-save", model, "-export", tmp_path / "model.onnx")
    assert result.returncode == 2 and "pip install onnx onnxruntime onnxscript safetensors" in result.stderr
