# What R says of the predictions in this folder: writes NAME.r.json for each NAME.json.
#
#   Rscript tests/golden/figures.R
#
# Where a package has the method it is called; the rest are the published formulas in base R. Intervals are of 95%; a
# vector of three is a value and its limits.

suppressPackageStartupMessages({
  library(jsonlite)
  library(pROC)
  library(survival) # clogit
  library(survey)
  library(sandwich)
  library(vcd) # Kappa
})

z <- qnorm(0.975)
percent_95 <- qchisq(0.95, 1)

# By how much an interval is wider since its variance is of so few groups.
widening <- function(group) qt(0.975, length(unique(group)) - 1) / qt(0.975, length(group) - 1)

# Proportions ---------------------------------------------------------------------------------------------------------

exact <- function(outcome) as.numeric(binom.test(sum(outcome), length(outcome))$conf.int)

exact_of <- function(count, total) c(qbeta(0.025, count, total - count + 1), qbeta(0.975, count + 1, total - count))

# The proportions of a class, each a vector of outcomes.
proportions <- function(truth, finding) list(
  "Accuracy" = truth == finding, "Sensitivity" = finding[truth], "Specificity" = !finding[!truth],
  "Pos Pred Value" = truth[finding], "Neg Pred Value" = !truth[!finding], "Prevalence" = truth,
  "Detection Rate" = truth & finding, "Detection Prevalence" = finding
)

# Zou and Donner (2008), of a mean of two.
mean_of_two <- function(values, limits) {
  below <- sqrt(sum((values - limits[1, ])^2)) / 2
  above <- sqrt(sum((limits[2, ] - values)^2)) / 2
  mean(values) + c(-below, above)
}

exact_intervals <- function(truth, finding) {
  jaccard <- exact((truth & finding)[truth | finding])
  both <- proportions(truth, finding)[c("Sensitivity", "Specificity")]
  by_chance <- mean(truth) * mean(finding) + mean(!truth) * mean(!finding)
  c(lapply(proportions(truth, finding), exact), list(
    "F1" = 2 * jaccard / (1 + jaccard),
    "Balanced Accuracy" = mean_of_two(sapply(both, mean), sapply(both, exact)),
    "Cohen's Kappa" = (exact(truth == finding) - by_chance) / (1 - by_chance)
  ))
}

# How many images halve the width of the exact interval.
number_to_halve <- function(correct) {
  width <- function(n) diff(exact_of(mean(correct) * n, n))
  n <- length(correct)
  ceiling(uniroot(function(more) width(more) - width(n) / 2, c(n, 10 * n), tol = 1e-9)$root)
}

# Proportions of images in groups: svyciprop, with the effective number that it takes the beta distribution of.
in_groups <- function(outcome, group) {
  design <- svydesign(~group, weights = ~1, data = data.frame(outcome = as.numeric(outcome), group))
  mean <- svymean(~outcome, design)
  p <- as.numeric(coef(mean))
  limits <- svyciprop(~outcome, design, method = "beta")
  effective <- p * (1 - p) / as.numeric(vcov(mean)) / widening(group)^2
  list(n = length(outcome), effective = effective, svyciprop = as.numeric(confint(limits)))
}

# Scores --------------------------------------------------------------------------------------------------------------

# The mean of losses with Student's interval of its logarithm.
mean_loss <- function(loss, group) {
  design <- svydesign(~group, weights = ~1, data = data.frame(loss, group))
  logarithm <- svycontrast(svymean(~loss, design), quote(log(loss)))
  exp(c(coef(logarithm)[[1]], as.numeric(confint(logarithm, df = degf(design)))))
}

losses <- function(predictions, group) {
  probability <- predictions$"predictive probabilities"
  of_class <- predictions$"label probabilities" == 1
  brier <- if (ncol(probability) == 2) (probability[, 2] - of_class[, 2])^2 else rowSums((probability - of_class)^2)
  list("Log Loss" = mean_loss(-log(rowSums(probability * of_class)), group), "Brier Score" = mean_loss(brier, group))
}

# Method 5 of Newcombe (2006).
newcombe_area <- function(area, m, n) {
  spread <- (m + n) / 2 - 1
  beyond <- function(a) (area - a)^2 - z^2 * a * (1 - a) / (m * n) * (1 + spread * ((1 - a) / (2 - a) + a / (1 + a)))
  c(uniroot(beyond, c(0, area), tol = 1e-12)$root, uniroot(beyond, c(area, 1), tol = 1e-12)$root)
}

curve <- function(truth, score) roc(truth, score, levels = c(FALSE, TRUE), direction = "<", quiet = TRUE)

