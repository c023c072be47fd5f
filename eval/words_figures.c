/* Words in figures and of what describes them, the flow diagram's among them. */
#include "eval/report_text.h"

static const report_word rows[] = {
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
     "all cancers; vermilion, dashed intervals: without those that the exam itself found, if any. "
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
     "Curve of sensitivity against false-positive rate. The area under the whole curve is {auc} "
     "(95 "
     "% confidence interval {lo} to {hi}) on {exams} exams, {cases} with cancer. Where small "
     "counts "
     "are hidden the line is straight from one told point to the next; the true curve lies above "
     "it, and the band holds both. Where the curve rises straight up, the band is of the upper "
     "end. "
     "The dashed diagonal is chance. Diamonds mark the operating points of the table."},
    {"figdesc.scores",
     "Two histograms of the exam score, back to back: exams with cancer upwards, "
     "exams without downwards, each as a share of its group. {exams} exams, {cases} "
     "with cancer."},
    {"figdesc.flow",
     "Boxes from top to bottom count what was kept at each stage, boxes at the side "
     "count what was left out and why; behind a reason stands how many exams and women lost their "
     "last image by it. {exams} exams were analysed, {cases} with cancer. "
     "The tables below hold the same numbers."},
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
    {"flow.incomplete", "exam has not exactly four images"},
    {"flow.unlabelled", "label unknown"},
    {"flow.other_exams", "exams of other splits, or left out with all their images"},
    {"flow.women", "women of these exams"},
    {"flow.joined", "together: {steps}"},
    {"flow.joined_short", "several small reasons together, {stage}"},
    {"flow.few", "{step} (few, not counted here)"},
    {"flow.of", "{stage}: {exams} exams of {women} women"},
    {"flow.lost", "{step}: {exams} exams, {women} women"},
    {"flow.excluded", "Left out: {n} {unit}"},
    {"flow.others", "Other splits: {n} {unit}"},
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
};

const report_words words_figures = {rows, (int)COUNT_OF(rows)};
