"""Which model files the user means."""

import re
from pathlib import Path

from pipeline.errors import UserError, require_none
from pipeline.messages import MOST_LINES
from pipeline.project import LAST_SUFFIX, MODEL_SUFFIX, fold_name


def find_all(name, project, fold):
    """Return the paths from `find_folds` for the fold "all", otherwise the one from `find`.

    Also raises UserError if there is neither a name nor a project.
    """
    if name is None and project is None:
        raise UserError("-save: give the checkpoint to use, such as DIR/models/NAME.pth.tar")
    return find_folds(name, project) if fold == "all" else [find(name, project, fold)]


def common_name(paths):
    """Return a model's file name; NAME_ensemble.pth.tar, which is not a file, for several folds' models together."""
    stem = paths[0].name.removesuffix(MODEL_SUFFIX).rpartition("_fold_")[0]
    return f"{stem}_ensemble{MODEL_SUFFIX}" if len(paths) > 1 else paths[0].name


def find(name, project, fold=None):
    """Return the path of the checkpoint that the user means.

    `name` is a file name in the project's models/ or a path; None means the only model there is. With a fold, the
    model of that fold. `project` may be None. Raises UserError if there is none, or more than one to choose from.
    """
    if name is None:
        found = _models_of(project, fold)
        if len(found) != 1:
            raise UserError(f"-save: {project.models} has {_listed(found)}; give the name of one with -save")
        return found[0]
    stem = name.removesuffix(MODEL_SUFFIX)
    name = name if fold is None else fold_name(stem, fold) + MODEL_SUFFIX
    places = [*([project.models / name] if project else []), Path(name)]
    for place in [*places, *(place.with_name(place.name + MODEL_SUFFIX) for place in places if place.name)]:
        if place.is_file():
            return place
    meant = re.sub(r"_fold_[0-9]+$", "", stem)
    hints = [f"with -fold give -save {meant}{MODEL_SUFFIX}"] if fold is not None and meant != stem else []
    hints += [f"there are {_listed(_models_of(project))}"] if project else []
    if any(map(_folds_at, places)):
        hints.append(f"-fold all takes the models of all folds of {places[0].name.removesuffix(MODEL_SUFFIX)}")
    place = places[0] if Path(name).name == name else Path(name)
    if place.is_dir():
        raise UserError(f"{place}: is a folder; give a checkpoint in it, NAME{MODEL_SUFFIX}")
    hints = hints or [f"check the name{'' if fold is None else ', or leave -fold out'}"]
    raise UserError("; ".join([f"{place}: no such checkpoint", *hints]))


def find_folds(name, project):
    """Return the paths of the models of all folds, in order, for `name` and `project` as `find` takes them.

    Raises UserError if there are none, if several names have them, if one is missing, or if one is of a fold that the
    project does not have because it comes from an earlier split.
    """
    places = [project.models / (name or "*")] if project else []
    places += [Path(name)] if name else []
    place = next(filter(_folds_at, places), places[0])
    folder, stems = place.parent, _folds_at(place)
    if not stems:
        stem = "NAME" if name is None else places[0].name.removesuffix(MODEL_SUFFIX)
        raise UserError(
            f"-fold all: {folder} has no {fold_name(stem, 0)}{MODEL_SUFFIX} and so on; train all folds first"
        )
    if len(stems) > 1:
        raise UserError(f"-save: {folder} has the folds of {', '.join(stems)}; give the name of one with -save")
    ((stem, folds),) = stems.items()
    known = project.fold_folders() if project else {}
    require_none(
        f"-fold all: {folder / fold_name(stem, fold)}{MODEL_SUFFIX}: no such checkpoint; train fold {fold} first"
        for fold in known or range(max(folds))
        if fold not in folds
    )
    require_none(
        f"-fold all: {path}: {project.root} has no fold {fold}, but folds {', '.join(map(str, known))}; move the file "
        "elsewhere"
        for fold, path in sorted(folds.items())
        if known and fold not in known
    )
    return [folds[fold] for fold in sorted(folds)]


def _folds_at(place):
    """Return {stem: {fold: path}} of the folds' models that a model's path stands for; any stem for "*"."""
    stem, stems = place.name.removesuffix(MODEL_SUFFIX), {}
    for path in sorted(place.parent.glob(f"*{MODEL_SUFFIX}")):
        match = re.fullmatch(r"(.+)_fold_(0|[1-9][0-9]{0,3})", path.name.removesuffix(MODEL_SUFFIX))
        if match and stem in ("*", match[1]):
            stems.setdefault(match[1], {})[int(match[2])] = path
    return stems


def _models_of(project, fold=None):
    pattern = fold_name("*", fold) + MODEL_SUFFIX
    return sorted(path for path in project.models.glob(pattern) if not path.name.endswith(LAST_SUFFIX))


def _listed(paths):
    names = ", ".join(path.name for path in paths[:MOST_LINES])
    return f"{len(paths)} models{names and ': '}{names}{', ...' if len(paths) > MOST_LINES else ''}"
