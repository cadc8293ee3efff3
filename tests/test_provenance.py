import base64
import contextlib
import hashlib
import html.parser
import importlib
import io
import json
import re

import numpy as np
import pytest
from conftest import SMALL_TRAINING, _draw_project, error_places
from made_predictions import multiclass, random_two_class

from pipeline.performance import provenance

pytestmark = pytest.mark.usefixtures("empty_pictures")

SCRIPT = "calc_model_performance.py"
EMPTY_ELEMENTS = ("meta", "img", "br")


class Page(html.parser.HTMLParser):
    """What a report holds, read strictly: every element is closed, in order."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.images, self.headings, self.text = [], [], [], [], ""
        self.cells, self.addresses = [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []
        self.cells = [cell for cell in self.cells if cell]

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        self.addresses += [value for name, value in attributes.items() if name in ("src", "href", "action", "data")]
        if tag == "img":
            self.images.append(attributes)
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        if inside in ("h1", "h2", "h3"):
            self.headings.append((inside, data))
        elif {"td", "th"} & set(self.open):
            self.cells[-1] += data
        if inside != "style":
            self.text += data


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A project trained with dropout, tested with samples and explained, and its report: (root, Page)."""
    root = _draw_project(tmp_path_factory.mktemp("reported") / "project é")
    with contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module("train_torchvision").main(
            ["-dir", root, *SMALL_TRAINING, "-num_epochs", 1, "-save", "small.pth.tar", "-dropout", 0.3]
        )
        importlib.import_module("test_torchvision").main(["-dir", root, "--explain", "-mc_samples", 4])
        importlib.import_module("calc_model_performance").main(
            [root / "small_preds.json", root / "small_results.json", "--report"]
        )
    return root, Page(root / "small_report.html")


def test_the_report_holds_every_table_of_the_page(reported):
    root, page = reported
    shown = (root / "small_results.md").read_text(encoding="utf-8")
    headings = [line.removeprefix("## ") for line in shown.splitlines() if line.startswith("## ")]
    assert [text for _, text in page.headings] == [
        "Performance of small.pth.tar on 4 test images", *headings, "Flow of the images", "Where the model looks",
        "Training", "Where this comes from", "Model card: what is reported, and what is not",
    ]  # fmt: skip
    rows = [line for line in shown.splitlines() if line.startswith("| ") and not line.startswith("| --")]
    cells = [cell.strip() for row in rows for cell in row.strip("| ").split(" | ")]
    assert len(cells) > 60
    assert set(filter(None, cells)) <= set(page.cells)
    for sentence in re.findall(r"^- (.*)$", shown, re.MULTILINE):
        assert sentence in page.text


def test_the_report_holds_every_picture_with_a_text_that_says_what_it_shows(reported):
    root, page = reported
    files = [
        *(root / f"small_results_{name}.png" for name in
          ("confusion_matrix", "roc", "precision_recall", "reliability")),
        root / "small_preds_explained.png",
        *(root / "results" / f"small_{quantity}.png" for quantity in ("loss", "accuracy")),
    ]  # fmt: skip
    assert len(page.images) == len(files)
    for image, file in zip(page.images, files, strict=True):
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data) == file.read_bytes()
        assert len(image["alt"]) > 30
    assert page.images[0]["alt"].startswith("Confusion matrix. Correct: ")


def test_the_report_needs_no_network_and_no_script(reported):
    _, page = reported
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "script" not in page.tags and "link" not in page.tags
    style = (reported[0] / "small_report.html").read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert "not a medical device" in page.text


