import math
import os
import pickle
import zipfile
from dataclasses import asdict

import pytest
import torch

from pipeline.errors import UserError
from pipeline.learning import checkpoints, model_files
from pipeline.learning.checkpoint_checks import MOST_LEVELS
from pipeline.learning.checkpoints import Checkpoint
from pipeline.learning.history import Epoch
from pipeline.project import Project

# A warning would be a stray line on standard error.
pytestmark = pytest.mark.filterwarnings("error")

ENTRIES = {
    "state_dict", "optimizer", "architecture", "class_names", "image_shape", "preprocessing", "dropout", "pooling",
    "positive_class", "epoch", "validation_loss", "history", "options", "seen_images", "seen_hashes",
    "reference",
    "fresh_weights", "finished", "versions",
}  # fmt: skip
PLAIN_TYPES = {dict, list, tuple, str, int, float, bool, type(None)}


@pytest.fixture
def model_path(trained):
    return trained / "models" / "small.pth.tar"


@pytest.fixture
def content(model_path):
    return torch.load(model_path, weights_only=True)


@pytest.fixture
def last_content(model_path):
    return torch.load(model_path.with_name("small.last.pth.tar"), weights_only=True)


@pytest.fixture
def bare_path(last_content, tmp_path):
    """A checkpoint as the published scripts wrote it: weights and optimizer, and no word on what they are."""
    path = tmp_path / "bare.pth.tar"
    torch.save({"state_dict": last_content["state_dict"], "optimizer": last_content["optimizer"]}, path)
    return path


def faults_of(function, *arguments, **options):
    with pytest.raises(UserError) as error:
        function(*arguments, **options)
    return error.value.faults


def complete(path, **options):
    return checkpoints.complete(checkpoints.load(path), path, **options)


def test_a_checkpoint_says_all_that_is_needed_to_use_it(content):
    assert set(content) == ENTRIES
    assert content["architecture"] == "shufflenet_v2_x0_5"
    assert content["class_names"] == ["no", "yes"]
    assert content["image_shape"] == [3, 32, 32]
    preprocessing = {"keep_color": False, "mean": None, "std": None, "average_flips": False, "value_ranges": None}
    assert content["preprocessing"] == preprocessing
    assert content["positive_class"] == "yes"
    assert content["epoch"] in (1, 2)
    newest = content["history"][-1]
    assert (newest["epoch"], newest["val_loss"]) == (content["epoch"], content["validation_loss"])
    assert {"python", "torch", "torchvision"} == set(content["versions"])
    assert content["options"]["batch size"] == 4
    assert content["finished"] is True
    assert content["optimizer"] is None


def test_the_last_state_holds_the_optimizer_too(content, last_content):
    assert set(last_content) == ENTRIES
    assert last_content["optimizer"]["param_groups"][0]["lr"] == 0.001
    assert last_content["finished"] is False


def test_a_checkpoint_holds_tensors_and_plain_types_only(last_content):
    def types(value):
        yield type(value)
        if isinstance(value, dict):
            for pair in value.items():
                yield from types(pair)
        elif isinstance(value, list | tuple):
            for element in value:
                yield from types(element)

    # The order of a state_dict is that of the model; torch makes it an OrderedDict and reads it as one.
    assert {kind.__name__ for kind in set(types(last_content)) - PLAIN_TYPES} == {"Tensor", "OrderedDict"}


def test_a_checkpoint_alone_gives_model_and_preprocessing(model_path, content):
    checkpoint = complete(model_path)
    model = checkpoint.build_model()
    assert all(torch.equal(content["state_dict"][name], tensor) for name, tensor in model.state_dict().items())
    assert checkpoint.build_preprocessing().image_shape == [3, 32, 32]


def test_what_the_options_say_again_is_no_contradiction(model_path):
    complete(
        model_path, architecture="shufflenet_v2_x0_5", class_count=2, image_shape=[3, 32, 32], class_names=["no", "yes"]
    )


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({"architecture": "resnet18"}, ["-architecture resnet18: {path} says shufflenet_v2_x0_5; "]),
        ({"image_shape": [3, 32, 40]}, ["-img_size 3 32 40: {path} says 3 32 32; "]),
        ({"image_shape": [1, 32, 32]}, ["-img_size 1 32 32: {path} says 3 32 32; "]),
        ({"class_count": 3}, ["-classes 3: {path} says 2; "]),
        ({"class_names": ["cat", "dog"]}, ["{path}: was trained on the classes no, yes, the project has cat, dog; "]),
        (
            {"class_names": ["no", "perhaps", "yes"]},
            ["{path}: was trained on the classes no, yes, the project has no, "],
        ),
        (
            {"architecture": "vgg11", "image_shape": [3, 8, 8], "class_count": 5},
            ["-architecture vgg11: {path} ", "-img_size 3 8 8: {path} ", "-classes 5: {path} "],
        ),
    ],
)
def test_every_contradiction_is_an_error_that_names_both_sides(model_path, options, faults):
    found = faults_of(complete, model_path, **options)
    for fault, start in zip(found, faults, strict=True):
        assert fault.startswith(start.format(path=model_path))


