"""The report: one HTML file that holds everything, to be read in any browser without a network. Imports no torch.

Tables come from the performance page, pictures from the files beside the results, and what a model was trained on and
how from the training records in the project folder that the predictions lie in.
"""

import base64
import html
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy
import scipy
import sklearn

from pipeline import files
from pipeline.errors import UserError
from pipeline.messages import printable
from pipeline.performance.formats import number
from pipeline.project import MODEL_SUFFIX, PARTITIONS, is_plain_file_name

DISCLAIMER = (
    "This is no medical device. Nothing here has been validated for clinical use, and the model may not be used to "
    "diagnose or treat anyone."
)
# Black on white but for links and rules; tables that are too wide scroll, and on paper no figure is cut in two.
STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; color: #111; background: #fff; max-width: 62rem; margin: 0 auto;
  padding: 1rem; }
h1, h2, h3 { line-height: 1.2; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding-bottom: .3rem; }
th, td { border-bottom: 1px solid #767676; padding: .25rem .75rem; text-align: left; vertical-align: top; }
th.number, td.number { text-align: right; }
tbody th { font-weight: normal; }
figure { margin: 1rem 0; break-inside: avoid; }
figure img { max-width: 100%; height: auto; }
figcaption { color: #444; max-width: 40rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; align-items: start; }
.warning { border-left: .4rem solid #b00020; padding-left: 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f3f3f3; padding: .75rem; }
td { overflow-wrap: break-word; }
@media print { body { max-width: none; font-size: 10pt; padding: 0; } tr, pre { break-inside: avoid; }
  td:not(.number) { overflow-wrap: anywhere; }
  h2, h3 { break-after: avoid; } figure img { max-height: 23cm; } .pair { grid-template-columns: 1fr 1fr; } }
"""


@dataclass(frozen=True)
class Picture:
    """A PNG file and what it shows, in words for those who do not see it."""

    path: Path
    text: str


def require_sources(parts, part_paths):
    """Raise UserError, with a line a fault, where a report of these predictions would lack what they name."""
    faults = []
    for part, place in zip(parts, part_paths, strict=True):
        if part.gallery and not (place.parent / part.gallery).is_file():
            faults.append(
                f"{place.parent / part.gallery}: no such file, which {place} names; predict with --explain again"
            )
        try:
            _training_record(part, place)
        except UserError as error:
            faults += error.faults
    if faults:
        raise UserError(*faults)


def write(results_path, page, results, parts, part_paths, command):
    """Write NAME_report.html beside NAME_results.json and the pictures of it, and return a line that says so.

    Args:
        results_path: of the results JSON.
        page: the performance page, as report.page makes it.
        results: the results object.
        parts, part_paths: the Predictions that the results are of, and the files that they come from.
        command: the command line that calculates the performance.
    """
    path = results_path.with_name(f"{results_path.stem.removesuffix('_results')}_report.html")
    verb = "replaced" if path.exists() else "wrote"
    title, *sections = _sections(page)
    galleries = [_gallery(part, place) for part, place in zip(parts, part_paths, strict=True) if part.gallery]
    body = [
        f"<h1>{_escape(_unmarked(title[0]))}</h1>",
        f'<p class="warning">{DISCLAIMER}</p>',
        _blocks(title[1:]),
        '<div class="pair">',
        *map(_figure, _pictures(results_path, results)),
        "</div>",
        *(f"<section><h2>{_escape(_unmarked(heading))}</h2>{_blocks(lines)}</section>" for heading, *lines in sections),
        *(["<section><h2>Where the model looks</h2>", *map(_figure, galleries), "</section>"] if galleries else []),
        "<section><h2>Training</h2>",
        *(_training(part, place) for part, place in zip(parts, part_paths, strict=True)),
        "</section>",
        _origin(parts, part_paths, command),
    ]
    files.write_text(
        path,
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_escape(_unmarked(title[0]))}</title>"
        f"<style>{STYLE}</style></head>\n<body><main>\n" + "\n".join(body) + "\n</main></body></html>\n",
    )
    return f"{verb} {path}"


def _pictures(results_path, results):
    """Return the Pictures of the performance."""
    matrix = results["Confusion Matrix"]
    rights = [
        f"{row[index]} of {sum(row)} images of {printable(name)}"
        for index, (name, row) in enumerate(zip(results["Class Names"], matrix, strict=True))
    ]
    of_class, error = "each class", results["Confidence Calibration Error"]
    if results["Positive Class"] is not None:
        of_class, error = printable(results["Positive Class"]), results["Calibration Error"]
    texts = {
        "confusion_matrix": f"Confusion matrix. Predicted rightly: {', '.join(rights)}.",
        "roc": f"ROC curve of {of_class}, sensitivity over 1 - specificity; area {number(results['ROC-AUC'])}.",
        "precision_recall": f"Precision over recall of {of_class}; average {number(results['Average Precision'])}.",
        "reliability": "How often what was predicted came true, over its probability; calibration error "
        f"{number(error)}.",
    }
    if "Referral" in results:
        texts["referral"] = (
            "Accuracy of the images that are left, over the share of the least certain ones that go to a person."
        )
    return [Picture(results_path.with_name(f"{results_path.stem}_{name}.png"), text) for name, text in texts.items()]


def _unmarked(text):
    """Return a piece of the page as it was before it was made safe for a Markdown table."""
    return text.replace("\\|", "|")


def _escape(text):
    # A name with a byte that is no UTF-8 would make the whole file unreadable.
    return html.escape(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _sections(page):
    """Split the performance page into lists of lines, the heading's text first."""
    return [part.strip().split("\n") for part in re.split(r"^##? ", page, flags=re.MULTILINE)[1:]]


def _blocks(lines):
    """Return the HTML of a section's lines: tables, lists and paragraphs, as report.page writes them."""
    blocks = []
    for block in "\n".join(lines).strip().split("\n\n"):
        rows = block.split("\n")
        if block.startswith("| "):
            header, rule, *rows = [_cells(row) for row in rows]
            blocks.append(_table(header, rows, [cell.endswith(":") for cell in rule]))
        elif block.startswith("- "):
            blocks.append("<ul>" + "".join(f"<li>{_escape(_unmarked(row[2:]))}</li>" for row in rows) + "</ul>")
        elif block:
            blocks.append(f"<p>{_escape(_unmarked(block))}</p>")
    return "\n".join(blocks)


def _cells(row):
    return [_unmarked(cell.strip()) for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def _table(header, rows, numeric=None, caption=""):
    """Return an HTML table; the first cell of a row is its heading."""
    classes = [' class="number"' if right else "" for right in numeric or [False] * len(header)]
    head = "".join(f'<th scope="col"{kind}>{_escape(cell)}</th>' for kind, cell in zip(classes, header, strict=True))
    body = ""
    for first, *others in rows:
        cells = "".join(f"<td{kind}>{_escape(str(cell))}</td>" for kind, cell in zip(classes[1:], others, strict=True))
        body += f'<tr><th scope="row"{classes[0]}>{_escape(str(first))}</th>{cells}</tr>'
    title = f"<caption>{_escape(caption)}</caption>" if caption else ""
    table = f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0">{table}</div>'


def _figure(picture):
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    text = _escape(picture.text)
    # A screen reader is to say it once.
    caption = f'<figcaption aria-hidden="true">{text}</figcaption>'
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}">{caption}</figure>'


def _gallery(part, place):
    """Return the Picture that explains some of the predictions in the file `place`."""
    path = place.parent / part.gallery
    return Picture(
        path,
        f"{printable(_model_name(part))}: the most confident errors, the least certain and some right predictions, "
        "each image as it is and below with where the model looks, the brighter the more.",
    )


def _training_record(part, place):
    """Return the settings that a model was trained with, from the project folder that its predictions lie in; or {}."""
    record = place.parent / "results" / f"{_model_name(part)}_hyperparameters.json"
    return files.read_json_object(record) if is_plain_file_name(record.name) and record.is_file() else {}


def _training(part, place):
    """Return the HTML of one model's training: its curves and its settings, where there are records of them."""
    name, settings = _model_name(part), _training_record(part, place)
    if not settings:
        return f"<p>There are no training records of {_escape(printable(name))} beside {_escape(place.name)}.</p>"
    curves = [
        Picture(
            place.parent / "results" / f"{name}_{quantity}.png",
            f"{printable(name)}: {quantity} of training and validation images over "
            f"{settings.get('number of epochs')} epochs, best epoch {settings.get('best epoch')}.",
        )
        for quantity in ("loss", "accuracy")
    ]
    rows = [(key, _shown(value)) for key, value in settings.items() if key not in ("command line", "fresh weights")]
    return "\n".join(
        [
            f"<h3>{_escape(printable(name))}</h3>",
            '<div class="pair">',
            *(_figure(picture) for picture in curves if picture.path.is_file()),
            "</div>",
            _table(["setting", "value"], rows, caption="How it was trained"),
        ]
    )


def _origin(parts, part_paths, command):
    """Return the HTML of what the figures come from: fingerprints of the files, command lines, versions."""
    prints = {
        path: files.content_hash(path.read_bytes())
        for part, place in zip(parts, part_paths, strict=True)
        for path in _sources(part, place)
        if path.is_file()
    }
    commands = [
        line
        for part, place in zip(parts, part_paths, strict=True)
        for line in (_training_record(part, place).get("command line"), part.command_line)
        if isinstance(line, str)
    ]
    versions = {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scikit-learn": sklearn.__version__,
        "scipy": scipy.__version__,
        "matplotlib": matplotlib.__version__,
    }
    return "\n".join(
        [
            "<section><h2>Where this comes from</h2>",
            "<p>Files with the same fingerprint are the same. An images.csv holds the hash of every image's content, "
            "its group and where it came from.</p>",
            _table(["file", "SHA-256"], prints.items(), caption="Fingerprints of the files when this was written"),
            "<h3>Command lines</h3>",
            "<p>Of training, testing and calculating, as far as they are known; how the images were split is what the "
            "fingerprints of the CSV files stand for.</p>",
            f"<pre>{_escape(chr(10).join(dict.fromkeys([*commands, command])))}</pre>",
            _table(["package", "version"], versions.items(), caption="Calculated with"),
            "</section>",
        ]
    )


def _sources(part, place):
    """Return the paths of what a file of predictions was made from, in the order of the steps, and its own."""
    root, name = place.parent, part.checkpoint or ""
    split = root / "csv" / ("" if part.fold is None else f"fold_{part.fold}")
    return [
        root / "csv" / "images.csv",
        *(split / f"{partition}.csv" for partition in PARTITIONS),
        *([root / "models" / name] if is_plain_file_name(name) else []),
        place,
    ]


def _model_name(part):
    return (part.checkpoint or "").removesuffix(MODEL_SUFFIX) or "a model without a name"


def _shown(value):
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
