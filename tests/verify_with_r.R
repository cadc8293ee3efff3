# Compare the figures of this project with those of R, to 1e-6.
#
#   Rscript tests/verify_with_r.R                  the golden files beside this script, computed again
#   Rscript tests/verify_with_r.R PREDS RESULTS    what calc_model_performance.py wrote of one predictions JSON
#
# Needs the packages caret, pROC, psych and jsonlite. Ends with status 1 where a figure differs.

suppressPackageStartupMessages({
  library(caret)
  library(pROC)
  library(psych)
  library(jsonlite)
})

tolerance <- 1e-6

by_class_names <- c(
  "Sensitivity", "Specificity", "Pos Pred Value", "Neg Pred Value", "Precision", "Recall", "F1", "Prevalence",
  "Detection Rate", "Detection Prevalence", "Balanced Accuracy"
)
overall_names <- c(
  "Accuracy", "Kappa", "AccuracyLower", "AccuracyUpper", "AccuracyNull", "AccuracyPValue", "McnemarPValue"
)

confusion <- function(predictions, positive = NULL) {
  classes <- seq_len(ncol(predictions$"predictive probabilities")) - 1
  confusionMatrix(
    factor(predictions$predictions, classes), factor(predictions$labels, classes),
    positive = if (is.null(positive)) NULL else as.character(positive), mode = "everything"
  )
}

area <- function(predictions, class) {
  if (length(unique(predictions$labels == class)) < 2) return(c(estimate = NaN, NaN, NaN))
  curve <- roc(
    predictions$labels == class, predictions$"predictive probabilities"[, class + 1],
    levels = c(FALSE, TRUE), direction = "<", quiet = TRUE
  )
  c(estimate = as.numeric(curve$auc), suppressWarnings(as.numeric(ci.auc(curve, method = "delong")))[c(1, 3)])
}

exact <- function(predictions, class, of_class) {
  chosen <- (predictions$labels == class) == of_class
  right <- (predictions$predictions[chosen] == class) == of_class
  if (any(chosen)) as.numeric(binom.test(sum(right), sum(chosen))$conf.int) else c(NaN, NaN)
}

kappa_with_interval <- function(predictions) {
  table <- confusion(predictions)$table
  kappa <- suppressWarnings(cohen.kappa(table))
  list(estimate = kappa$kappa, lower = kappa$confid[1, 1], upper = kappa$confid[1, 3])
}

# What a golden file holds, computed now.
golden_figures <- function(predictions) {
  class_count <- ncol(predictions$"predictive probabilities")
  kappa <- kappa_with_interval(predictions)
  if (class_count > 2) {
    matrix <- confusion(predictions)
    rows <- apply(matrix$byClass[, by_class_names], 1, as.list)
    areas <- sapply(seq_len(class_count) - 1, function(class) area(predictions, class)[["estimate"]])
    return(list(
      all = list(overall = as.list(matrix$overall[overall_names]), byClass = rows),
      auc_one_vs_rest = areas, kappa = kappa
    ))
  }
  with_positive <- function(positive) {
    matrix <- confusion(predictions, positive)
    list(overall = as.list(matrix$overall[overall_names]), byClass = as.list(matrix$byClass[by_class_names]))
  }
  found <- area(predictions, 1)
  list(
    positive_1 = with_positive(1), positive_0 = with_positive(0),
    auc = list(estimate = found[[1]], delong_lower = found[[2]], delong_upper = found[[3]]),
    sensitivity_ci_positive_1 = exact(predictions, 1, TRUE),
    specificity_ci_positive_1 = exact(predictions, 1, FALSE),
    kappa = kappa
  )
}

# The figures of one class, under the names of the results JSON.
class_figures <- function(predictions, class) {
  matrix <- confusion(predictions, if (ncol(predictions$"predictive probabilities") == 2) class)
  by_class <- if (is.matrix(matrix$byClass)) matrix$byClass[class + 1, ] else matrix$byClass
  found <- area(predictions, class)
  c(
    as.list(by_class[by_class_names]),
    list(
      "ROC-AUC" = found[[1]],
      "ROC-AUC 95% Interval (DeLong)" = found[2:3],
      "Sensitivity 95% Interval" = exact(predictions, class, TRUE),
      "Specificity 95% Interval" = exact(predictions, class, FALSE)
    )
  )
}

results_figures <- function(predictions, class_names) {
  overall <- confusion(predictions)$overall
  kappa <- kappa_with_interval(predictions)
  list(
    "Accuracy" = overall[["Accuracy"]],
    "Accuracy 95% Interval" = as.numeric(overall[c("AccuracyLower", "AccuracyUpper")]),
    "No Information Rate" = overall[["AccuracyNull"]],
    "Accuracy P-Value" = overall[["AccuracyPValue"]],
    "McNemar P-Value" = overall[["McnemarPValue"]],
    "Cohen's Kappa" = kappa$estimate,
    "Cohen's Kappa 95% Interval (Fleiss, Cohen and Everitt)" = c(kappa$lower, kappa$upper),
    "Per Class" = setNames(
      lapply(seq_along(class_names) - 1, function(class) class_figures(predictions, class)), class_names
    )
  )
}

# The numbers of nested lists, side by side; a missing one is NA, as are null and R's "NA" and "NaN".
flatten <- function(figures) {
  flat <- unlist(rapply(figures, function(value) if (is.character(value)) NA_real_ else value, how = "replace"))
  suppressWarnings(setNames(as.numeric(flat), names(flat)))
}

compare <- function(title, expected, found) {
  expected <- flatten(expected)
  found <- flatten(found)
  common <- intersect(names(expected), names(found))
  # What this project leaves undefined it must not have a number for in R either.
  missing <- setdiff(names(expected)[is.finite(expected)], names(found)[is.finite(found)])
  unexpected <- intersect(names(expected)[!is.finite(expected)], names(found)[is.finite(found)])
  # Where precision and recall are both 0, so is F1 here; caret divides 0 by 0.
  unexpected <- unexpected[!(grepl("F1$", unexpected) & found[unexpected] == 0)]
  differences <- abs(expected[common] - found[common])
  cat(sprintf(
    "%s: %d figures, largest difference %.1e\n", title, sum(is.finite(differences)), max(differences, na.rm = TRUE)
  ))
  wrong <- c(missing, unexpected, common[which(differences > tolerance)])
  if (length(wrong)) cat(sprintf("  differs: %s: R %g, here %g\n", wrong, expected[wrong], found[wrong]), sep = "")
  length(wrong) == 0
}

arguments <- commandArgs(trailingOnly = TRUE)
if (length(arguments) == 2) {
  predictions <- fromJSON(arguments[1])
  results <- fromJSON(arguments[2], simplifyDataFrame = FALSE)
  expected <- results_figures(predictions, results$"Class Names")
  # Of the results, only what R has too.
  found <- results[names(expected)]
  found$"Per Class" <- lapply(results$"Per Class", function(figures) figures[names(expected$"Per Class"[[1]])])
  quit(status = if (compare(arguments[2], expected, found)) 0 else 1)
}
script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
golden <- Sys.glob(file.path(dirname(script), "golden", "*.caret.json"))
same <- sapply(golden, function(path) {
  predictions <- fromJSON(sub(".caret.json", ".json", path, fixed = TRUE))
  compare(basename(path), fromJSON(path), golden_figures(predictions))
})
quit(status = if (length(same) > 0 && all(same)) 0 else 1)