def test_a_bare_file_works_with_the_options_that_say_what_it_is(bare_path):
    said = {"architecture": "shufflenet_v2_x0_5", "image_shape": [3, 32, 32]}
    checkpoint = complete(bare_path, **said, class_count=2)
    assert checkpoint.class_names == ["0", "1"]
    assert checkpoint.build_preprocessing().image_shape == [3, 32, 32]
    checkpoint.build_model()
    assert complete(bare_path, **said, class_names=["no", "yes"]).class_names == ["no", "yes"]
    (fault,) = faults_of(complete, bare_path, **said, class_names=["no", "yes"], class_count=3)
    assert fault.startswith("-classes 3: the project says 2; ")


def test_the_positive_class_is_the_one_given_or_recorded_or_the_last(model_path, bare_path, content, capsys):
    said = {"architecture": "shufflenet_v2_x0_5", "image_shape": [3, 32, 32], "class_names": ["no", "yes"]}
    assert complete(bare_path, **said).positive_class == "yes"
    capsys.readouterr()  # a note on how images are prepared
    torch.save({**content, "positive_class": "no"}, model_path)
    assert complete(model_path).positive_class == complete(model_path, positive_class="no").positive_class == "no"
    assert capsys.readouterr().err == ""
    assert complete(model_path, positive_class="yes").positive_class == "yes"
    assert capsys.readouterr().err == f"note: positive class 'yes' instead of 'no', which {model_path} names\n"


def test_a_bare_file_without_the_options_is_an_error_that_names_each_missing_one(bare_path):
    for fault, option in zip(faults_of(complete, bare_path), ("-architecture", "-img_size", "-classes"), strict=True):
        assert fault.startswith(f"{bare_path}: ") and fault.endswith(f"give {option}")
    assert len(faults_of(complete, bare_path, architecture="resnet18", class_count=2)) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"architecture": "resnet18"},
            "bare.pth.tar: its weights do not fit resnet18 with 2 classes and 3 channels",
        ),
        ({"class_count": 3}, "weights do not fit shufflenet_v2_x0_5 with 3 classes"),
        ({"image_shape": [1, 32, 32]}, "and 1 channels (size mismatch"),
        ({"image_shape": [2, 32, 32]}, "-img_shape 2 32 32: 2 channels; give 1 or 3"),
    ],
)
def test_options_that_do_not_fit_the_weights_of_a_bare_file_are_an_error(bare_path, wrong, message):
    said = {"architecture": "shufflenet_v2_x0_5", "class_count": 2, "image_shape": [3, 32, 32], **wrong}
    (fault,) = faults_of(lambda: complete(bare_path, **said).build_model(bare_path))
    assert message in fault and len(fault) < 500, fault


def test_an_architecture_that_this_torchvision_lacks_is_an_error(content, tmp_path):
    path = tmp_path / "future.pth.tar"
    torch.save({**content, "architecture": "resnet19"}, path)
    (fault,) = faults_of(complete, path)
    assert fault.startswith("-architecture resnet19: torchvision has no such classification model")


def test_weights_saved_on_a_gpu_are_read_without_one(content, tmp_path, monkeypatch):
    path = tmp_path / "gpu.pth.tar"
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")
        torch.save(content, path)
    assert b"cuda:3" in path.read_bytes()
    assert next(complete(path).build_model().parameters()).device.type == "cpu"


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_code_in_a_checkpoint_is_refused_and_not_run(content, tmp_path):
    exploded = tmp_path / "exploded"
    in_archive, in_pickle = tmp_path / "archive.pth.tar", tmp_path / "pickle.pth.tar"
    torch.save({**content, "options": {"batch size": Bomb(exploded)}}, in_archive)
    in_pickle.write_bytes(pickle.dumps({"state_dict": {}, "optimizer": Bomb(exploded)}))
    for path in (in_archive, in_pickle):
        (fault,) = faults_of(checkpoints.load, path)
        assert "only tensors and plain types are read" in fault
        assert len(fault) - len(str(path)) <= 300
    assert not exploded.exists()
    torch.load(in_archive, weights_only=False)
    assert exploded.exists()  # the bomb was a live one


