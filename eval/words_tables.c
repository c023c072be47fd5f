/* Words of tables: titles, notes, columns; names of measures, methods and reasons. */
#include "eval/report_text.h"

static const report_word rows[] = {
    /* tables */
    {"table.flow", "Books"},
    {"table.flow_exams", "Exams and women behind the files"},
    {"note.flow_exams",
     "An exam (a woman) is there as long as one of its images is, and lost at the reason that "
     "takes "
     "the last one. Exams with some images left out for the reason still have others; a dash "
     "stands where they would be of few women, or where several reasons are counted together. "
     "Files "
     "that name no exam or no woman count as files only. The row of the divided cohort counts the "
     "exams that lost some images by any of the reasons above it."},
    {"col.exams_in", "Exams in"},
    {"col.exams_lost", "Exams left out"},
    {"col.exams_part", "Exams with some images left out"},
    {"col.exams_out", "Exams out"},
    {"col.women_in", "Women in"},
    {"col.women_lost", "Women left out"},
    {"col.women_out", "Women out"},
    {"table.metrics", "Measures of separation"},
    {"table.operating", "Sensitivity and specificity at chosen thresholds"},
    {"table.threshold_mix", "Whom the thresholds come from"},
    {"note.threshold_mix",
     "Exams by manufacturer and site in the set that the thresholds were chosen on, and in the "
     "evaluated one. Where they differ, a threshold may flag far more or far fewer women than it "
     "did there."},
    {"col.mix_there", "Exams there"},
    {"col.mix_there_share", "Share there"},
    {"col.mix_here", "Exams here"},
    {"col.mix_here_share", "Share here"},
    {"table.capture", "Cancers among the exams with the highest scores"},
    {"table.predictive", "What a flag would mean at a given prevalence"},
    {"table.found", "When the cancers were found"},
    {"table.years", "AUC by year after the exam"},
    {"table.concordance", "Does the earlier cancer have the higher score?"},
    {"table.risk", "Predicted and observed risk, and the Brier score"},
    {"table.calibration", "Agreement of risk and outcome"},
    {"table.calibration_bootstrap", "Measures of calibration with intervals of the bootstrap"},
    {"note.calibration_bootstrap",
     "Women are drawn with replacement, those with and those without cancer apart: how many have "
     "cancer stays as it is, so that intervals of observed over expected and of the intercept are "
     "narrower than those above, which are the ones to quote. Recalibration stays as it was "
     "learnt. ICI (integrated "
     "calibration index): mean distance between the risk and the smooth curve. It is never 0 by "
     "chance, and its replicates lie higher than itself."},
    {"table.calibration_error", "Errors of the risks"},
    {"table.reliability", "Groups of equal count"},
    {"table.decision", "Net benefit at threshold risks"},
    {"table.deciles", "Cancers by risk group"},
    {"table.decile_ratios", "Risk groups against each other"},
    {"table.subgroups", "Subgroups"},
    {"table.interaction", "Do the groups differ?"},
    {"table.views", "AUC of single images, by view"},
    {"table.sensitivity", "Sensitivity analyses"},
    {"table.members", "Single networks of the ensemble"},
    {"note.operating",
     "An exam is flagged when its score is at least the threshold. Counts are exams. A threshold "
     "chosen on these exams is exploratory: the rate it was chosen for has no interval, the other "
     "one is chosen again in every bootstrap replicate."},
    {"note.capture",
     "When exams tie at the border, the lowest and highest possible share are given. Of a set with "
     "many cancers the top share has no room for all of them: 5 % of the exams cannot hold 100 "
     "cancers when 20 % have one. The next table is of a population."},
    {"table.capture_population", "Cancers among the highest scores of a population"},
    {"note.capture_population",
     "Computed from the sensitivity and specificity of thresholds on these exams, for a population "
     "in which {prevalence} % have cancer: the lowest threshold that flags at most the share asked "
     "for (of thresholds whose counts are not hidden), and the share of cancers that it finds."},
    {"capture.same",
     "Too few exams, or too few that are told, to cut a population finer: {points} would have the "
     "threshold of a row above, or none, and are left out."},
    {"note.metrics",
     "One AUC is to be cited: the headline, with its interval. The lines below it are the same AUC "
     "with other intervals, for comparison with studies that use them; they agree when exams are "
     "many."},
    {"note.found", "Exams, counted from the day of the exam."},
    {"note.years",
     "Cancers: found until that year. First AUC (the rule of Mirai's program): against exams "
     "without cancer until that year, those with a later cancer among them; women lost before "
     "are left out. Second AUC (Uno 2007): against exams still without cancer after that year, "
     "cancers weighted by the inverse probability of being seen that long; prefer it where many "
     "are lost early. Intervals take these weights as known."},
    {"note.concordance",
     "Of two women, one with cancer and one still without at that time: how often has the first "
     "the higher score? Ties count one half. Uno's C weights pairs so that follow-up that ends "
     "early does no harm; it is the one to quote. Intervals: jackknife over women. The statistic"
     " of Mirai's program weights by cancers in place of losses and stands here only beside "
     "published numbers."},
    {"note.risk",
     "Observed: 1 minus Kaplan-Meier. Brier score after Graf, weighted for women lost from "
     "sight; lower is better. Read these only of a set that is a sample of the population or "
     "weighted to one. Bootstrap intervals, women drawn with replacement."},
    {"note.predictive",
     "Computed from sensitivity and specificity above for stated prevalences; the last row of a "
     "point has the share of cancers of this set, which is taken as a population. Per 1,000 women. "
     "Points with hidden counts are left out."},
    {"predictive.enriched",
     "Computed from sensitivity and specificity above for stated prevalences, not for the share of "
     "cancers in this set, which is no population. Per 1,000 women. Points with hidden counts are "
     "left out."},
    {"note.calibration",
     "Observed over expected: cancers found for each cancer predicted. Intercept: 0 when risks are "
     "right on average, above 0 when they are too low. Slope: 1 when risks are as spread as they "
     "should be, below 1 when they are too extreme. Intervals are Wald intervals (observed over "
     "expected: exact Poisson); with repeated exams or weights all are Wald intervals that count "
     "women, not exams. Risks of 0 and 1 are moved by 0.0000001 before logarithms."},
    {"note.calibration_error",
     "Brier score: mean squared error; scaled: 1 is perfect, 0 is the same risk for every exam. "
     "Calibration error (ECE): mean gap between observed and predicted over 10 groups, of equal "
     "width or of equal count. It is never 0 by chance: beside it stands what perfect risks would "
     "show with as many exams (mean of 200 simulations; not for weighted exams)."},
    {"note.reliability", "Groups in order of risk. Intervals after Wilson; they take exams as "
                         "independent."},
    {"note.decision",
     "An exam is flagged when its risk is at least the threshold. A threshold of 1 % means that "
     "one "
     "cancer found is worth 99 flagged exams without cancer. Net benefit: cancers found minus "
     "false "
     "flags at that price, per 1,000 exams. Avoided: flagged exams saved per 100 exams, against "
     "flagging all."},
    {"note.deciles",
     "Groups of equal count in order of score. Intervals: exact Poisson (observed over expected), "
     "Wilson (share); they take exams as independent."},
    {"note.decile_ratios",
     "Ratios of the share with cancer against the two middle groups together (the middle one of an "
     "odd number) and against the lowest, with intervals on the log scale."},
    {"note.subgroups",
     "One threshold for all groups, held fixed in the intervals. No AUC is "
     "given below 5 exams with or without cancer; an AUC has the decimals that its exams support, "
     "so that 1.0 can be a rounded one, and its interval is rounded outward. Groups of cancers "
     "(side, type, size, way of"
     " detection) are set against all exams without cancer; those are counted in every such row."
     " Observed / predicted and the slope of calibration hold for this set, not for a population"
     " with another share of cancers."},
    {"note.interaction",
     "Test that all groups of a variable with 5 exams of either class have one AUC: Wald's chi-"
     "square of the differences, covariance from the bootstrap over women; variables with a group "
     "whose AUC never changes there (an AUC of 1) cannot be tested so and are not listed. p after "
     "Holm allows "
     "for all rows of this table. Controls: exams without cancer per exam with cancer, fewest "
     "and most over the groups; where they are far apart the groups were not sampled alike, and "
     "an AUC compares unlike controls."},
    {"note.views", "Every image is scored alone against the label of its exam."},
    {"note.sensitivity", "The same exams under other rules, or a subset of them."},
    /* columns */
    {"col.stage", "Stage"},
    {"col.step", "Step"},
    {"col.unit", "Unit"},
    {"col.n_in", "In"},
    {"col.excluded", "Left out"},
    {"col.n_out", "Out"},
    {"col.reason", "Reason"},
    {"col.metric", "Measure"},
    {"col.value", "Value (95 % interval)"},
    {"col.method", "Method of the interval"},
    {"col.point", "Operating point"},
    {"col.threshold", "Threshold"},
    {"col.sens", "Sensitivity"},
    {"col.spec", "Specificity"},
    {"col.flagged", "Flagged"},
    {"col.tp", "TP"},
    {"col.fp", "FP"},
    {"col.fn", "FN"},
    {"col.tn", "TN"},
    {"col.ci_method", "Interval"},
    {"col.chosen", "Threshold chosen on"},
    {"col.capture", "Share of cancers"},
    {"col.flagged_pop", "Flagged in a population"},
    {"col.capture_pop", "Share of cancers there"},
    {"col.capture_min", "Lowest (ties)"},
    {"col.capture_max", "Highest (ties)"},
    {"col.prevalence", "Prevalence"},
    {"col.per1000", "Flagged"},
    {"col.found1000", "of them with cancer"},
    {"col.missed1000", "Cancers not flagged"},
    {"col.ppv", "PPV"},
    {"col.npv", "NPV"},
    {"col.nns", "Flagged per cancer"},
    {"col.year", "Until"},
    {"col.counted", "Cancers counted"},
    {"col.controls_mirai", "Controls (followed)"},
    {"col.mirai", "AUC, followed (95 % interval)"},
    {"col.controls_ipcw", "Controls (beyond)"},
    {"col.ipcw", "AUC, weighted (95 % interval)"},
    {"col.concordance", "C (95 % interval)"},
    {"col.concordant", "Pairs in order"},
    {"col.discordant", "Pairs in reverse"},
    {"col.tied", "Pairs tied"},
    {"col.lost", "Lost before"},
    {"col.observed", "Observed risk"},
    {"col.expected", "Predicted risk"},
    {"col.expected_n", "Expected cancers"},
    {"col.observed_pop", "Cancers per 10,000 exams of the population"},
    {"col.expected_pop", "Expected per 10,000 exams of the population"},
    {"col.oe", "Observed / predicted"},
    {"col.brier", "Brier score"},
    {"col.lr_pos", "LR+"},
    {"col.lr_neg", "LR\xE2\x88\x92"},
    {"col.risks", "Risks"},
    {"col.intercept", "Intercept"},
    {"col.slope", "Slope"},
    {"col.clipped", "Risks of 0 or 1"},
    {"col.brier_scaled", "Brier, scaled"},
    {"col.log_loss", "Log loss"},
    {"col.ece_width", "ECE, equal width"},
    {"col.ece_width_expected", "expected by chance"},
    {"col.ece_mass", "ECE, equal count"},
    {"col.ece_mass_expected", "expected by chance (equal count)"},
    {"col.mce", "Largest gap (equal width)"},
    {"col.ici", "ICI"},
    {"col.group", "Group"},
    {"col.least", "From risk"},
    {"col.most", "To risk"},
    {"col.mean_p", "Mean predicted risk"},
    {"col.rate", "Observed share"},
    {"col.share", "Share of all cancers"},
    {"col.rr_middle", "Ratio to the middle"},
    {"col.rr_lowest", "Ratio to the lowest"},
    {"col.pt", "Threshold risk"},
    {"col.nb", "Net benefit per 1,000"},
    {"col.nb_all", "of flagging all"},
    {"col.nb_std", "Net benefit / prevalence"},
    {"col.avoided", "Avoided per 100"},
    {"col.variable", "Variable"},
    {"col.level", "Group"},
    {"col.exams", "Exams"},
    {"col.patients", "Women"},
    {"col.cancers", "Cancers"},
    {"col.auc", "AUC (95 % interval)"},
    {"col.groups", "Groups"},
    {"col.chi2", "Chi-square"},
    {"col.controls_ratio", "Controls per cancer"},
    {"col.remark", "Remark"},
    {"col.view", "View"},
    {"col.images", "Images"},
    {"col.analysis", "Analysis"},
    {"col.member", "Network"},
    /* metrics, methods, reasons */
    {"metric.auc", "AUC (headline)"},
    {"metric.auc_wald", "AUC, interval on the plain scale"},
    {"metric.auc_logit", "AUC, interval on the logit scale"},
    {"metric.auc_bootstrap", "AUC, bootstrap interval"},
    {"metric.pauc_10", "Partial AUC up to 10 % false positives, standardised"},
    {"metric.ap", "Average precision (depends on the share of cancers here)"},
    {"metric.oe", "Observed over expected cancers"},
    {"metric.calibration_intercept", "Calibration intercept (in the large)"},
    {"metric.calibration_slope", "Calibration slope"},
    {"metric.brier", "Brier score"},
    {"metric.ici", "Integrated calibration index"},
    {"metric.brier_scaled", "Brier score, scaled"},
    {"metric.log_loss", "Log loss"},
    {"metric.ece_width", "Calibration error, groups of equal width"},
    {"metric.ece_width_expected", "the same, expected by chance"},
    {"metric.ece_mass", "Calibration error, groups of equal count"},
    {"metric.ece_mass_expected", "the same, expected by chance (equal count)"},
    {"metric.mce", "Largest gap of a group of equal width"},
    {"metric.cindex_uno", "Uno's C"},
    {"metric.cindex_harrell", "Harrell's C"},
    {"metric.cindex_mirai_compat", "C as Mirai's program prints it"},
    {"ci.jackknife", "jackknife"},
    {"ci.jackknife-clustered", "jackknife, women as clusters"},
    {"ci.delong", "DeLong"},
    {"ci.clustered", "Obuchowski, women as clusters"},
    {"ci.delong-logit", "DeLong, on the logit scale"},
    {"ci.clustered-logit", "Obuchowski, women as clusters, on the logit scale, Student's t"},
    {"ci.bootstrap", "bootstrap"},
    {"ci.bca", "bootstrap (BCa)"},
    {"ci.bootstrap-exact", "bootstrap; rates of 0 and 1: Clopper-Pearson, each woman once"},
    {"ci.bca-exact", "bootstrap (BCa); rates of 0 and 1: Clopper-Pearson, each woman once"},
    {"ci.exact-pairs", "Clopper-Pearson on pairs of women, each woman in one pair"},
    {"ci.wilson", "Wilson"},
    {"ci.wald", "Wald"},
    {"ci.robust", "Wald, women as clusters"},
    {"ci.poisson", "exact Poisson"},
    {"ci.none", "\xE2\x80\x93"},
    {"reason.ONE_CLASS", "only one class"},
    {"reason.DEGENERATE", "no variance: no interval"},
    {"reason.FEW_EVENTS", "<5 of a class: counts only"},
    {"reason.TOO_FEW_CLUSTERS", "too few women: no interval"},
    {"reason.NO_PAIRS", "no two exams can be compared"},
    {"reason.WEIGHT_INFINITE", "all had cancer in the end: a weight is infinite"},
    {"reason.BEYOND_FOLLOW_UP", "nobody was followed beyond that year"},
    {"reason.NO_FOLLOW_UP", "no exam with follow-up"},
    {"reason.SEPARATION", "the scores part the classes: no finite slope"},
    {"reason.CONSTANT", "all scores are equal: no slope"},
    {"reason.NOT_RISK", "scores are no probabilities"},
    {"reason.NOT_CONVERGED", "no solution was found"},
    {"reason.INVERTED", "higher scores went with fewer cancers"},
    {"reason.EMPTY", "no exam"},
    {"reason.RANKS", "ranks are no risks"},
    {"reason.none", ""},
    {"flag.none", ""},
    {"flag.UNSTABLE", "unstable: <20 of a class"},
    {"flag.FEW_EVENTS", "<5 of a class"},
    {"flag.REWEIGHTED", "computed for a stated prevalence"},
    {"flag.CLIPPED", "interval cut at 0 or 1"},
    {"point.spec", "specificity \xE2\x89\xA5 {target} %"},
    {"point.sens", "sensitivity \xE2\x89\xA5 {target} %"},
    {"point.top", "top {target} % of exams"},
    {"point.top_population", "top {target} % of a population"},
    {"chosen.same", "these exams"},
    {"chosen.val", "other women"},
    {"bootstrap.note",
     "Bootstrap: {replicates} replicates, women drawn with replacement, women with "
     "and without cancer apart, seed {seed}, {redrawn} draws repeated; {kind} intervals."},
    {"bootstrap.percentile", "percentile"},
    {"bootstrap.bca", "BCa (corrected for bias and skewness)"},
    {"bootstrap.none", "The bootstrap was switched off: intervals that need it are missing."},
    {"ties.note", "Weights of the exams are used in every rate and in the AUC."},
    {"subgroup.whole", "all exams, under another name"},
    {"controls.shared", "the same for all groups"},
    {"controls.range", "{low} to {high}"},
    {"subgroups.absent", "Not recorded in these tables: {names}."},
    {"subgroups.no_sens",
     "Sensitivity is not shown by {names}: some group has fewer than {minimum} women with cancer "
     "on one side of the threshold, and would tell of them."},
    {"subgroups.no_spec",
     "Specificity is not shown by {names}: some group has fewer than {minimum} women without "
     "cancer on one side of the threshold, and would tell of them."},
    {"level.range", "{first} to {last}"},
    {"level.or", "{level} or {other}"},
    {"level.others", "other groups together ({names})"},
    {"var.year", "Year of the exam"},
    {"var.round", "Screening round"},
    {"var.prior_surgery", "Earlier surgery"},
    {"var.implant", "Implant"},
    {"var.quality", "Image quality"},
    {"var.cancer_side", "Side of the cancer"},
    {"var.cancer_type", "Type of the cancer"},
    {"var.cancer_size", "Size of the cancer"},
    {"var.mode", "Way of detection"},
    {"var.age", "Age"},
    {"var.vendor", "Manufacturer"},
    {"var.device_model", "Device model"},
    {"var.site", "Site"},
    {"var.density", "Breast density"},
    {"var.views", "Views"},
    {"subset.four_views", "only exams with all four views"},
    {"subset.first_exam", "first exam of each woman"},
    {"subset.last_exam", "last exam of each woman"},
    {"subset.rule_mean_images", "exam score: mean of images"},
    {"subset.rule_mean_views", "exam score: mean of views"},
    {"subset.rule_max_breast", "exam score: higher breast"},
    {"subset.rule_max_images", "exam score: highest image"},
    {"subset.rule_mean_logit", "exam score: mean of logits"},
    {"rule.mean_images", "mean of the image scores"},
    {"rule.mean_views", "mean inside each view, then over the views"},
    {"rule.max_breast", "mean inside each breast, then the higher breast"},
    {"rule.max_images", "highest image score"},
    {"rule.mean_logit", "mean of the logits of the image scores"},
};

const report_words words_tables = {rows, (int)COUNT_OF(rows)};