area <- function(truth, score) as.numeric(auc(curve(truth, score)))

# The precision at the score of each image of the class, and their mean.
average_precision <- function(truth, score) mean(sapply(score[truth], function(at) mean(truth[score >= at])))

# Of several thresholds that are equally good, the one of the highest sensitivity.
youden <- function(truth, score) {
  best <- coords(curve(truth, score), "best", best.method = "youden", ret = c("threshold", "sensitivity"))
  best$threshold[which.max(best$sensitivity)]
}

# Calibration ---------------------------------------------------------------------------------------------------------

logistic <- function(formula, ...) glm(formula, binomial, ..., control = glm.control(epsilon = 1e-14, maxit = 100))

# The values at which the deviance is `more` above that of the best one.
profile_interval <- function(deviance_at, best, more) {
  excess <- function(value) deviance_at(value) - deviance_at(best) - more
  root <- function(limits, extend) uniroot(excess, limits, tol = 1e-10, extendInt = extend)$root
  c(root(c(best - 1, best), "downX"), root(c(best, best + 1), "upX"))
}

# How much a cluster-robust variance is above the model's; for few groups widened as svyciprop is.
dispersion <- function(fit, coefficient, group) {
  robust <- if (length(unique(group)) == length(group)) {
    sandwich(fit)
  } else {
    vcovCL(fit, group, type = "HC0", cadjust = TRUE) * (1 - 1 / length(group)) * widening(group)^2
  }
  max(1, robust[coefficient, coefficient] / vcov(fit)[coefficient, coefficient])
}

calibration <- function(truth, score, group) {
  logit <- qlogis(score)
  intercept <- logistic(truth ~ offset(logit))
  slope <- logistic(truth ~ logit)
  described <- function(fit, coefficient, deviance_at, widened) {
    level <- pchisq(percent_95 * widened, 1)
    list(
      value = coef(fit)[[coefficient]], dispersion = widened,
      interval = profile_interval(deviance_at, coef(fit)[[coefficient]], percent_95 * widened),
      confint = as.numeric(suppressMessages(confint(fit, coefficient, level = level)))
    )
  }
  # The deviations of the logits from their mean in the class, as a design effect.
  deviation <- logit - ave(logit, truth)
  design <- svydesign(~group, weights = ~1, data = data.frame(deviation, group))
  effect <- vcov(svymean(~deviation, design)) / (var(deviation) / length(truth)) * widening(group)^2
  list(
    intercept = described(
      intercept, 1, function(a) deviance(logistic(truth ~ offset(a + logit) - 1)), dispersion(intercept, 1, group)
    ),
    slope = described(
      slope, 2, function(b) deviance(logistic(truth ~ offset(b * logit))), max(dispersion(slope, 2, group), effect)
    )
  )
}

# One over the temperature is the slope of a regression without an intercept.
temperature <- function(truth, score) 1 / coef(logistic(truth ~ qlogis(score) - 1))[[1]]

temperature_of_more <- function(predictions) {
  of_class <- predictions$"label probabilities" == 1
  log_loss <- function(t) {
    powers <- predictions$"predictive probabilities"^(1 / t)
    -mean(log(rowSums(powers * of_class) / rowSums(powers)))
  }
  optimize(log_loss, c(0.05, 20), tol = 1e-9)$minimum
}

# What follows from counts --------------------------------------------------------------------------------------------

# Donner and Zou (2012), equation 9 (MOVER-R): the ratio of two proportions from their exact intervals.
ratio <- function(above, below) {
  a <- mean(above)
  b <- mean(below)
  of_a <- exact(above)
  of_b <- exact(below)
  limit <- function(sign, of_a, of_b) {
    divisor <- of_b * (2 * b - of_b)
    (a * b + sign * sqrt((a * b)^2 - of_a * (2 * a - of_a) * divisor)) / divisor
  }
  c(a / b, limit(-1, of_a[1], of_b[2]), limit(1, of_a[2], of_b[1]))
}

likelihood_ratios <- function(truth, finding) list(
  "LR+" = ratio(finding[truth], finding[!truth]), "LR-" = ratio(!finding[truth], !finding[!truth])
)

# Bayes' theorem: the odds of the class after a finding are those before it times the likelihood ratio.
at_prevalence <- function(truth, finding, prevalence) {
  odds <- prevalence / (1 - prevalence)
  of <- likelihood_ratios(truth, finding)
  list(
    prevalence = prevalence,
    "Pos Pred Value" = 1 / (1 + 1 / (odds * of$"LR+")), "Neg Pred Value" = 1 / (1 + odds * of$"LR-"[c(1, 3, 2)])
  )
}