def test_the_report_says_where_its_figures_come_from(reported):
    root, page = reported
    for path in ["csv/test.csv", "models/small.pth.tar", "small_preds.json"]:
        assert hashlib.sha256((root / path).read_bytes()).hexdigest() in page.cells
    for line in (
        f"python train_torchvision.py -dir '{root.name}' -architecture shufflenet_v2_x0_5",
        f"python test_torchvision.py -dir '{root.name}' --explain -mc_samples 4",
        f"python calc_model_performance.py '{root.name}/small_preds.json' '{root.name}/small_results.json' --report",
    ):
        assert line in page.text
    settings = json.loads((root / "results" / "small_hyperparameters.json").read_text(encoding="utf-8"))
    assert f"torch {settings['versions']['torch']}" in page.text
    assert settings["split fingerprint"] in page.cells
    assert str(root.parent) not in page.text


def test_without_the_option_there_is_no_report_and_without_records_it_says_so(call_script, tmp_path):
    random_two_class(0, checkpoint="resnet_1.pth.tar").write(tmp_path / "preds.json")
    arguments = [tmp_path / "preds.json", tmp_path / "resnet_1_results.json"]
    call_script(SCRIPT, *arguments)
    assert not list(tmp_path.glob("*.html"))
    result = call_script(SCRIPT, *arguments, "--report")
    assert result.stdout.endswith(f"wrote {tmp_path / 'resnet_1_report.html'}\n")
    page = Page(tmp_path / "resnet_1_report.html")
    assert "no training records of resnet_1 beside preds.json" in page.text
    assert len(page.images) == 5  # four, and the referral
    again = call_script(SCRIPT, *arguments, "--report")
    assert again.stdout.endswith(f"replaced {tmp_path / 'resnet_1_report.html'}\n")


@pytest.fixture
def folds(tmp_path):
    """The predictions files of three folds."""
    paths = [tmp_path / f"m_fold_{fold}_preds.json" for fold in range(3)]
    for fold, path in enumerate(paths):
        made = random_two_class(fold, prefix=f"f{fold}_", fold=fold, checkpoint=f"m_fold_{fold}.pth.tar")
        made.write(path)
    return paths


def test_folds_are_reported_together(call_script, folds, tmp_path):
    result = call_script(SCRIPT, *folds, tmp_path / "m_results.json", "--report")
    assert result.returncode == 0, result.stderr
    page = Page(tmp_path / "m_report.html")
    assert page.headings[0] == ("h1", "Performance on 78 test images of 3 folds")
    assert all(f"m_fold_{fold} beside m_fold_{fold}_preds.json" in page.text for fold in range(3))


def test_what_differs_between_the_folds_has_a_column_a_fold_and_all_else_stands_once(call_script, folds, tmp_path):
    (tmp_path / "results").mkdir()
    for fold in range(3):
        settings = {"optimizer": "Adam", "seed": 40 + fold, "weights": str(tmp_path / "w.pth"), "epochs": 2.5}
        record = tmp_path / "results" / f"m_fold_{fold}_hyperparameters.json"
        record.write_text(json.dumps(settings | ({"augment": None, "dropout": 0.1 * fold} if fold else {})))
    call_script(SCRIPT, *folds, tmp_path / "m_results.json", "--report")
    cells = Page(tmp_path / "m_report.html").cells
    start = cells.index("setting")
    assert cells[start : start + 18] == [
        "setting", "fold 0", "fold 1", "fold 2", "optimizer", "Adam", "seed", "40", "41", "42",
        "weights", f"{tmp_path.name}/w.pth", "epochs", "2.5", "dropout", "0.1", "0.2", "file",
    ]  # fmt: skip


def test_no_absolute_path_is_shown(tmp_path):
    source = provenance.Source(random_two_class(0, path=tmp_path / "preds.json"), None, {})
    name = tmp_path.name
    for text, shown in (
        (f"a.py {tmp_path}/m.tar '{tmp_path}/my preds.json'", f"a.py {name}/m.tar '{name}/my preds.json'"),
        (f"a.py {tmp_path}_2/m.tar /other{tmp_path}/x.json -dir={tmp_path}", f"a.py m.tar x.json -dir={name}"),
        ("a.py -images=/home/me/x -mean 0.5", "a.py -images=x -mean 0.5"),
        ("a.py '-images=/home/me/my data' /home/lr=0.1/me/x.csv", "a.py '-images=my data' x.csv"),
        (f"python a.py -dir {tmp_path} -save m.pth.tar", f"python a.py -dir {tmp_path.name} -save m.pth.tar"),
        ("python a.py '/home/me/my data/x.csv' /y/z.csv", "python a.py 'x.csv' z.csv"),
        (r'python a.py "C:\my data\x.csv" 1/2', 'python a.py "x.csv" 1/2'),
    ):
        assert source.relative(text) == shown