def test_a_pickled_model_is_refused(tmp_path):
    path = tmp_path / "whole.pth.tar"
    torch.save(torch.nn.Linear(2, 2), path)
    (fault,) = faults_of(checkpoints.load, path)
    assert fault.startswith(f"{path}: holds a torch.nn.modules.linear.Linear; ")


def empty_zip(path):
    zipfile.ZipFile(path, "w").close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_text("hello\n" * 100),
        lambda path: path.write_bytes(bytes(range(256)) * 10),
        empty_zip,
    ],
    ids=["empty", "truncated", "truncated at the end", "text", "bytes", "another archive"],
)
def test_a_damaged_file_is_refused_in_words(model_path, damage):
    damage(model_path)
    (fault,) = faults_of(checkpoints.load, model_path)
    assert fault.startswith(f"{model_path}: not a checkpoint, or damaged; ")


@pytest.mark.parametrize(
    ("content", "held"),
    [
        ([1, 2], "a list and no weights"),
        ({}, "nothing, and no state_dict"),
        ({"weights": 1}, "weights, and no state_dict"),
        ({"state_dict": 3}, "state_dict, and no state_dict"),
        ({f"key {number:03}" * 9: number for number in range(999)}, "key 000"),
        (torch.zeros(2), "a Tensor and no weights"),
    ],
)
def test_a_file_without_weights_is_refused_and_what_it_holds_named(tmp_path, content, held):
    path = tmp_path / "other.pth.tar"
    torch.save(content, path)
    (fault,) = faults_of(checkpoints.load, path)
    assert fault.startswith(f"{path}: holds {held}")
    assert len(fault) - len(str(path)) <= 300


@pytest.mark.parametrize("key", [None, "model", "model_state_dict", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "_orig_mod.module."])
def test_weights_that_other_programs_save_are_read(tmp_path, content, key, prefix):
    path = tmp_path / "theirs.pth"
    weights = {prefix + name: values for name, values in content["state_dict"].items()}
    torch.save({key: weights, "epoch": 3} if key else weights, path)
    assert checkpoints.load(path).state_dict.keys() == content["state_dict"].keys()


def test_a_compressed_file_is_refused_before_it_fills_the_memory(tmp_path, model_path):
    path = tmp_path / "bomb.pth.tar"
    with zipfile.ZipFile(model_path) as theirs, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as ours:
        for entry in theirs.namelist():
            ours.writestr(entry, theirs.read(entry))
    (fault,) = faults_of(checkpoints.load, path)
    assert fault.startswith(f"{path}: is compressed; ")


def test_a_record_that_is_nested_too_deep_is_refused(tmp_path, content):
    nested, path = "deep", tmp_path / "nested.pth.tar"
    for _ in range(MOST_LEVELS):
        nested = {"options": nested}
    torch.save({**content, "options": nested}, path)
    assert checkpoints.load(path).options == nested
    looped = {}
    looped["options"] = looped
    for options in ({"options": nested}, looped):
        torch.save({**content, "options": options}, path)
        (fault,) = faults_of(checkpoints.load, path)
        assert fault.startswith(f"{path}: ") and "options holds something other than named settings" in fault


def test_a_small_file_that_means_a_huge_record_is_refused_at_once(tmp_path, content):
    huge = []
    for _ in range(MOST_LEVELS - 1):
        huge = [huge] * 100  # in the end 10^18 lists
    path = tmp_path / "huge.pth.tar"
    torch.save({**content, "options": {"seed": huge}}, path)
    (fault,) = faults_of(checkpoints.load, path)
    assert fault.startswith(f"{path}: options holds something other than named settings")


def test_what_is_not_a_file_is_named_and_a_pipe_not_waited_for(tmp_path):
    places = {"missing.pth.tar": "no such file", ".": "not a regular file"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        places["pipe"] = "not a regular file"
    for name, reason in places.items():
        (fault,) = faults_of(checkpoints.load, tmp_path / name)
        assert fault.startswith(f"{tmp_path / name}: {reason}; ")


def test_every_entry_of_a_wrong_type_is_named(content, tmp_path):
    path = tmp_path / "odd.pth.tar"
    torch.save({**content, "epoch": "two", "class_names": {"no": 0}}, path)
    first, second = faults_of(checkpoints.load, path)
    assert first.startswith(f"{path}: class_names is a dict, not a list; ")
    assert second.startswith(f"{path}: epoch is a str, not a int; ")


def test_saving_that_fails_halfway_leaves_the_earlier_file(monkeypatch, tmp_path):
    path = tmp_path / "small.pth.tar"
    path.write_text("earlier")

    def full_disk(content, target):
        target.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        Checkpoint({}, {}).save(path)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("small.pth.tar", "earlier")]


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "models").mkdir(parents=True)
    return Project(root)


