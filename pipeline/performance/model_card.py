"""The report as a model card: what two guidelines ask for, which sections answer it, and what is left to write.

The item numbers are those of the guidelines, the topics are in our own words. Sections are named by how their titles
begin.
"""

from dataclasses import dataclass

from pipeline.performance.flow import TITLE as FLOW
from pipeline.performance.pages import Section, Table

WARNINGS, MAIN, MORE, MATRIX, TESTS = "Warnings", "Main figures", "More figures", "Confusion matrix", "Tests"
CALIBRATION, THRESHOLD, FOLDS, ERRORS = "Calibration", "Threshold", "Folds", "The most confident errors"
COMPARED, BASELINES, LOOKS = "Compared with", "Beside simple baselines", "Where the model looks"
SUBGROUPS, PREVALENCES, CURVE = "By ", "At other prevalences", "Decision curve"
TRAINING, ORIGIN = "Training", "Where this comes from"
MEASURES = (MAIN, MORE, CALIBRATION, PREVALENCES, CURVE)
# The main figures, if the images are from the project, and if they are from elsewhere.
INTERNAL, EXTERNAL = "internal testing", "external testing"
ALL, OTHERS = "all of it", "the rest of it"


@dataclass(frozen=True)
class Item:
    """What a guideline asks for under a number."""

    number: str
    topic: str
    sections: tuple = ()  # of the report that answer it, or a part of it; some need an option
    rest: str = ""  # what the authors still have to write; if there are no sections, in which case they have to
    # Without `rest`, the sections answer the item if all of them are there.


@dataclass(frozen=True)
class Guideline:
    """A list of items, and where it was published."""

    name: str
    source: str
    items: tuple

    @property
    def size(self):
        """The number of items, and of their parts if there are any: "44 items", "27 items in 52 parts"."""
        count = len({item.number.rstrip("abcdefg") for item in self.items})
        return f"{count} items" + (f" in {len(self.items)} parts" if count < len(self.items) else "")


TRIPOD_AI = Guideline(
    "TRIPOD+AI",
    "Collins et al., BMJ 385 (2024) e078378",
    (
        Item("1", "title: the model, for whom, and what it predicts"),
        Item("2", "abstract, which has a checklist of its own"),
        Item("3a", "clinical context, why the model is needed, earlier models"),
        Item("3b", "whom the model is for, where in care, and who will use it"),
        Item("3c", "known inequalities in health between groups of people"),
        Item("4", "aims: development, evaluation or both"),
        Item("5a", "where the data come from, and whom they represent", (ORIGIN,), "source, whom they represent"),
        Item("5b", "dates: first and last participant, end of follow-up"),
        Item("6a", "setting, number and places of the centres"),
        Item("6b", "who was eligible", (FLOW,), "clinical criteria, before files were collected"),
        Item("6c", "treatments", (), "if treatments matter"),
        Item("7", "preparation of the data and checks of their quality", (FLOW, TRAINING), "what was done before"),
        Item("8a", "outcome: its definition, how and when it was determined"),
        Item("8b", "who determined it, and their qualification"),
        Item("8c", "blinding of those who did"),
        Item("9a", "choice of the predictors: why these images"),
        Item("9b", "predictors: definition and measurement", (TRAINING,), "how the images were taken"),
        Item("9c", "who assessed predictors that need judgement", (), "if a person selected or cropped images"),
        Item("10", "sample size and why it is enough", (FLOW,), "how it was decided"),
        Item("11", "missing data", (FLOW,), "patients without an image, and why"),
        Item("12a", "how the data were divided for development and evaluation", (FLOW, ORIGIN)),
        Item("12b", "scaling and transformation of the predictors", (TRAINING,)),
        Item("12c", "kind of model, all steps of building and tuning it, internal validation", (TRAINING, FOLDS),
             "why this kind; what else was tried"),
        Item("12d", "differences between clusters such as hospitals"),
        Item("12e", "measures of performance, and why these", MEASURES, "why these"),
        Item("12f", "changes of the model after its evaluation", (), "if it was recalibrated or trained further"),
        Item("12g", "how predictions were computed for the evaluation", (TRAINING, ORIGIN)),
        Item("13", "imbalance of classes: what was done, its effect on probabilities", (TRAINING, CALIBRATION),
             "whether images were chosen by class"),
        Item("14", "fairness: what was done for it, and why", (SUBGROUPS,), "what was done, and why"),
        Item("15", "output of the model; threshold, and why this one", (THRESHOLD,), "why this threshold"),
        Item("16", "differences between development and evaluation data", (FLOW,), "place, time, people, outcome"),
        Item("17", "ethical approval and consent"),
        Item("18a", "funding, and the funders' part"),
        Item("18b", "conflicts of interest"),
        Item("18c", "study protocol"),
        Item("18d", "registration"),
        Item("18e", "availability of the data", (ORIGIN,), "where to get them"),
        Item("18f", "availability of the code", (ORIGIN,), "where to get it"),
        Item("19", "involvement of patients and the public"),
        Item("20a", "flow of participants, with and without the outcome", (FLOW,), "from patients to images"),
        Item("20b", "characteristics of the participants"),
        Item("20c", "comparison of evaluation and development data", (FLOW,), "age, sex and what else matters"),
        Item("21", "participants and outcome events in each analysis", (FLOW, MAIN), "numbers of patients"),
        Item("22", "the model, so that others can predict with it", (TRAINING, ORIGIN), "where to get its file"),
        Item("23a", "performance with intervals, also of key subgroups", (*MEASURES, SUBGROUPS), "all key subgroups"),
        Item("23b", "differences in performance between clusters, if there are several centres", (SUBGROUPS,),
             "those of the centres, if the column is another one"),
        Item("24", "results of changes of the model", (), "if there were any"),
        Item("25", "interpretation, including fairness and earlier studies"),
        Item("26", "limitations and their consequences", (WARNINGS,), "those of the study"),
        Item("27a", "handling of poor or missing input in use"),
        Item("27b", "what users must do and know"),
        Item("27c", "further research; where else the model may apply"),
    ),
)  # fmt: skip