# Vickers and Elkin (2006), at 1% to 99%.
net_benefit <- function(truth, treated_at) sapply(1:99 / 100, function(p) {
  treated <- treated_at(p)
  (sum(treated & truth) - sum(treated & !truth) * p / (1 - p)) / length(truth)
})

# The least certain tenth by entropy: its errors, and the chance of as many or more among as many at random.
referral <- function(predictions) {
  wrong <- predictions$predictions != predictions$labels
  entropy <- apply(predictions$"predictive probabilities", 1, function(p) -sum(p * log(p)))
  referred <- order(-entropy)[seq_len(floor(length(wrong) / 10 + 0.5))]
  found <- sum(wrong[referred])
  p_value <- phyper(found - 1, sum(wrong), sum(!wrong), length(referred), lower.tail = FALSE)
  list(referred = length(referred), found = found, p_value = p_value, rest = exact(!wrong[-referred]))
}

# The files -----------------------------------------------------------------------------------------------------------

two_classes <- function(predictions) {
  truth <- predictions$labels == 1
  finding <- predictions$predictions == 1
  score <- predictions$"predictive probabilities"[, 2]
  single <- seq_along(truth)
  precision <- average_precision(truth, score)
  list(
    exact = exact_intervals(truth, finding),
    number_to_halve = number_to_halve(truth == finding),
    losses = losses(predictions, single),
    newcombe_area = newcombe_area(area(truth, score), sum(truth), sum(!truth)),
    average_precision = c(precision, exact_of(precision * sum(truth), sum(truth))),
    youden = youden(truth, score),
    one_sided_limit = binom.test(sum(truth & finding), sum(truth), alternative = "greater")$conf.int[1],
    calibration = calibration(truth, score, single),
    temperature = temperature(truth, score),
    likelihood_ratios = likelihood_ratios(truth, finding),
    at_prevalence = lapply(c(0.01, 0.3), function(each) at_prevalence(truth, finding, each)),
    net_benefit = net_benefit(truth, function(p) score >= p),
    net_benefit_of_all = net_benefit(truth, function(p) TRUE)
  )
}

# As if the images were dealt into five folds, one after the other.
five_folds <- function(predictions) {
  truth <- predictions$labels == 1
  score <- predictions$"predictive probabilities"[, 2]
  fold <- (seq_along(truth) - 1) %% 5
  mean_of <- function(figure) mean(sapply(0:4, function(k) figure(truth[fold == k], score[fold == k])))
  conditional <- clogit(truth ~ qlogis(score) + strata(fold), method = "exact")
  list(auc = mean_of(area), average_precision = mean_of(average_precision), slope = coef(conditional)[[1]])
}

more_classes <- function(predictions) {
  count <- ncol(predictions$"predictive probabilities")
  classes <- seq_len(count) - 1
  labels <- factor(predictions$labels, classes)
  found <- factor(predictions$predictions, classes)
  probability <- predictions$"predictive probabilities"
  colnames(probability) <- classes
  weighted <- Kappa(table(labels, found), weights = "Fleiss-Cohen")$Weighted
  list(
    hand_and_till = as.numeric(multiclass.roc(labels, probability, quiet = TRUE)$auc),
    weighted_kappa = list(value = weighted[[1]], error = weighted[[2]]),
    rank_difference = rank_difference(predictions$labels, predictions$predictions, count - 1),
    temperature = temperature_of_more(predictions),
    losses = losses(predictions, seq_along(labels)),
    means = means_over_classes(labels, found, classes, seq_along(labels)),
    referral = referral(predictions)
  )
}

# As if each four images that follow one another were a group. The weighted kappa is a function of five means.
groups_of_four <- function(predictions) {
  ranks <- data.frame(l = predictions$labels, f = predictions$predictions)
  group <- (seq_along(ranks$l) - 1) %/% 4
  data <- cbind(ranks, l2 = ranks$l^2, f2 = ranks$f^2, lf = ranks$l * ranks$f)
  means <- svymean(~ l + f + l2 + f2 + lf, svydesign(~group, weights = ~1, data = data))
  kappa <- svycontrast(means, quote(1 - (l2 + f2 - 2 * lf) / (l2 + f2 - 2 * l * f)))
  list(
    weighted_kappa = list(value = coef(kappa)[[1]], error = as.numeric(SE(kappa))),
    losses = losses(predictions, group),
    means = means_over_classes(ranks$l, ranks$f, unique(ranks$l), group)
  )
}