def test_with_more_than_two_classes_the_texts_are_those_of_the_pictures(call_script, tmp_path):
    random = np.random.default_rng(0)
    multiclass(random.integers(0, 3, 100), random.dirichlet([1, 1, 1], 100), ["a|b", "c", "d"]).write(
        tmp_path / "p.json"
    )
    result = call_script(SCRIPT, tmp_path / "p.json", tmp_path / "r_results.json", "--report")
    assert result.returncode == 0, result.stderr
    page = Page(tmp_path / "r_report.html")
    results = json.loads((tmp_path / "r_results.json").read_text(encoding="utf-8"))
    error, other = results["Confidence Calibration Error"], results["Calibration Error"]
    assert f"calibration error {error:.3f}." in page.images[3]["alt"] and f"{error:.3f}" != f"{other:.3f}"
    assert "images of a|b, " in page.images[0]["alt"]
    assert "\\|" not in page.text


def test_names_cannot_become_markup(call_script, tmp_path):
    names = ['<script>alert("1")</script>', "a|b & [c](javascript:d) \udcff"]
    made = random_two_class(0, checkpoint="<b>.pth.tar")
    made.class_names, made.positive_class = names, names[1]
    made.command_line = "python <img src=x> \udcff"
    made.write(tmp_path / "preds.json")
    result = call_script(SCRIPT, tmp_path / "preds.json", tmp_path / "r_results.json", "--report")
    assert result.returncode == 0, result.stderr
    page = Page(tmp_path / "r_report.html")
    assert not {"script", "b", "a"} & set(page.tags)
    assert len(page.images) == 5  # four, and the referral
    assert names[0] in page.cells
    assert not any("\\|" in text for text in [page.text, *(image["alt"] for image in page.images)])
    assert "a|b & [c](javascript:d) \\udcff" in page.cells


def test_a_gallery_that_is_gone_is_an_error_and_no_path_leads_outside(call_script, tmp_path):
    def report(**more):
        random_two_class(0, **more).write(tmp_path / "preds.json")
        return call_script(SCRIPT, tmp_path / "preds.json", tmp_path / "r_results.json", "--report")

    assert error_places(report(gallery="gone.png")) == [str(tmp_path / "gone.png")]
    assert [path.name for path in tmp_path.iterdir()] == ["preds.json"]
    assert report(checkpoint="../../x.pth.tar").returncode == 0
    assert "no training records of ../../x beside preds.json" in Page(tmp_path / "r_report.html").text


def test_a_training_of_later_is_not_told_as_that_of_the_predictions(call_script, tmp_path):
    (tmp_path / "results").mkdir()
    record, results = tmp_path / "results" / "m_hyperparameters.json", tmp_path / "m_results.json"
    random_two_class(0, split="test", checkpoint="m.pth.tar", weights=["first"]).write(tmp_path / "m_preds.json")
    for weights, is_shown in ((None, True), ("first", True), ("second", False)):
        record.write_text(json.dumps({"optimizer": "Adagrad", "weights hash": weights}))
        assert call_script(SCRIPT, tmp_path / "m_preds.json", results, "--report").returncode == 0
        page = results.with_suffix(".md").read_text(encoding="utf-8")
        assert ("Adagrad" in Page(tmp_path / "m_report.html").text, "was trained again" in page) == (
            is_shown,
            not is_shown,
        )
