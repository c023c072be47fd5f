/* The words of the report, in English, and a translation of them that may stand in front. */
#include "eval/report_text.h"
#include "core/mem.h"

static const report_word entries[] = {
    /* frame */
    {"lang", "en"},
    {"banner",
     "Research use only. Not a medical device. No decision about a patient may rest on this "
     "report or on the scores in it."},
    {"subtitle", "Exam-level evaluation of {model} on {exams} exams of {patients} women (split: "
                 "{split})"},
    {"footer", "Made by {tool} ({git}). Data {data}."},
    {"contents", "Contents"},
    {"page", "Page {n}"},
    {"numbers", "Show the numbers"},
    {"skip", "To the report"},
    {"tools.dark", "Dark"},
    {"tools.open", "Open all details"},
    {"tools.close", "Close all details"},
    {"not_recorded", "not recorded"},
    {"yes", "yes"},
    {"no", "no"},
    /* sections */
    {"section.summary", "Summary"},
    {"section.data", "Data and flow"},
    {"section.performance", "How well the scores separate"},
    {"section.operating", "Operating points"},
    {"section.time", "Time to diagnosis"},
    {"section.calibration", "Do the scores tell the risk?"},
    {"section.decision", "Would acting on the scores do more good than harm?"},
    {"section.deciles", "Risk groups"},
    {"section.subgroups", "Subgroups and sensitivity analyses"},
    {"section.comparators", "What the model has to beat"},
    {"section.compare", "Beside other models"},
    {"section.robustness", "Missing patches and views"},
    {"section.images", "Images"},
    {"section.model", "Model card"},
    {"section.limits", "Limits of use"},
    {"section.checklist", "Reporting guidelines"},
    {"section.reproduce", "Provenance"},
    /* summary */
    {"headline.caption", "exam-level AUC (area under the ROC curve)"},
    {"headline.interval", "95 % confidence interval {lo} to {hi}"},
    {"headline.no_interval", "no confidence interval: {reason}"},
    {"headline.undefined", "AUC not given: {reason}"},
    {"headline.method", "{method}; {exams} exams, {patients} women, {cases} exams with cancer"},
    {"sum.pairs",
     "If one woman who was found to have cancer and one who was not are picked at random, "
     "the model gives the higher score to the woman with cancer {auc} times out of 100 "
     "(95 % confidence interval: {lo} to {hi}). Guessing would be right 50 times."},
    {"sum.pairs_bare",
     "If one woman who was found to have cancer and one who was not are picked at "
     "random, the model gives the higher score to the woman with cancer {auc} times "
     "out of 100. Guessing would be right 50 times."},
    {"sum.chance", "The interval includes 50: these data do not show that the model is better than "
                   "guessing."},
    {"sum.size",
     "This was measured on {exams} exams of {patients} women; {cases} of the exams belong "
     "to women with cancer as defined below."},
    {"sum.flag", "To flag the {top} % of exams with the highest scores, the threshold here is "
                 "{threshold}; {capture} of 100 cancers would be among them."},
    {"sum.weakest",
     "Among subgroups the model separates least well for {variable}: {level}, with an "
     "AUC of {auc} ({lo} to {hi}). {small} of {groups} groups are too small to "
     "judge."},
    {"sum.thousand",
     "Of 1,000 women in a population where {prevalence} % have cancer, the model would flag about "
     "{flagged}, at the threshold that keeps {spec} % specificity {where}. Of these women {found} "
     "have cancer and {false} have not; {missed} women with cancer would not be flagged."},
    {"where.same", "on these exams"},
    {"where.val", "on the validation exams"},
    {"sum.excluded",
     "{excluded} of {files} {unit} at the start of the books were left out; the most frequent "
     "reasons of all stages: {reasons}. The flow diagram counts every one."},
    {"sum.excluded_none", "Nothing was left out of {files} {unit} at the start of the books."},
    {"sum.use",
     "This is a research result. It may not be used for decisions about patients, and it does not "
     "tell whether using the model helps women."},
    {"table.thousand", "A thousand women"},
    {"col.result", "Result"},
    {"col.women", "Women"},
    {"col.controls", "Without cancer"},
    {"thousand.found", "flagged, with cancer"},
    {"thousand.false", "flagged, without cancer"},
    {"thousand.missed", "not flagged, with cancer"},
    {"thousand.rest", "not flagged, without cancer"},
    {"fig.thousand", "A thousand women"},
    {"figdesc.thousand",
     "A thousand marks, one for each woman, rounded to whole women: diamonds are flagged with "
     "cancer, filled squares flagged without, open squares cancers that are not flagged, dots all "
     "others."},
    {"table.participants", "Participants by outcome"},
    {"note.participants", "Exams with their share of the column; counts of 1 to 4 are shown as <5. "
                          "Median with quartiles."},
    {"participants.age", "Age in years"},
    {"participants.years", "Years to diagnosis or last contact"},
    {"participants.median", "median"},
    {"col.group_all", "All"},
    {"col.group_cases", "With cancer"},
    {"col.group_controls", "Without cancer"},
    {"col.group_val", "Exams for thresholds"},
    {"table.crosstab", "Result of the model and reference standard"},
    {"note.crosstab",
     "Exams; flagged at a score of at least {threshold}, chosen on {chosen} for 90 % specificity. "
     "Counts of 1 to 4 are shown as <5."},
    {"crosstab.flagged", "flagged"},
    {"crosstab.not_flagged", "not flagged"},
    {"flow.result", "{exams} exams {result}"},
    {"flow.result_body", "{cases} with cancer, {controls} without"},
    /* data */
    {"data.label", "Label (y = 1)"},
    {"data.follow_up", "How negatives were confirmed"},
    {"data.split", "Evaluated split"},
    {"data.rule", "From images to exam"},
    {"data.exams", "Exams"},
    {"data.patients", "Women"},
    {"data.cases", "Exams with cancer"},
    {"data.images", "Images"},
    {"data.shared", "Women shared with the set that thresholds came from"},
    {"data.share", "Share of exams with cancer (in this set, not in a population)"},
    /* figures */
    {"fig.roc", "ROC curve"},
    {"fig.scores", "Distribution of exam scores"},
    {"fig.robustness", "AUC when patches are missing"},
    {"figdesc.robustness",
     "AUC by the share of image patches that the network was given, for each way of leaving "
     "patches out. Points are means over draws, bars one standard deviation to both sides. The "
     "dashed line is guessing."},
    {"fig.flow", "Flow diagram: from files to analysed exams"},
    {"fig.calibration", "Calibration: observed share with cancer by predicted risk"},
    {"fig.decision", "Decision curve"},
    {"fig.deciles", "Share with cancer by risk group"},
    {"fig.forest", "AUC by subgroup"},
    {"fig.years", "AUC by year after the exam"},
    {"figdesc.years",
     "AUC with 95 % confidence interval for cancers found until each year after the exam. Blue: "
     "all cancers; vermilion, dashed intervals: without those that the exam itself found. "
     "Squares: controls followed at least until that year; diamonds: weighted for women lost "
     "from sight. The dashed line is chance. The table below holds the same numbers."},
    {"figdesc.calibration",
     "Observed share of exams with cancer over the predicted risk, for groups of equal count and "
     "as a "
     "smooth curve. Perfect risks lie on the dashed diagonal. Observed over expected cancers {oe}, "
     "calibration slope {slope}. Below: the distribution of the scores with and without cancer."},
    {"figdesc.decision", "Net benefit per 1,000 exams over the risk at which a woman would be "
                         "called back, for flagging "
                         "by the model, for flagging every exam and for flagging none (zero). The "
                         "table below holds the "
                         "numbers."},
    {"figdesc.deciles",
     "Share of exams with cancer in groups of equal count, lowest scores first, with 95 % "
     "intervals; "
     "diamonds mark the mean predicted risk. The table below holds the numbers."},
    {"figdesc.roc",
     "Curve of sensitivity against false-positive rate over all thresholds. The area "
     "under it is {auc} (95 % confidence interval {lo} to {hi}) on {exams} exams, {cases} "
     "with cancer. The dashed diagonal is chance. Diamonds mark the operating points of "
     "the table."},
    {"figdesc.scores",
     "Two histograms of the exam score, back to back: exams with cancer upwards, "
     "exams without downwards, each as a share of its group. {exams} exams, {cases} "
     "with cancer."},
    {"figdesc.flow",
     "Boxes from top to bottom count what was kept at each stage, boxes at the side "
     "count what was left out and why. {exams} exams were analysed, {cases} with cancer. "
     "The table below holds the same numbers."},
    {"figdesc.forest",
     "AUC with 95 % confidence interval for every subgroup, beside the AUC of all "
     "exams, {auc} ({lo} to {hi}). The dashed line is chance. The table below holds "
     "the same numbers."},
    {"table.figure", "Numbers of a figure"},
    {"table.figure_of", "Numbers of the figure: {figure}"},
    {"col.curve", "Curve"},
    {"col.x", "x"},
    {"col.y", "y"},
    {"col.lo", "95 % from"},
    {"col.hi", "95 % to"},
    {"curve.roc", "ROC (x false-positive rate, y sensitivity)"},
    {"curve.roc_band", "pointwise band (x false-positive rate, y sensitivity)"},
    {"curve.reliability", "groups (x mean risk, y observed share)"},
    {"curve.reliability_recalibrated", "groups after recalibration"},
    {"curve.reliability_shifted", "groups at the prevalence"},
    {"curve.smooth", "smooth curve (x risk, y observed share)"},
    {"curve.smooth_recalibrated", "smooth curve after recalibration"},
    {"curve.smooth_shifted", "smooth curve at the prevalence"},
    {"curve.risk_case",
     "predicted risks with cancer (x lower edge, y share for each width of a bin)"},
    {"curve.risk_control",
     "predicted risks without cancer (x lower edge, y share for each width of a bin)"},
    {"curve.decision", "model (x threshold risk, y net benefit per exam)"},
    {"curve.decision_recalibrated",
     "after recalibration (x threshold risk, y net benefit per exam)"},
    {"curve.decision_shifted", "at the prevalence (x threshold risk, y net benefit per exam)"},
    {"curve.decision_all", "flag every exam (x threshold risk, y net benefit per exam)"},
    {"curve.deciles", "observed (x group, y share with cancer)"},
    {"curve.deciles_expected", "predicted (x group, y mean risk)"},
    {"curve.hist_case", "with cancer (x lower edge of the score, y share for each width of a bin)"},
    {"curve.hist_control",
     "without cancer (x lower edge of the score, y share for each width of a bin)"},
    {"roc.model", "model"},
    {"roc.band", "95 % band, pointwise"},
    {"roc.points", "operating points"},
    {"roc.readers", "radiologists"},
    {"roc.chance", "chance"},
    {"axis.fpr", "1 \xE2\x88\x92 specificity (false-positive rate)"},
    {"axis.tpr", "Sensitivity"},
    {"axis.years", "Years after the exam"},
    {"axis.auc", "AUC of cancers found until then"},
    {"axis.score", "Exam score"},
    {"axis.risk", "Predicted risk (%)"},
    {"axis.observed", "Observed share with cancer (%)"},
    {"axis.threshold_risk", "Threshold risk (%)"},
    {"axis.net_benefit", "Net benefit per 1,000 exams"},
    {"axis.group", "Risk group (1 = lowest scores)"},
    {"axis.share", "Share of the group"},
    {"years.mirai", "all cancers, controls followed until then"},
    {"years.ipcw", "all cancers, weighted for women lost from sight"},
    {"years.mirai_later", "later cancers, controls followed until then"},
    {"years.ipcw_later", "later cancers, weighted for women lost from sight"},
    {"scores.case", "with cancer"},
    {"scores.control", "without cancer"},
    {"forest.group", "Group"},
    {"forest.sizes", "Exams / cancers"},
    {"forest.auc", "AUC (95 % interval)"},
    {"forest.all", "All exams"},
    {"forest.axis", "AUC"},
    /* flow */
    {"flow.repeated", "row repeats another one"},
    {"flow.other_split", "belongs to another split"},
    {"flow.incomplete", "exam has not exactly four images (eval.require)"},
    {"flow.unlabelled", "label unknown"},
    {"flow.excluded", "Left out: {n}"},
    {"flow.analysed", "{exams} exams analysed"},
    {"flow.analysed_body", "{patients} women; {cases} exams with cancer, {controls} without"},
    {"stage.none", "at the start"},
    {"stage.scan", "found in the archive"},
    {"stage.prepare", "in the preparation of images"},
    {"stage.split", "in the cohort"},
    {"stage.labels", "in the label tables"},
    {"stage.train", "in training"},
    {"stage.predict", "in prediction"},
    {"stage.report", "in this evaluation"},
    /* tables */
    {"table.flow", "Books"},
    {"table.metrics", "Measures of separation"},
    {"table.operating", "Sensitivity and specificity at chosen thresholds"},
    {"table.threshold_mix", "Whom the thresholds come from"},
    {"note.threshold_mix",
     "Exams by manufacturer and site in the set that the thresholds were chosen on, and in the "
     "evaluated one. Where they differ, a threshold may flag far more or far fewer women than it "
     "did there. Groups of 1 to 4 exams are hidden, and one more where it could be worked out."},
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
     "one is chosen again in every bootstrap replicate. What would tell of 1 to 4 exams on one "
     "side "
     "of a threshold is hidden."},
    {"note.capture",
     "When exams tie at the border, the lowest and highest possible share are given."},
    {"note.found",
     "Exams, counted from the day of the exam. Limits: eval.screen_days and eval.interval_days."},
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
     "Computed from sensitivity and specificity above for stated prevalences; the "
     "share of cancers in this data set counts only where it is taken as a population (last row of "
     "a "
     "point). Per 1,000 women."},
    {"note.calibration",
     "Observed over expected: cancers found for each cancer predicted. Intercept: 0 when risks are "
     "right on average, above 0 when they are too low. Slope: 1 when risks are as spread as they "
     "should be, below 1 when they are too extreme. Intervals are Wald intervals (observed over "
     "expected: exact Poisson); with repeated exams or weights they count women, not exams. Risks "
     "of 0 and 1 are moved by 0.0000001 before logarithms."},
    {"note.calibration_error",
     "Brier score: mean squared error; scaled: 1 is perfect, 0 is the same risk for every exam. "
     "Calibration error (ECE): mean gap between observed and predicted over 10 groups, of equal "
     "width or of equal count. It is never 0 by chance: beside it stands what perfect risks would "
     "show with as many exams (mean of 200 simulations; not for weighted exams)."},
    {"note.reliability", "Groups in order of risk. Intervals after Wilson; they take exams as "
                         "independent. Groups with 1 "
                         "to 4 exams with or without cancer are hidden."},
    {"note.decision",
     "An exam is flagged when its risk is at least the threshold. A threshold of 1 % means that "
     "one "
     "cancer found is worth 99 flagged exams without cancer. Net benefit: cancers found minus "
     "false "
     "flags at that price, per 1,000 exams. Avoided: flagged exams saved per 100 exams, against "
     "flagging all. Thresholds that flag 1 to 4 exams with or without cancer are hidden."},
    {"note.deciles",
     "Groups of equal count in order of score. Intervals: exact Poisson (observed over expected), "
     "Wilson (share); they take exams as independent. Groups with 1 to 4 exams with or without "
     "cancer are hidden, and one more where it could be worked out."},
    {"note.decile_ratios",
     "Ratios of the share with cancer against the two middle groups together (the middle one of an "
     "odd number) and against the lowest, with intervals on the log scale."},
    {"note.subgroups",
     "One threshold for all groups, held fixed in the intervals. Counts of 1 to 4 are shown as "
     "<5; where one could be worked out from the total, the next smallest is hidden too. No AUC "
     "is given below 5 exams with or without cancer. Groups of cancers (side, type, size, way of"
     " detection) are set against all exams without cancer; those are counted in every such row."
     " Observed / predicted and the slope of calibration hold for this set, not for a population"
     " with another share of cancers."},
    {"note.interaction",
     "Test that all groups of a variable with 5 exams of either class have one AUC: Wald's chi-"
     "square of the differences, covariance from the bootstrap over women. p after Holm allows "
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
    {"col.mce", "Largest gap"},
    {"col.group", "Group"},
    {"col.least", "From score"},
    {"col.most", "To score"},
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
    {"chosen.same", "these exams"},
    {"chosen.val", "other women"},
    {"bootstrap.note",
     "Bootstrap: {replicates} replicates, women drawn with replacement, women with "
     "and without cancer apart, seed {seed}, {redrawn} draws repeated; percentile "
     "intervals."},
    {"bootstrap.none", "The bootstrap was switched off: intervals that need it are missing."},
    {"ties.note", "Weights of the exams are used in every rate and in the AUC."},
    {"controls.shared", "the same for all groups"},
    {"controls.range", "{low} to {high}"},
    {"subgroups.absent", "Not recorded in these tables: {names}."},
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
    /* time to diagnosis */
    {"time.intro",
     "A cancer that the exam itself shows is detected; one that comes years later is predicted. "
     "Separation is therefore given twice: for all cancers, and without those found by the exam."},
    {"time.tau", "Uno's C looks at cancers within {tau} years."},
    {"time.year", "{year} y"},
    {"time.all", "all"},
    {"time.later", "without those found by the exam"},
    {"time.bin.screen", "found by the exam (within {screen} days)"},
    {"time.bin.interval", "between rounds (within {interval} days)"},
    {"time.bin.later", "later (after {interval} days)"},
    {"time.bin.none", "no cancer while followed"},
    {"time.bin.unknown", "time or outcome unknown"},
    /* comparators and other models */
    {"table.comparators", "Simple scores and earlier models on the same exams"},
    {"note.comparators",
     "Difference: this model minus the comparator, on the exams that have both, with the interval "
     "over women as clusters. Detectable: the smallest true difference that these exams would show "
     "with 80 % power."},
    {"table.readers", "The radiologists' decision to recall"},
    {"note.readers",
     "The model's threshold is the one whose specificity on these exams is at least "
     "that of the radiologists."},
    {"readers.recall", "radiologists: recalled"},
    {"readers.model", "model at the radiologists' specificity"},
    {"readers.none",
     "The radiologists' recall decision is not in the table (a column recall with yes or no): the "
     "model is not set beside it."},
    {"comparator.chance", "chance"},
    {"comparator.age", "age alone"},
    {"comparator.density", "breast density alone"},
    {"comparator.previous", "the previous release"},
    {"comparator.whole", "the same model with all patches"},
    {"comparator.no_column", "not in the table"},
    {"comparator.by_definition", "by definition"},
    {"comparator.not_given_previous", "not given (--compare previous=PRED)"},
    {"comparator.not_given_whole", "not given (--compare whole=PRED)"},
    {"compare.this", "this model"},
    {"compare.intro",
     "Every model has scored the same exams of the same women, so each exam is compared with "
     "itself: small differences can be seen that two separate studies would miss. Differences are "
     "this model minus the other one."},
    {"table.compare", "AUC beside other models"},
    {"note.compare",
     "Difference with the clustered interval (Obuchowski) and, beside it, the bootstrap's over the "
     "same drawn women. Non-inferior: the lower end of the clustered interval is above -{margin}, "
     "a "
     "margin set before the run. Holm: p-values adjusted for the number of models. Detectable: the "
     "smallest true difference that these exams would show with 80 % power."},
    {"table.compare_points", "Cancers found at the same specificity"},
    {"note.compare_points",
     "Each model at its own threshold for the specificity, chosen on these exams: exploratory. "
     "Only "
     "here, only there: cancers that one model flags and the other does not."},
    {"table.compare_subgroups", "Subgroups beside other models"},
    {"note.compare_subgroups", "Holm: adjusted over all groups of one pair of models."},
    {"table.compare_calibration", "Calibration beside other models"},
    {"note.compare_calibration",
     "Slope 1 and intercept 0 are perfect, observed / predicted 1. Intervals of slope and "
     "intercept "
     "are Wald's, over women as clusters where they have several exams; the one of observed / "
     "predicted is Poisson's and ignores repeated exams. A recalibrated table of the same model "
     "stands here as another model: before and after."},
    {"col.model", "Model"},
    {"col.difference", "Difference (95 % interval)"},
    {"col.boot_difference", "Difference, bootstrap"},
    {"col.p", "p"},
    {"col.p_holm", "p (Holm)"},
    {"col.verdict", "Verdict"},
    {"col.correlation", "Correlation"},
    {"col.detectable", "Detectable"},
    {"col.sens_this", "Sensitivity here"},
    {"col.sens_other", "Sensitivity there"},
    {"col.sens_diff", "Difference (95 % interval)"},
    {"col.only_this", "Only here"},
    {"col.only_other", "Only there"},
    {"col.test", "Test"},
    {"col.auc_this", "AUC of this model"},
    {"col.auc_other", "AUC of the other"},
    {"col.comparator", "Comparator"},
    {"col.reader", "Who flags"},
    {"verdict.none", ""},
    {"verdict.SUPERIOR", "better"},
    {"verdict.NON_INFERIOR", "not inferior"},
    {"verdict.INFERIOR", "inferior"},
    {"verdict.INCONCLUSIVE", "inconclusive"},
    {"test.none", ""},
    {"test.mcnemar-exact", "McNemar, exact"},
    {"test.mcnemar-chi2", "McNemar"},
    {"test.clustered", "women as clusters"},
    {"metric.auc_difference", "Difference of the AUC"},
    {"hidden", "hidden"},
    {"tie_split", "equal scores on both sides of the cut"},
    {"risks.given", "as predicted"},
    {"risks.platt", "recalibrated (Platt)"},
    {"risks.isotonic", "recalibrated (isotonic)"},
    {"risks.temperature", "recalibrated (temperature)"},
    {"risks.shifted", "moved to the prevalence"},
    {"population.as_it_is",
     "The exams are taken as a population: {share} % of them belong to women with cancer."},
    {"population.weighted",
     "Exams count with the weights of the table; weighted, {share} % of them belong to women with "
     "cancer."},
    {"population.enriched",
     "{share} % of these exams belong to women with cancer: exams with cancer were sampled more "
     "often than exams without. Calibration, net benefit and risk groups are therefore computed as "
     "if {prevalence} % of exams had cancer (eval.population). This is right when exams of both "
     "kinds "
     "were drawn at random; it says nothing of a population with another share."},
    {"recalibration.none",
     "No recalibration: it is learnt on the exams of --val, which were not given."},
    {"recalibration.done",
     "Recalibration was learnt on {n} validation exams of other women (data {hash}) and applied "
     "unchanged."},
    {"recalibration.failed",
     "No recalibration could be learnt on the {n} validation exams: {reason}."},
    {"calibration.groups", "groups of equal count, with 95 % intervals"},
    {"calibration.smooth", "smooth curve (local linear), with its band"},
    {"calibration.line", "perfect agreement"},
    {"calibration.strip", "distribution: above with, below without cancer"},
    {"calibration.after", "after recalibration"},
    {"calibration.shifted", "moved to the prevalence"},
    {"decision.intro",
     "Computed for a population in which {prevalence} % of exams have cancer. A model is worth "
     "using "
     "at a threshold only if its curve lies above both flagging every exam and flagging none."},
    {"decision.model", "flag by the model, with 95 % band"},
    {"decision.after", "after recalibration"},
    {"decision.shifted", "moved to the prevalence"},
    {"decision.all", "flag every exam"},
    {"decision.none", "flag none"},
    {"decision.few", "1 to 4 exams: hidden"},
    {"deciles.seen", "observed, with 95 % interval"},
    {"deciles.expected", "mean predicted risk"},
    {"deciles.enriched",
     "Shares and expected numbers are computed as if {prevalence} % of exams had cancer (risks: "
     "{risks}); groups are of equal count in this set, not in a population."},
    {"deciles.trend",
     "Trend of the share over the groups, without weights (Cochran-Armitage): z = {z}, p {p}."},
    {"members.mean", "mean of the single networks"},
    {"members.sd", "standard deviation over networks"},
    {"members.min", "lowest"},
    {"members.max", "highest"},
    {"members.note",
     "The headline joins {n} networks, exam by exam ({rule}). The standard deviation tells how far "
     "trainings of one recipe differ; the intervals of the single networks tell how far other "
     "women "
     "might. Neither stands for the other; the interval of the mean draws women and networks "
     "together (bootstrap)."},
    {"ensemble.mean_prob", "all networks: mean of the scores"},
    {"ensemble.mean_logit", "all networks: mean of the logits"},
    {"ensemble.mean_rank", "all networks: mean of the ranks"},
    /* robustness */
    {"robust.says",
     "{exams} of the evaluated exams were scored again with a part of each image, or a whole view, "
     "taken away. A model that reads tissue should lose little when background goes and more when "
     "breast goes. These scores are a study of stability and never for reading."},
    {"robust.first", "This is of the first network alone; the other sections average several."},
    {"robust.threshold", "Decisions that change: exams that change sides of the threshold "
                         "{threshold}."},
    {"axis.keep", "patches that stay (%)"},
    {"axis.exam_auc", "exam-level AUC"},
    {"mask.none", "nothing missing"},
    {"mask.random", "random"},
    {"mask.block", "one block"},
    {"mask.breast", "breast only"},
    {"mask.background", "background only"},
    {"mask.border", "border strips"},
    {"mask.view_RCC", "the view RCC"},
    {"mask.view_LCC", "the view LCC"},
    {"mask.view_RMLO", "the view RMLO"},
    {"mask.view_LMLO", "the view LMLO"},
    {"table.robustness", "Scores with patches and views missing"},
    {"note.robustness",
     "AUC and its standard deviation over draws of patches (no interval over women); the AUC of "
     "the "
     "same exams with nothing missing; mean change of the score; rank correlation with the whole "
     "score; share of exams whose decision changes. Patches and time are of one exam, the time as "
     "measured once."},
    {"table.robust_summary", "How much can be missing"},
    {"note.robust_summary",
     "Area: mean AUC over the shares that were tried. Knee: the smallest share that loses at most "
     "0.01 of AUC."},
    {"col.mask", "Missing"},
    {"col.keep", "Stays"},
    {"col.robust_auc", "AUC"},
    {"col.robust_sd", "SD"},
    {"col.auc_full", "AUC, whole"},
    {"col.mean_change", "Change"},
    {"col.spearman", "Rank corr."},
    {"col.crossed", "Decisions"},
    {"col.tokens", "Patches"},
    {"col.ms", "ms"},
    {"col.draws", "Draws"},
    {"col.area", "Area"},
    {"col.knee", "Knee"},
    /* images */
    {"images.note",
     "Chosen by rule, not by eye: highest and lowest scores, the clearest misses and false alarms, "
     "and exams drawn at random. The pictures are what the model was given, at one scale: right "
     "breast on the left side, chest walls in the middle. Look at them first; the maps, where "
     "there "
     "are some, are off until they are switched on, and none is a map of suspicion."},
    {"images.left_out", "{n} more chosen exams are not shown, to keep this file below 25 MB or "
                        "because eval.pages asks for fewer."},
    {"images.head", "Exam {n} of {of}: {exam}"},
    {"images.why.highest", "Shown because its score is among the highest."},
    {"images.why.missed", "Shown because cancer was found in the time that the label looks at and "
                          "the score is in the lower half: a miss of the model."},
    {"images.why.false_alarm", "Shown because no cancer was found in the time that the label "
                               "looks at and the score is in the upper half: a false alarm of the "
                               "model."},
    {"images.why.lowest", "Shown because its score is among the lowest."},
    {"images.why.random", "Shown because it was drawn at random."},
    {"images.rank", "The score is {score}: higher than that of {rank} of 100 exams in this set."},
    {"images.risk", "Read as a probability, the score says about {risk} in 1,000. It is not a "
                    "woman's risk unless calibration has been shown for women like her."},
    {"images.risk_recalibrated",
     "As a risk: about {risk} in 1,000 exams like this one, recalibrated on the validation exams, "
     "where {prevalence} % of exams have cancer."},
    {"images.risk_shifted",
     "As a risk: about {risk} in 1,000 exams like this one where {prevalence} % of exams have "
     "cancer. It holds only as far as the section on calibration shows agreement."},
    {"images.above", "It lies above the threshold {threshold}, which keeps {spec} % specificity "
                     "{where}: the exam would be flagged."},
    {"images.below", "It lies below the threshold {threshold}, which keeps {spec} % specificity "
                     "{where}: the exam would not be flagged."},
    {"images.of_flagged", "Of 100 exams of this set that would be flagged, about {share} belong to "
                          "women with cancer."},
    {"images.of_unflagged", "Of 100 exams of this set that would not be flagged, about {share} "
                            "belong to women with cancer all the same."},
    {"images.prior", "Her exam {years} years before had the score {score}; the change is "
                     "{change}."},
    {"images.absent", "Not acquired or not usable: {views}. The score rests on the other views."},
    {"images.cancer_after", "What became known: cancer, {years} years after the exam."},
    {"images.cancer_later", "What became known: no cancer in the time that the label looks at; "
                            "cancer {years} years after the exam."},
    {"images.none_after", "What became known: no cancer in the {years} years of follow-up."},
    {"images.cancer", "What became known: cancer."},
    {"images.none", "What became known: no cancer."},
    {"images.not_evaluated", "This exam is not among the evaluated ones, so it has no score and "
                             "no rank here."},
    {"images.missing", "not acquired"},
    {"images.score", "score {score}"},
    {"images.alt", "{view} view of exam {exam}"},
    {"images.viewer", "Pictures"},
    {"images.layers", "Lay over the pictures"},
    {"images.plain", "nothing"},
    {"images.no_layers", "No map was made for this exam (predict --maps)."},
    {"images.no_suspicion", "This shows how the network read the image. It is not a map of "
                            "suspicion or of the probability of a lesion."},
    {"images.no_scale", "The size of a pixel is not known for all views of this exam: they are not "
                        "of one scale."},
    {"images.width", "Window"},
    {"images.level", "Level"},
    {"images.opacity", "Opacity of the map"},
    {"images.reset", "Reset"},
    {"images.bar", "5 cm"},
    /* model card */
    {"card.name", "Name"},
    {"card.image_h", "Image height in pixels"},
    {"card.image_w", "Image width in pixels"},
    {"card.patch", "Patch size in pixels"},
    {"card.depth", "Blocks"},
    {"card.keep_rate", "Patches kept in training"},
    {"card.keep_schedule", "Schedule of that share"},
    {"card.predict_keep_rate", "Patches kept when scoring (stability study)"},
    {"card.predict_keep_seed", "Seed of their draw"},
    {"card.params", "Parameters"},
    {"card.macs", "Multiply-adds per image"},
    {"card.pretrained", "Pretraining"},
    {"card.epochs", "Epochs"},
    {"card.optimizer", "Optimiser"},
    {"card.lr", "Learning rate"},
    {"card.batch_size", "Batch size"},
    {"card.steps", "Optimiser steps"},
    {"card.members", "Networks in the ensemble"},
    {"card.val_auc_exam", "Exam AUC on the validation split"},
    {"card.seed", "Training seed"},
    {"card.horizon_years", "Horizon of the label in years"},
    {"card.training_images", "Training images"},
    {"card.training_patients", "Training women"},
    {"card.hardware", "Hardware"},
    /* guidelines */
    {"checklist.intro",
     "Of {n} items of four reporting guidelines this report answers {here} from what the program "
     "has recorded; the others need the authors. Topics are in our own words; the guidelines hold "
     "the binding ones."},
    {"checklist.author", "needs author"},
    {"table.checklist", "Reporting guideline"},
    {"col.item", "Item"},
    {"col.topic", "Topic"},
    {"col.where", "Answered in"},
    /* limits */
    {"limit.research",
     "Research use only: the model is not cleared as a medical device and must not be "
     "used for decisions about patients."},
    {"limit.first_look",
     "This is the first look at these test exams that this folder's final.log knows of; looks "
     "elsewhere are not counted. Test exams that a choice rests on are no test any more."},
    {"limit.looks",
     "This is look number {n} at test exams in this folder (final.log; the earlier ones were at "
     "{models} different models). Every look that led to a choice makes these numbers too good."},
    {"limit.dropped",
     "Patches were left out at random when these exams were scored: a study of stability. Tissue "
     "was not looked at; the scores are not for reading."},
    {"limit.train",
     "These are training exams: the model has seen them, the numbers say nothing about "
     "new women."},
    {"limit.not_test",
     "These exams are of the split '{split}', not of a test split: choices made on "
     "them make the numbers too good."},
    {"limit.split_unknown",
     "The table does not say which split the exams belong to. If the model or "
     "its settings were chosen on them, the numbers are too good."},
    {"limit.few", "Only {cases} exams with cancer: intervals are wide and subgroups are weak."},
    {"limit.enriched",
     "{share} % of the exams belong to women with cancer, more than in screening "
     "(about 0.5 %). AUC, sensitivity and specificity carry over if controls were "
     "sampled at random; predictive values, calibration and net benefit do not and are "
     "computed for stated prevalences."},
    {"limit.no_time",
     "The table gives no times to diagnosis (columns T and E): the numbers do not part cancers "
     "that the exam shows from those that come later."},
    {"limit.one_vendor",
     "All exams come from one manufacturer: nothing is known about others. Thresholds "
     "have been seen to fail on other manufacturers' images."},
    {"limit.no_vendor",
     "The manufacturer is not recorded, so no difference between machines can be "
     "seen."},
    {"limit.no_patient",
     "Women are not identified in the table: every exam counts as a woman of her "
     "own, and intervals are too narrow if women have several exams."},
    {"limit.no_label",
     "The definition of the label (reference standard, horizon) is not recorded."},
    {"limit.no_follow_up", "How exams without cancer were confirmed (follow-up) is not recorded."},
    {"limit.exploratory", "Thresholds were chosen on the evaluated exams themselves: the operating "
                          "points are exploratory."},
    {"limit.calibration",
     "Calibration, net benefit and risk groups are not given: fewer than 5 exams of a class."},
    {"limit.ranks", "The scores are means of ranks (eval.ensemble=mean_rank): an order, not a "
                    "risk. Calibration, net "
                    "benefit and risk groups are not given."},
    /* provenance */
    {"run.tool", "Program"},
    {"run.git", "Source revision"},
    {"run.data_sha256", "Data (SHA-256 of the canonical rows)"},
    {"run.model_sha256", "Model (SHA-256)"},
    {"run.config_sha256", "Configuration (SHA-256)"},
    {"run.eval_options_sha256", "Options of this evaluation (SHA-256)"},
    {"run.seed", "Seed of the bootstrap"},
    {"run.config", "Configuration of the run"},
    {"privacy.clean",
     "Automatic check: none of {n} texts in this report looks like a person's name in "
     "DICOM form, a DICOM identifier or a date of birth with serial number."},
    {"privacy.hits",
     "Automatic check: {hits} of {n} texts look like an identifier. Do not pass this "
     "report on before they are removed from the inputs."},
};

