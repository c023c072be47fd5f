/* Words of the report's frame: headings, the summary, what is told of data and model, limits of
 * use, provenance. */
#include "eval/report_text.h"

static const report_word rows[] = {
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
    {"number.decimal", "."},
    {"number.thousands", ""},
    {"range.to", " to "},
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
     "If one exam of a woman who was found to have cancer (as defined below) and one of a woman "
     "who was not are picked at random, the model gives the higher score to the first {auc} times "
     "out of 100 (95 % confidence interval: {lo} to {hi}). Guessing would be right 50 times."},
    {"sum.pairs_most", "more than 99"},
    {"sum.pairs_bare",
     "If one exam of a woman who was found to have cancer (as defined below) and one of a woman "
     "who was not are picked at random, the model gives the higher score to the first {auc} times "
     "out of 100. Guessing would be right 50 times."},
    {"sum.chance", "The interval includes 50: these data do not show that the model is better than "
                   "guessing."},
    {"sum.size",
     "This was measured on {exams} exams of {patients} women; {cases} of the exams belong "
     "to women with cancer as defined below."},
    {"sum.synthetic",
     "The data are synthetic: images and outcomes were made by a program, and no woman was "
     "examined."},
    {"sum.early_out", "Exams that a cancer was found at, or soon after, were left out: the numbers "
                      "are about cancers "
                      "that came later."},
    {"sum.early_none",
     "No cancer here was found by the exam itself (within {days} days): the numbers are about "
     "cancers that came later."},
    {"sum.early_in",
     "Cancers that the exam itself found (within {days} days) are counted: {n} exams. The numbers "
     "mix finding a cancer that is there with foreseeing one that comes later; Time to diagnosis "
     "has them apart."},
    {"sum.early_unknown",
     "It is not recorded whether cancers that the exam itself found are among them."},
    {"sum.flag", "To flag the {top} % of exams with the highest scores, the threshold here is "
                 "{threshold}; {capture} of 100 cancers would be among them."},
    {"sum.flag_population",
     "In a population where {prevalence} % have cancer, flagging the {top} % of exams with the "
     "highest scores, those of at least {threshold}, would find about {capture} of 100 cancers. "
     "(Computed from the thresholds of this set. Cancers are many in it: its own top {share} % has "
     "room for {ceiling} of 100 of them at most, whatever the model.)"},
    {"sum.weakest",
     "Among subgroups the model separates least well for {variable}: {level}, with an AUC of "
     "{auc} ({lo} to {hi}; exams with cancer: {cancers}) against {all} of all exams, these among "
     "them. {judged} of {groups} groups could be judged; the lowest of several is partly so by "
     "chance."},
    {"sum.weakest_unsure",
     "Among subgroups the model separates least well for {variable}: {level}, with an AUC of "
     "{auc}. That is uncertain: the interval, {lo} to {hi} (exams with cancer: {cancers}), "
     "reaches the {all} of all exams (these among them), so the difference may be chance. {judged} "
     "of {groups} "
     "groups could be judged; the others are too few, hidden, without an interval, or all exams "
     "under another name."},
    {"fewer_than", "fewer than {n}"},
    {"sum.thousand", "Of 1,000 women in a population where {prevalence} % have cancer (as defined "
                     "below), the model would flag about {flagged}, at the threshold that keeps "
                     "{spec} % specificity {where}. Of these women {found} have cancer and {false} "
                     "have not; {missed} women with cancer would not be flagged."},
    {"where.same", "on these exams"},
    {"where.val", "on the validation exams"},
    {"sum.excluded",
     "Of {files} {unit}, {excluded} were left out (most frequent: {reasons}) and {others} belong "
     "to other splits."},
    {"sum.exams",
     "Of {exams} exams of {women} women in the archive, {lost} exams were left out with all their "
     "images, {gone} women with all their exams (most frequent: {reasons}), and {others} exams "
     "belong to other splits: {left} exams of {left_women} women were left to be scored."},
    {"sum.exams_one",
     "Of {exams} exams of {women} women in the archive, {lost} exams were left out with all their "
     "images, {gone} women with all their exams (most frequent: {reasons}): {left} exams of "
     "{left_women} women were left to be scored."},
    {"sum.exams_all",
     "Of {exams} exams of {women} women in the archive, none was left out and {others} exams "
     "belong "
     "to other splits: {left} exams of {left_women} women were left to be scored."},
    {"sum.exams_part", "{n} exams of all splits stayed without some of their images."},
    {"sum.joined",
     "The flow diagram adds up to the last file, but not by single reasons: {n} of the files stand "
     "there in rows that count several small reasons together."},
    {"sum.excluded_split", "Of {files} {unit}, none was left out; {others} belong to other "
                           "splits."},
    {"sum.excluded_none", "Nothing was left out."},
    {"unit.files", "files"},
    {"unit.images", "images"},
    {"unit.exams", "exams"},
    {"unit.women", "women"},
    {"unit.rows", "rows of tables"},
    {"sum.use",
     "This is a research result. It may not be used for decisions about patients, and it does not "
     "tell whether using the model helps women."},
    {"table.thousand", "A thousand women"},
    {"col.result", "Result"},
    {"col.women", "Women"},
    {"col.controls", "Without cancer"},
    {"note.thousand", "Whole numbers are rounded: 0 means fewer than one woman."},
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
    {"note.participants",
     "Exams with their share of the column. Median with quartiles. A woman who has exams with and "
     "exams without cancer stands in both columns of women."},
    {"small.note",
     "Small counts: no number of fewer than {minimum} women (exams of so few women) is told, nor "
     "what gives it by adding and subtracting. Groups are joined until each holds {minimum} women "
     "with cancer and as many without; rates are given for all groups of a variable or for none; "
     "steps of curves are as wide as that, and bars of distributions are joined. Counts at a "
     "threshold, and of subsets that are no groups, say hidden where they would tell, and so do "
     "those beside them. The totals are always told. From exact measures such as the AUC somebody "
     "who calculates may still find how few scores are out of order: this makes the report no "
     "anonymous one."},
    {"small.none", "Small counts are not hidden in this report: it must not be "
                   "passed on unless its data are public."},
    {"small.joined", "Neighbouring groups are shown together until each has at least {minimum} "
                     "women with cancer and as many without."},
    {"small.years", "Not shown: {names}. Fewer than {minimum} women were found with cancer or lost "
                    "between these times and their neighbours."},
    {"small.single", "Not shown: {names}. Only one group would hold {minimum} women with cancer "
                     "and as many without."},
    {"small.pages",
     "The exam pages show {n} single women under pseudonyms, with images, score and outcome: no "
     "rule on small counts holds for them, nor for what follows from their scores. With its pages "
     "this report is personal data and stays in the hospital; it can be made without them."},
    {"participants.age", "Age in years"},
    {"participants.years", "Years to diagnosis or last contact"},
    {"participants.median", "median"},
    {"col.group_all", "All"},
    {"col.group_cases", "With cancer"},
    {"col.group_controls", "Without cancer"},
    {"col.group_val", "Exams for thresholds"},
    {"table.crosstab", "Result of the model and reference standard"},
    {"note.crosstab",
     "Exams; flagged at a score of at least {threshold}, chosen on {chosen} for 90 % specificity."},
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
    /* model card */
    {"model.data", "Data"},
    {"model.data_synthetic",
     "synthetic: images and outcomes made by a program, no women (see limits of use)"},
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
    {"card.training_vendors", "Manufacturers of the training images"},
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
    {"limit.pages", "This report shows {n} single women on its exam pages: it stays in the "
                    "hospital. It can be made without them."},
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
    {"limit.few",
     "Only {cases} exams with cancer: subgroups hold few of them. The intervals say how far other "
     "women of the same kind could differ, not other clinics or machines."},
    {"limit.keys",
     "Choices behind these numbers, with the keys that change them: the share with cancer in a "
     "population, {population} % (eval.population); the fewest women who are counted openly, "
     "{minimum} (eval.min_count); a cancer counts as found by the exam within {screen} days, as "
     "found between rounds within {interval} (eval.screen_days, eval.interval_days); single exams "
     "that are shown, up to {pages} (eval.pages)."},
    {"limit.synthetic",
     "These data are synthetic: images and outcomes were made by a program, and no woman was "
     "examined. The cancers are drawn so that a small network can learn them. The numbers show "
     "that the program works; they say nothing about women or about the worth of a model."},
    {"limit.enriched",
     "{share} % of the exams belong to women with cancer, more than in screening "
     "(taken as {prevalence} %). AUC, sensitivity and specificity carry over if controls were "
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
    {"limit.compare_val",
     "The model '{model}' has its thresholds and its recalibration from other validation exams "
     "than this one: a difference may come from there."},
    {"limit.calibration",
     "Calibration, net benefit and risk groups are not given: fewer than 5 exams of a class."},
    {"limit.ranks", "The scores are means of ranks: an order, not a "
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

const report_words words_page = {rows, (int)COUNT_OF(rows)};