CLAIM = Guideline(
    "CLAIM",
    "2024 update, Tejani et al., Radiology: Artificial Intelligence 6 (2024) e240300",
    (
        Item("1", "title: that it is AI, and of which kind"),
        Item("2", "structured abstract"),
        Item("3", "background and intended clinical role"),
        Item("4", "aims and hypotheses"),
        Item("5", "prospective or retrospective"),
        Item("6", "goal of the study"),
        Item("7", "sources of the data", (ORIGIN,), "the sources"),
        Item("8", "criteria of inclusion and exclusion", (FLOW,), "clinical criteria"),
        Item("9", "preprocessing", (TRAINING,), "what was done before"),
        Item("10", "selection of parts of the data", (FLOW,), "slices, series or crops chosen before"),
        Item("11", "de-identification"),
        Item("12", "missing data", (FLOW,), "patients without an image, and why"),
        Item("13", "acquisition of the images"),
        Item("14", "reference standard: how it was obtained"),
        Item("15", "why this reference standard"),
        Item("16", "source of its annotations"),
        Item("17", "annotation of the test set"),
        Item("18", "variability between readers, and of one reader"),
        Item("19", "assignment to partitions", (FLOW, ORIGIN)),
        Item("20", "level at which partitions share nothing", (FLOW,), "whether the groups are patients"),
        Item("21", "intended sample size", (FLOW,), "how it was decided"),
        Item("22", "description of the model", (TRAINING,), "the paper of the architecture"),
        Item("23", "software and versions", (TRAINING, ORIGIN)),
        Item("24", "initial weights", (TRAINING,)),
        Item("25", "details of the training", (TRAINING,)),
        Item("26", "how the final model was selected", (TRAINING,), "choice between models"),
        Item("27", "ensembles", (), "if several models predict together"),
        Item("28", "measures of performance", MEASURES, "why these"),
        Item("29", "uncertainty and significance", (MAIN, TESTS)),
        Item("30", "robustness", (FOLDS,), "other scanners, noise, other settings"),
        Item("31", "explanations of predictions", (LOOKS,), "how they were checked"),
        Item("32", "testing on internal data", (INTERNAL,)),
        Item("33", "testing on external data, or why not", (EXTERNAL,)),
        Item("34", "registration of a trial", (), "if it is one"),
        Item("35", "numbers included and excluded", (FLOW,), "patients and examinations"),
        Item("36", "demographic and clinical characteristics of each partition", (FLOW,), "all but the classes"),
        Item("37", "performance and its uncertainty", (MAIN, FOLDS, BASELINES, COMPARED), "beside readers or practice"),
        Item("38", "diagnostic performance and its precision", (MAIN, MORE)),
        Item("39", "analysis of failures", (MATRIX, ERRORS, LOOKS), "what the errors have in common, medically"),
        Item("40", "limitations", (WARNINGS,), "those of the study"),
        Item("41", "consequences for practice, intended use"),
        Item("42", "protocol and technical details", (TRAINING, ORIGIN), "where the protocol can be read"),
        Item("43", "availability of software, model and data", (ORIGIN,), "where to get them"),
        Item("44", "funding, and the funders' part"),
    ),
)  # fmt: skip


def section(page, split):
    """Return the Section that maps the items of TRIPOD+AI and CLAIM to a Page with predictions of a `split`."""
    tested = {EXTERNAL if split == "external" else INTERNAL: MAIN}
    # A section with nothing but sentences says what is missing.
    titles = [one.title for one in page.sections if one.tables or one.pictures or one.points or one.diagram]
    sentences = [
        "Two guidelines list what a paper on such a model should report. This page answers part of it; the authors "
        "write the rest. The topics below are in our words: for a journal, fill in the guidelines' own checklists."
    ]
    tables = []
    for guideline in (TRIPOD_AI, CLAIM):
        rows = [_row(item, titles, tested) for item in guideline.items]
        whole, part = sum(not row[3] for row in rows), sum(bool(row[2] and row[3]) for row in rows)
        sentences.append(
            f"{guideline.name} ({guideline.source}), {guideline.size}: this page answers {whole}, and {part} in part; "
            f"{len(rows) - whole - part} are left to write."
        )
        tables.append(Table(["item", "asks for", "on this page", "still to write"], rows, guideline.name))
    return Section("Model card: what is reported, and what is not", sentences, tables=tables)


def _row(item, titles, tested):
    """Return the cells of an Item's row, for the titles of a page's sections."""
    wanted = [tested.get(name, name) for name in item.sections]
    found = [title.partition(",")[0] for title in titles if any(title.startswith(name) for name in wanted)]
    if found:
        complete = all(any(title.startswith(name) for title in titles) for name in wanted)
        return item.number, item.topic, ", ".join(found), item.rest or ("" if complete else OTHERS)
    when = f", {item.rest}" if item.rest and not item.sections else ""
    return item.number, item.topic, "", ALL + when