static const report_word *word_at(int i)
{
    int n = (int)COUNT_OF(entries);
    return i < n ? &entries[i] : &report_items[i - n];
}

static const char *english(const char *key)
{
    for (int i = 0; i < report_text_count(); i++)
        if (!strcmp(word_at(i)->key, key))
            return word_at(i)->text;
    return NULL;
}

/* The words of a translation, or NULL: report_text_use. */
static json_t *translation;

const char *report_text_find(const char *key)
{
    const char *s = json_string_value(json_object_get(translation, key));
    return s ? s : english(key);
}

/* Does every {name} of s stand in the English text too? */
static bool names_known(const char *s, const char *original)
{
    for (const char *p = strchr(s, '{'); p; p = strchr(p + 1, '{')) {
        char name[64];
        size_t n = strcspn(p, "}");
        if (!p[n] || n + 2 > sizeof name)
            return false;
        snprintf(name, sizeof name, "%.*s", (int)n + 1, p);
        if (!strstr(original, name))
            return false;
    }
    return true;
}

/* "en", "pt-BR": it goes into attributes and PDF objects. */
static bool language_tag(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return n > 0 && n <= 15 && !s[n];
}

bool report_text_use(const char *path, err *e)
{
    json_t *words = NULL, *v;
    const char *key;
    bool ok = true;
    json_decref(translation);
    translation = NULL;
    if (!path)
        return true;
    if (!json_read(path, &words, e))
        return err_wrap(e, "eval.strings");
    if (!json_is_object(words))
        ok = err_set(e, ERR_INPUT, "eval.strings: not an object of texts");
    json_object_foreach(words, key, v)
    {
        if (!ok)
            break;
        if (!english(key))
            ok = err_set(e, ERR_INPUT, "eval.strings: '%.60s' is no key of the report", key);
        else if (!json_is_string(v))
            ok = err_set(e, ERR_INPUT, "eval.strings: '%.60s' is not a text", key);
        else if (!strcmp(key, "lang") && !language_tag(json_string_value(v)))
            ok = err_set(e, ERR_INPUT, "eval.strings: 'lang' is not a language tag");
        else if (!names_known(json_string_value(v), english(key)))
            ok = err_set(e, ERR_INPUT,
                         "eval.strings: '%.60s' has a {name} that the English text has not", key);
    }
    if (ok)
        translation = words;
    else
        json_decref(words);
    return ok;
}

json_t *report_text_all(void)
{
    json_t *all = json_object();
    for (int i = 0; i < report_text_count(); i++)
        json_object_set_new(all, word_at(i)->key, json_string(report_text(word_at(i)->key)));
    return all;
}

const char *report_text(const char *key)
{
    const char *s = report_text_find(key);
    if (!s)
        BUG("report: no text for '%s'", key);
    return s;
}

int report_text_count(void)
{
    return (int)COUNT_OF(entries) + report_items_n;
}

const char *report_text_key(int i)
{
    return word_at(i)->key;
}

void report_fill(text *out, const char *key, const char *const *pairs)
{
    const char *s = report_text(key);
    while (*s) {
        size_t plain = strcspn(s, "{");
        text_addn(out, s, plain);
        s += plain;
        if (!*s)
            break;
        size_t n = strcspn(s + 1, "}");
        const char *value = NULL;
        for (int i = 0; pairs[i] && !value; i += 2)
            if (strlen(pairs[i]) == n && !strncmp(pairs[i], s + 1, n))
                value = pairs[i + 1];
        if (!value)
            BUG("report: text '%s' has no value for '%.*s'", key, (int)n, s + 1);
        text_add(out, value);
        s += n + 2;
    }
}