def test_a_checkpoint_is_found_by_name_by_path_and_as_the_only_one(project):
    path = project.models / "a.pth.tar"
    path.touch()
    (project.models / "a.last.pth.tar").touch()
    (project.models / ".b.pth.tar.123.part").touch()
    for name in ("a.pth.tar", str(path), None):
        assert model_files.find(name, project) == path
    assert model_files.find(str(path), None) == path
    assert model_files.find("a.last.pth.tar", project) == project.models / "a.last.pth.tar"


def test_no_model_or_several_are_an_error_that_lists_them(project, tmp_path):
    way_out = "give the name of one with -save"
    assert faults_of(model_files.find, None, project) == (f"-save: {project.models} has 0 models; {way_out}",)
    for name in ("b.pth.tar", "a.pth.tar", "a.last.pth.tar"):
        (project.models / name).touch()
    assert faults_of(model_files.find, None, project) == (
        f"-save: {project.models} has 2 models: a.pth.tar, b.pth.tar; {way_out}",
    )
    assert faults_of(model_files.find, "c.pth.tar", project) == (
        f"{project.models / 'c.pth.tar'}: no such checkpoint; there are 2 models: a.pth.tar, b.pth.tar",
    )
    (project.models / "c_fold_0.pth.tar").touch()
    (fault,) = faults_of(model_files.find, "c.pth.tar", project)
    assert "c_fold_0.pth.tar" in fault and "-fold all" in fault
    assert model_files.find("a", project) == project.models / "a.pth.tar"
    assert faults_of(model_files.find_all, None, None, None)[0].startswith("-save: give the checkpoint to use")
    place = tmp_path / "a_fold_0.pth.tar"
    fault = f"{place}: no such checkpoint; check the name, or leave -fold out"
    assert faults_of(model_files.find_all, str(tmp_path / "a.pth.tar"), None, 0) == (fault,)


def test_the_models_of_all_folds_are_those_of_the_folds_that_the_project_has(project):
    (fault,) = faults_of(model_files.find_all, "a", project, "all")
    assert fault.startswith(f"-fold all: {project.models} has no a_fold_0.pth.tar and so on; ")
    paths = [project.models / f"a_fold_{fold}.pth.tar" for fold in range(2)]
    for path in paths:
        path.touch()
    (project.csv / "fold_2").mkdir(parents=True)
    assert model_files.find_all("a", project, "all") == paths
    (project.csv / "fold_2" / "test.csv").touch()
    missing = project.models / "a_fold_2.pth.tar"
    fault = f"-fold all: {missing}: no such checkpoint; train fold 2 first"
    assert faults_of(model_files.find_all, "a", project, "all") == (fault,)


def test_the_models_of_folds_that_the_project_no_longer_has_are_not_taken(project):
    for fold in range(2):
        (project.csv / f"fold_{fold}").mkdir(parents=True)
        (project.csv / f"fold_{fold}" / "test.csv").touch()
    paths = [project.models / f"a_fold_{fold}.pth.tar" for fold in (0, 1, 3, 4)]
    for path in paths:
        path.touch()
    assert faults_of(model_files.find_all, "a", project, "all") == tuple(
        f"-fold all: {path}: {project.root} has no fold {fold}, but folds 0, 1; move the file elsewhere"
        for fold, path in zip((3, 4), paths[2:], strict=True)
    )
    # Without the project nothing but the numbers tells which folds there are.
    missing = project.models / "a_fold_2.pth.tar"
    fault = f"-fold all: {missing}: no such checkpoint; train fold 2 first"
    assert faults_of(model_files.find_all, str(project.models / "a"), None, "all") == (fault,)


def test_a_folder_and_the_name_of_a_fold_in_place_of_a_checkpoint_are_told_of(project):
    (project.models / "c_fold_0.pth.tar").touch()
    (fault,) = faults_of(model_files.find, str(project.models), None)
    assert fault == f"{project.models}: is a folder; give a checkpoint in it, NAME.pth.tar"
    (fault,) = faults_of(model_files.find, "c_fold_0.pth.tar", project, 0)
    assert fault.startswith(
        f"{project.models / 'c_fold_0_fold_0.pth.tar'}: no such checkpoint; with -fold give -save c."
    )