# With the exact interval of a proportion of as many images.
rank_difference <- function(labels, found, largest) {
  mean <- mean(abs(labels - found))
  c(mean, largest * exact_of(mean / largest * length(labels), length(labels)))
}

# The mean over classes of ratios, on the logit scale, with the linearized variance of survey sampling.
means_over_classes <- function(labels, found, classes, group) {
  of_ratios <- function(above, below) {
    data <- as.data.frame(cbind(sapply(classes, above), sapply(classes, below)) + 0)
    names(data) <- c(paste0("a", classes), paste0("b", classes))
    totals <- svytotal(reformulate(names(data)), svydesign(~group, weights = ~1, data = data))
    mean <- sprintf("((%s) / %d)", paste0("a", classes, " / b", classes, collapse = " + "), length(classes))
    logit <- svycontrast(totals, list(logit = parse(text = sprintf("log(%s / (1 - %s))", mean, mean))[[1]]))
    plogis(as.numeric(coef(logit)) + c(0, -z, z) * as.numeric(SE(logit)) * widening(group))
  }
  list(
    "Specificity" = of_ratios(function(k) labels != k & found != k, function(k) labels != k),
    "Neg Pred Value" = of_ratios(function(k) labels != k & found != k, function(k) found != k),
    "F1" = of_ratios(function(k) 2 * (labels == k & found == k), function(k) (labels == k) + (found == k))
  )
}

groups <- function(predictions) {
  truth <- predictions$labels == 1
  finding <- predictions$predictions == 1
  group <- predictions$groups
  among <- list(
    "Sensitivity" = truth, "Specificity" = !truth, "Pos Pred Value" = finding, "Neg Pred Value" = !finding
  )
  outcomes <- proportions(truth, finding)
  proportion <- function(name) {
    inside <- if (is.null(among[[name]])) rep(TRUE, length(truth)) else among[[name]]
    in_groups(outcomes[[name]], group[inside])
  }
  rate <- max(mean(truth), mean(!truth))
  accuracy <- proportion("Accuracy")
  effective <- accuracy$effective * accuracy$n / (accuracy$n - 1)
  correct <- mean(truth == finding) * effective
  list(
    proportions = sapply(names(outcomes), proportion, simplify = FALSE),
    accuracy_p_value = pbeta(rate, correct, effective - correct + 1),
    losses = losses(predictions, group),
    calibration = calibration(truth, predictions$"predictive probabilities"[, 2], group),
    sign_test = sign_test(tapply(predictions$labels - predictions$predictions, group, sum))
  )
}

# The two-sided chance of so large a sum of groups' differences, over all their signs.
sign_test <- function(sums) {
  sums <- sums[sums != 0]
  all <- 0
  for (each in sums) all <- c(all + each, all - each)
  mean(abs(all) >= abs(sum(sums)))
}

# Two models of the same images: their accuracies and areas.
comparison <- function(here, there) {
  truth <- here$labels == 1
  correct <- list(here$predictions == here$labels, there$predictions == there$labels)
  only <- c(sum(correct[[1]] & !correct[[2]]), sum(!correct[[1]] & correct[[2]]))
  # Bonett and Price (2012).
  p <- (only + 1) / (length(truth) + 2)
  error <- sqrt((sum(p) - diff(p)^2) / (length(truth) + 2))
  curves <- lapply(list(here, there), function(model) curve(truth, model$"predictive probabilities"[, 2]))
  delong <- roc.test(curves[[1]], curves[[2]], paired = TRUE, method = "delong")
  list(
    only = only, interval = p[1] - p[2] + c(-z, z) * error,
    mcnemar_exact = binom.test(only[1], sum(only))$p.value,
    area_difference = as.numeric(-diff(delong$estimate)), area_interval = as.numeric(delong$conf.int),
    delong = delong$p.value
  )
}

script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
folder <- dirname(script)
read <- function(name) fromJSON(file.path(folder, paste0(name, ".json")))
write <- function(figures, name) {
  write_json(figures, file.path(folder, paste0(name, ".r.json")), digits = 12, auto_unbox = TRUE, pretty = TRUE)
}
for (name in c("published_table4", "binary_imbalanced")) {
  write(c(two_classes(read(name)), list(referral = referral(read(name)))), name)
}
write(c(two_classes(read("binary_ties")), list(five_folds = five_folds(read("binary_ties")))), "binary_ties")
write(c(more_classes(read("three_class")), list(groups_of_four = groups_of_four(read("three_class")))), "three_class")
write(more_classes(read("ten_class")), "ten_class")
write(groups(read("grouped")), "grouped")
write(comparison(read("binary_ties"), read("second_model")), "second_model")
