"""Every command of the README, in its order, on small images and with small settings."""

import glob
import re
import shlex

from conftest import ROOT

# Instead of the README's, or beside its recipe.
SMALL_VALUES = {"-num_epochs": ["1"], "-img_shape": ["3", "64", "64"], "-img_size": ["3", "64", "64"]}
PLACEHOLDERS = {"FOLDER_OR_FILE": "brain_mri/bin"}


def commands():
    """Return the lists of arguments of the README's commands of the five scripts, in order."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("python ")]
    return [shlex.split(line)[1:] for line in lines]


def small(arguments):
    """Return the arguments of a command with small settings, and what a shell would put in for a pattern."""
    script, *rest = [PLACEHOLDERS.get(argument, argument) for argument in arguments]
    for option in SMALL_VALUES.keys() & set(rest):
        first = rest.index(option) + 1
        rest[first : first + len(SMALL_VALUES[option])] = SMALL_VALUES[option]
    if script == "train_torchvision.py":
        fitted = {"-recipe", "transfer"} <= set(rest)
        added = {"-img_shape"} if fitted else {"-img_shape", "-num_epochs"}
        rest += [part for option in added - set(rest) for part in (option, *SMALL_VALUES[option])]
    return [script, *(name for argument in rest for name in (sorted(glob.glob(argument)) or [argument]))]


def test_every_command_of_the_readme_runs(class_folders, call_script, tmp_path, monkeypatch):
    class_folders(tmp_path / "brain_mri", {"no": 12, "yes": 13})
    monkeypatch.chdir(tmp_path)
    assert len(commands()) >= 13
    for arguments in commands():
        result = call_script(*small(arguments))
        assert result.returncode == 0, (arguments, result.stderr)
    assert (tmp_path / "predictions.csv").exists()
