"""The performance page: text for the terminal that is Markdown too, made of the results object alone.

Imports no torch.
"""

from pipeline.messages import format_table
from pipeline.performance.formats import counted, counts_behind, number, one_line, percent, span

INTERVALS = "Intervals: exact (shares); DeLong's, and method 5 of Newcombe (area); Fleiss, Cohen and Everitt's (kappa)."
MORE_FIGURES = (
    "Pos Pred Value", "Neg Pred Value", "Precision", "Recall", "F1", "Prevalence", "Detection Rate",
    "Detection Prevalence", "Balanced Accuracy", "Average Precision",
)  # fmt: skip


def page(results):
    """Return the page for a results object, as performance.summarize makes it and the options of calc add to it."""
    two_classes = results["Positive Class"] is not None
    sections = [
        _headline(results),
        _two_class_figures(results) if two_classes else _multiclass_figures(results),
        _listed("Warnings", results["Warnings"]),
        _confusion_matrix(results),
        _more_two_class_figures(results) if two_classes else _more_multiclass_figures(results),
        _tests(results),
        _calibration(results),
        _threshold(results),
        _folds(results),
        _most_confident_errors(results),
        _referral(results),
        _comparison(results),
        _baselines(results),
        _undefined(results),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _headline(results):
    model = f" of {one_line(results['Checkpoint'])}" if results["Checkpoint"] else ""
    images = " ".join(word for word in (str(results["n"]), results["Split"], "images") if word)
    if "Folds" in results:
        images += f" of {len(results['Folds'])} folds, pooled"
    elif results["Fold"] is not None:
        images += f" of fold {results['Fold']}"
    right = sum(row[index] for index, row in enumerate(results["Confusion Matrix"]))
    if results["Positive Class"] is None:
        meaning = f"{len(results['Class Names'])} classes, each against the rest."
    else:
        meaning = f"Positive class: {one_line(results['Positive Class'])}"
        if "Threshold" in results:
            meaning += f", given where its probability is at least {results['Threshold']['value']:.4g}"
        meaning += "."
    return (
        f"# Performance{model} on {images}\n\n"
        f"Accuracy {percent(results['Accuracy'])} ({right} of {results['n']} images), 95% interval "
        f"{span(results['Accuracy 95% Interval'])}. {meaning}"
    )


def _two_class_figures(results):
    """The published table: each figure with its interval and the images behind it."""
    positive_class = one_line(results["Positive Class"])
    of_class, others = counts_behind("Sensitivity", results)[1], counts_behind("Specificity", results)[1]
    rows = []
    for name in ("Sensitivity", "Specificity"):
        count, total = counts_behind(name, results)
        interval = span(results[f"{name} 95% Interval"])
        rows.append((f"{name} ({positive_class})", percent(results[name]), interval, f"{count} of {total}"))
    area, intervals = number(results["ROC-AUC"]), _area_intervals(results)
    rows.append((f"ROC-AUC ({positive_class})", area, intervals, f"{of_class} and {others}"))
    return f"{_published_table(rows, results)}\n\n{INTERVALS}"


def _multiclass_figures(results):
    rows = [
        (f"{name} (mean over classes)", percent(results[name]), "", f"{len(results['Class Names'])} classes")
        for name in ("Sensitivity", "Specificity")
    ]
    rows.append(("ROC-AUC (mean over classes)", number(results["ROC-AUC"]), "", rows[0][-1]))
    classes = []
    for name, figures in results["Per Class"].items():
        shares = (
            f"{counted(figure, figures)}; {span(figures[f'{figure} 95% Interval'])}"
            if figures[figure] is not None
            else "undefined"
            for figure in ("Sensitivity", "Specificity")
        )
        area = number(figures["ROC-AUC"])
        if figures["ROC-AUC"] is not None:
            area += f"; {_area_intervals(figures)}"
        classes.append((one_line(name), *shares, area))
    return (
        _published_table(rows, results)
        + "\n\n## Each class against the rest, with 95% intervals\n\n"
        + format_table(["class", "Sensitivity", "Specificity", "ROC-AUC"], classes)
        + f"\n\n{INTERVALS}"
    )


def _published_table(rows, results):
    right = sum(row[index] for index, row in enumerate(results["Confusion Matrix"]))
    accuracy, kappa = results["Accuracy 95% Interval"], results["Cohen's Kappa 95% Interval"]
    rows = [
        *rows,
        ("Accuracy", percent(results["Accuracy"]), span(accuracy), f"{right} of {results['n']}"),
        ("Cohen's Kappa", number(results["Cohen's Kappa"]), span(kappa, ".3f"), results["n"]),
    ]
    return format_table(["metric", "value", "95% interval", "images"], rows)


def _area_intervals(figures):
    methods = ((method, figures[f"ROC-AUC 95% Interval ({method})"]) for method in ("DeLong", "Newcombe"))
    return ", ".join(f"{span(interval, '.3f')} ({method})" for method, interval in methods if interval) or "undefined"


def _confusion_matrix(results):
    names = [one_line(name) for name in results["Class Names"]]
    rows = [(name, *counts) for name, counts in zip(names, results["Confusion Matrix"], strict=True)]
    return "## Confusion matrix\n\n" + format_table(["true \\ predicted", *names], rows)


def _more_two_class_figures(results):
    positive_class = one_line(results["Positive Class"])
    rows = []
    for name in MORE_FIGURES:
        counts = counts_behind(name, results)
        images = f"{counts[0]} of {counts[1]}" if counts else results["n"]
        rows.append((f"{name} ({positive_class})", percent(results[name]), images))
    return "## More figures\n\n" + format_table(["metric", "value", "images"], rows)


def _more_multiclass_figures(results):
    rows = [
        ("mean over classes", *(percent(results[name]) for name in MORE_FIGURES)),
        *(
            (one_line(name), *(counted(figure, figures) for figure in MORE_FIGURES))
            for name, figures in results["Per Class"].items()
        ),
    ]
    # A row a figure: the page stays readable with ten classes on paper, and with three in a terminal.
    rows = list(zip(MORE_FIGURES, *(row[1:] for row in rows), strict=True))
    names = ["mean over classes", *map(one_line, results["Per Class"])]
    return "## More figures\n\n" + format_table(["metric", *names], rows)


def _tests(results):
    two_classes = results["Positive Class"] is not None
    symmetry = "McNemar's test" if two_classes else "Bowker's test (McNemar's for more than two classes)"
    rows = [
        (
            f"accuracy above the no-information rate, {percent(results['No Information Rate'])}",
            "exact binomial, one-sided",
            number(results["Accuracy P-Value"]),
        ),
        ("classes taken for one another equally often", symmetry, number(results["McNemar P-Value"])),
    ]
    return "## Tests\n\n" + format_table(["question", "test", "p"], rows)


def _calibration(results):
    two_classes = results["Positive Class"] is not None
    whose = one_line(results["Positive Class"]) if two_classes else "mean over classes"
    rows = [
        ("Log Loss", number(results["Log Loss"])),
        (f"Brier Score ({whose if two_classes else 'all classes'})", number(results["Brier Score"])),
        (f"Calibration Error ({whose})", number(results["Calibration Error"])),
        ("Confidence Calibration Error", number(results["Confidence Calibration Error"])),
    ]
    return "## Calibration\n\n" + format_table(["metric", "value"], rows)


def _threshold(results):
    if "Threshold" not in results:
        return ""
    point, positive_class = results["Threshold"], one_line(results["Positive Class"])
    where = f"{one_line(point['file'])} ({', '.join(filter(None, [point['split'], str(point['n']) + ' images']))})"
    rows = [
        (
            name,
            percent(point[name]),
            point["n"] if name == "Accuracy" else point["positives" if name == "Sensitivity" else "negatives"],
            counted(name, results) if name != "Accuracy" else percent(results[name]),
        )
        for name in ("Sensitivity", "Specificity", "Accuracy")
    ]
    return (
        "## Threshold\n\n"
        f"{positive_class} where its probability is at least {point['value']:.6g}: {point['rule']}, chosen on {where} "
        "and then frozen.\n\n" + format_table(["metric", "where it was chosen", "images there", "here"], rows)
    )


def _folds(results):
    if "Folds" not in results:
        return ""
    rows = [(fold["fold"], fold["n"], percent(fold["Accuracy"]), number(fold["ROC-AUC"])) for fold in results["Folds"]]
    for name in ("minimum", "maximum", "mean", "standard deviation"):
        accuracy, area = ((results["Between Folds"][key] or {}).get(name) for key in ("Accuracy", "ROC-AUC"))
        rows.append((name, "", percent(accuracy), number(area)))
    return (
        "## Folds\n\n"
        + format_table(["fold", "images", "Accuracy", "ROC-AUC"], rows)
        + "\n\nThe figures above are of all folds' images together, their probabilities ranked as if of one model."
    )


def _most_confident_errors(results):
    if not results["Most Confident Errors"]:
        return ""
    rows = [
        (*(one_line(error[key]) for key in ("file name", "class", "predicted")), number(error["probability"]))
        for error in results["Most Confident Errors"]
    ]
    return (
        "## The most confident errors\n\n"
        "Look here first for what the model has not learnt, and for wrong labels. The probability is that of the class "
        "that was predicted.\n\n" + format_table(["image", "class", "predicted", "probability"], rows)
    )


def _referral(results):
    if "Referral" not in results:
        return ""
    found = results["Referral"]
    rows = [
        (
            measure,
            "undefined" if figures["errors referred"] is None else f"{figures['errors referred']} of {found['errors']}",
            percent(figures["accuracy of the rest"]),
            span(figures["95% interval"]),
            "undefined" if figures["gain"] is None else f"{100 * figures['gain']:+.2f} points",
            number(figures["p-value"]),
        )
        for measure, figures in found["by"].items()
    ]
    return (
        f"## Referring the {found['referred']} least certain of {results['n']} images to a person\n\n"
        f"Uncertainty is that of {found['Monte Carlo samples']} predictions with Monte Carlo dropout. As many images "
        f"drawn at random would hold {found['errors expected at random']:.1f} of the {found['errors']} errors (p: "
        "hypergeometric, one-sided).\n\n"
        + format_table(["referred by", "errors referred", "accuracy of the rest", "95% interval", "gain", "p"], rows)
    )


def _comparison(results):
    if "Comparison" not in results:
        return ""
    other = results["Comparison"]
    rows = [
        (
            "Accuracy",
            percent(other["Accuracy"]),
            percent(other["Other Accuracy"]),
            f"{100 * other['Accuracy Difference']:+.2f} points",
            span([100 * limit for limit in other["Accuracy Difference 95% Interval"]], "+.1f"),
            f"{number(other['McNemar Exact P-Value'])} (exact McNemar)",
        )
    ]
    for name, areas in other["ROC-AUC"].items():
        difference = "undefined" if areas["difference"] is None else f"{areas['difference']:+.4f}"
        interval, p = span(areas["difference 95% interval"], "+.3f"), number(areas["DeLong p-value"])
        here, there = number(areas["here"]), number(areas["there"])
        rows.append((f"ROC-AUC ({one_line(name)})", here, there, difference, interval, f"{p} (DeLong, paired)"))
    checkpoint = one_line(other["Checkpoint"]) if other["Checkpoint"] else "the other model"
    return (
        f"## Compared with {checkpoint} on the same {other['n']} images\n\n"
        + format_table(["metric", "here", "there", "difference", "95% interval", "p"], rows)
        + f"\n\nRight here only: {other['Right Here Only']} images; right there only: {other['Right There Only']}."
        + (" The threshold holds here only." if "Threshold" in results else "")
    )


def _baselines(results):
    if "Baselines" not in results:
        return ""
    rows = [
        (
            one_line(baseline["name"]),
            f"{percent(baseline['accuracy'])}; {span(baseline['accuracy interval'])}",
            "undefined"
            if baseline["roc auc"] is None
            else _with_span(baseline["roc auc"], baseline["roc auc interval"]),
            baseline["n"],
        )
        for baseline in results["Baselines"]
    ]
    area = _with_span(results["ROC-AUC"], results.get("ROC-AUC 95% Interval (DeLong)"))
    accuracy = f"{percent(results['Accuracy'])}; {span(results['Accuracy 95% Interval'])}"
    rows.append(("this model", accuracy, area, results["n"]))
    return "## Beside what needs no picture\n\n" + format_table(["model", "Accuracy", "ROC-AUC", "images"], rows)


def _with_span(value, interval):
    return number(value) if interval is None else f"{number(value)}; {span(interval, '.3f')}"


def _undefined(results):
    """List what the page has no number for; of two classes it shows the positive one's figures, without its name."""
    not_shown = set()
    if results["Positive Class"] is not None:
        not_shown = {
            f"{name} ({class_name})" for class_name, figures in results["Per Class"].items() for name in figures
        }
    names_by_reason = {}
    for name, reason in results["undefined"].items():
        if name not in not_shown:
            names_by_reason.setdefault(one_line(reason), []).append(one_line(name))
    return _listed("Undefined", [f"{reason}: {', '.join(names)}" for reason, names in names_by_reason.items()])


def _listed(title, sentences):
    return f"## {title}\n\n" + "\n".join(f"- {sentence}" for sentence in sentences) if sentences else ""