def test_the_random_weights_before_loading_do_not_matter(model_path):
    def outputs(seed):
        torch.manual_seed(seed)
        model = complete(model_path).build_model().eval()
        return model(torch.ones(1, 3, 32, 32))

    assert torch.equal(outputs(1), outputs(2))


EPOCH = asdict(Epoch(1, 0.001, 0.5, 0.5, 0.5, 0.5, 0.5))
HASHES = torch.zeros(2, 32, dtype=torch.uint8)
REFERENCE = {"features": torch.ones(2, 3).half(), "names": ["a", "b"], "distances": torch.ones(4)}


DAMAGED = {
    "state_dict holds something other than named tensors": [
        {"state_dict": weights}
        for weights in (
            {"w": 3}, {3: torch.zeros(1)}, {"w": torch.eye(2).to_sparse()}, {"w": torch.eye(1).expand(9, 9)},
            {"w": torch.zeros(2, device="meta")},
        )
    ],
    "class_names is not a list of different names": [
        {"class_names": names} for names in ([1, 2], ["no", None], ["no", "no"], ["no", ""])
    ],
    "image_shape is not 1 or 3 channels, height and width up to 100000": [
        {"image_shape": shape}
        for shape in ([3, 32], [3, 32, "32"], [2, 32, 32], [3, 0, 32], [3, 32, 100001], [3, 32, True])
    ],
    "seen_images holds something other than lists of content hashes": [
        {"seen_images": seen} for seen in ({"train": "abc"}, {"train": [1]}, {1: ["abc"]})
    ],
    "seen_hashes holds something other than difference hashes": [
        {"seen_hashes": seen}
        for seen in ({1: HASHES}, {"val": "abc"}, {"val": HASHES.float()}, {"val": HASHES[0]}, {"val": HASHES[:, 1:]})
    ],
    "reference holds something other than features, names and distances": [
        {"reference": {**REFERENCE, **change}}
        for change in (
            {"features": None}, {"features": torch.ones(2, 3)}, {"features": torch.ones(2).half()},
            {"features": torch.ones(0, 3).half(), "names": []}, {"names": ["a"]}, {"names": [1, 2]},
            {"distances": None}, {"distances": torch.ones(4).half()}, {"distances": torch.ones(4, 1)},
        )
    ],
    "options holds something other than named settings": [
        {"options": options}
        for options in ({1: 2}, {"batch size": torch.zeros(2)}, {"versions": {"a": [torch.zeros(1)]}})
    ],
    "fresh_weights is not a list of names": [{"fresh_weights": [1]}],
    "pooling is not average or average+max": [{"pooling": "median"}],
    "dropout is not a probability from 0 to below 1": [{"dropout": 1.0}, {"dropout": -0.1}],
    "preprocessing has more channels than image_shape": [
        {"image_shape": [1, 8, 8], "preprocessing": settings}
        for settings in ({"keep_color": True}, {"mean": [0.1] * 3, "std": [0.1] * 3})
    ],
    "preprocessing holds something other than keep_color, mean, std, average_flips and value_ranges": [
        {"preprocessing": settings}
        for settings in (
            {"resize": 1}, {"keep_color": 1}, {"mean": [0.1]}, {"mean": "x", "std": "x"},
            {"mean": [0.1, 0.2], "std": [0.1, 0.2]}, {"mean": [0.1], "std": [0.1, 0.2, 0.3]},
        )
    ],
    "history does not hold the numbers of every epoch": [
        {"history": history}
        for history in (
            [1], [{"epoch": 1}], [{**EPOCH, "epoch": 2}], [{**EPOCH, "val_loss": math.nan}], [EPOCH, EPOCH],
            [{**EPOCH, "epoch": True}], [{**EPOCH, "epoch": torch.ones(())}], [{**EPOCH, "epoch": torch.ones(2)}],
            [{**EPOCH, "seconds": 1.7e308}], [{**EPOCH, "epoch": 10**400}], [{**EPOCH, "learning_rate": "fast"}],
        )
    ],
}  # fmt: skip


@pytest.mark.parametrize(("entry", "fault"), [(entry, fault) for fault in DAMAGED for entry in DAMAGED[fault]])
def test_what_is_inside_of_the_entries_is_checked_too(tmp_path, entry, fault):
    path = tmp_path / "m.pth.tar"
    torch.save({"state_dict": {}, "optimizer": {}, **entry}, path)
    with pytest.raises(UserError) as error:
        checkpoints.load(path)
    assert error.value.faults == (f"{path}: {fault}; is it a checkpoint of train_torchvision.py?",)
