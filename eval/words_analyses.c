/* Words of single analyses: time, other models, calibration, networks, missing patches, exam
 * pages. */
#include "eval/report_text.h"

static const report_word rows[] = {
    /* time to diagnosis */
    {"time.intro",
     "A cancer that the exam itself shows is detected; one that comes years later is predicted."},
    {"time.twice",
     "Separation is therefore given twice: for all cancers, and without those found by the exam."},
    {"time.once", "None of the cancers here was found by the exam itself: all were predicted."},
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
     "Each model at its own threshold for the specificity. Chosen on these exams it is "
     "exploratory; "
     "where both models have validation exams (--val, --compare NAME=PRED,VALPRED) each threshold "
     "comes from its model's own. Only here, only there: cancers that one model flags and the "
     "other "
     "does not."},
    {"table.compare_spec", "Exams without cancer that are not flagged, at these thresholds"},
    {"note.compare_spec", "Only here, only there: exams without cancer that one model rightly does "
                          "not flag and the other does."},
    {"table.compare_subgroups", "Subgroups beside other models"},
    {"note.compare_subgroups", "Holm: adjusted over all groups of one pair of models."},
    {"table.compare_calibration", "Calibration beside other models"},
    {"note.compare_calibration",
     "Slope 1 and intercept 0 are perfect, observed / predicted 1. Intervals are those of the "
     "section on calibration, over women as clusters where they have several exams. Each model is "
     "recalibrated on its own validation exams, where they were given: before and after."},
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
    {"col.spec_this", "Specificity here"},
    {"col.spec_other", "Specificity there"},
    {"col.spec_diff", "Difference (95 % interval)"},
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
    /* calibration, decisions, risk groups */
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
     "{share} % of these exams belong to women with cancer as defined: exams with cancer were "
     "sampled more often than exams without. Calibration, net benefit and risk groups are "
     "therefore computed as if {prevalence} % of exams had cancer, and risks are moved there from "
     "{from} %. This is right when exams of both kinds were drawn at random; it says nothing of a "
     "population with another share."},
    {"recalibration.none",
     "No recalibration: it is learnt on the exams of --val, which were not given."},
    {"recalibration.done",
     "Recalibration was learnt on {n} validation exams of other women (data {hash}) and applied "
     "unchanged."},
    {"recalibration.failed",
     "No recalibration could be learnt on the {n} validation exams: {reason}."},
    {"calibration.close",
     "The slope is {slope}: the risks shown for single exams lie too close together. High ones are "
     "higher in truth, low ones lower; do not read them as the chance of one woman."},
    {"calibration.far", "The slope is {slope}: the risks shown for single exams lie too far apart. "
                        "High ones are lower "
                        "in truth, low ones higher; do not read them as the chance of one woman."},
    {"calibration.relate",
     "Three ratios of observed to predicted cancers stand in this report. {given}: the scores as "
     "they are, against a population in which {prevalence} % have cancer. {set} (Time to "
     "diagnosis): the same scores against these exams, {share} % of which belong to women with "
     "cancer. {moved}: the scores {how}, against that population; only this one judges the "
     "risks that the risk groups and single exams show."},
    {"calibration.learnt", "recalibrated on the validation exams"},
    {"calibration.moved", "moved to that population"},
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
    {"decision.few", "hidden: few women"},
    {"deciles.seen", "observed, with 95 % interval"},
    {"deciles.expected", "mean predicted risk"},
    {"deciles.enriched",
     "Shares and expected numbers are computed as if {prevalence} % of exams had cancer (risks: "
     "{risks}); groups are of equal count in this set, not in a population."},
    {"deciles.trend",
     "Trend of the share over the groups, without weights (Cochran-Armitage): z = {z}, p {p}."},
    /* networks of an ensemble */
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
    {"images.single",
     "This part shows single women: {n} exams with their images, score and outcome. Pseudonyms do "
     "not make them anonymous. It stays in the hospital; a report can be made without it."},
    {"images.note",
     "Chosen by rule, not by eye: highest and lowest scores, exams with cancer that score low "
     "(misses), exams without that score high (false alarms), as far as there are any, and exams "
     "drawn at random. The pictures are what the model was given, at one scale: right breast on "
     "the left side, chest walls in the middle. Look at them first. Maps, where there are some, "
     "are off on the screen until they are switched on, and stand beside the pictures in print; "
     "none is a map of suspicion."},
    {"images.left_out", "{n} more chosen exams are not shown, to keep this file below 25 MB or "
                        "because fewer were asked for."},
    {"images.head", "Exam {n} of {of}: {exam}"},
    {"images.why.highest", "Shown because its score is among the highest."},
    {"images.why.missed", "Shown because cancer was found in the time that the label looks at and "
                          "the score is in the lower half: a miss of the model."},
    {"images.why.false_alarm", "Shown because no cancer was found in the time that the label "
                               "looks at and the score is in the upper half: a false alarm of the "
                               "model."},
    {"images.why.early_alarm",
     "Shown because the score is in the upper half and no cancer was found in the time that the "
     "label looks at: counted as a false alarm of the model, but cancer was found later."},
    {"images.no_miss",
     "No exam with cancer among those that were chosen has a score in the lower "
     "half: there is no clear miss to show. Cancers that a threshold misses (FN of the "
     "operating points) may have scores above that."},
    {"images.years", "Risk by year after the exam, in 1,000 exams like this one: {years}."},
    {"images.year", "year {year}: {risk}"},
    {"images.vendor_unseen", "No training image came from this manufacturer ({vendor}): the score "
                             "is outside of what the network has seen."},
    {"images.vendor_val", "No exam that the thresholds come from was of this manufacturer "
                          "({vendor}): the threshold may not hold for it."},
    {"images.why.lowest", "Shown because its score is among the lowest."},
    {"images.why.random", "Shown because it was drawn at random."},
    {"images.rank",
     "The score is {score}: higher than that of {from} to {to} of 100 exams in this set."},
    {"images.rank_top", "The score is {score}, among the highest {top} of 100 in this set."},
    {"images.rank_low", "The score is {score}, among the lowest {to} of 100 in this set."},
    {"images.rank_none", "The score is {score}."},
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
};

const report_words words_analyses = {rows, (int)COUNT_OF(rows)};
