/* The option table of the evaluation: keys "eval.*". */
#include "eval/report.h"
#include "eval/exam.h"

#define AT(field) offsetof(report_cfg, field)

static const cfg_option options[] = {
    {"eval.rule", CFG_ENUM, AT(rule), "mean_images", 0, 0,
     "mean_images|mean_views|max_breast|max_images|mean_logit", "",
     "how image scores become one exam score"},
    {"eval.ensemble", CFG_ENUM, AT(ensemble), "mean_prob", 0, 0, "mean_prob|mean_logit|mean_rank",
     "", "how the scores of several inputs become one; mean_rank gives an order, not a risk"},
    {"eval.split", CFG_TEXT, AT(split), "", 0, 0, NULL, "",
     "evaluate the rows of this split; empty: the table must hold one split only"},
    {"eval.require", CFG_ENUM, AT(require), "any", 0, 0, "any|exactly4", "",
     "exactly4 evaluates exams of exactly four images only, as the published program does"},
    {"eval.bootstrap", CFG_INT, AT(bootstrap), "2000", 0, 100000, NULL, "replicates",
     "bootstrap replicates (patients drawn with replacement); 0 switches it off"},
    {"eval.bootstrap_interval", CFG_ENUM, AT(boot_kind), "percentile", 0, 0, "percentile|bca", "",
     "intervals of the bootstrap; bca: corrected for bias and skewness, for few patients"},
    {"eval.seed", CFG_INT, AT(seed), "1", 0, 9007199254740991.0, NULL, "", "seed of the bootstrap"},
    {"eval.specificities", CFG_REALS, AT(spec), "0.80, 0.90, 0.95, 0.97", 0, 1, NULL, "fraction",
     "operating points: sensitivity at these specificities"},
    {"eval.sensitivities", CFG_REALS, AT(sens), "0.80, 0.90, 0.95", 0, 1, NULL, "fraction",
     "operating points: specificity at these sensitivities"},
    {"eval.top", CFG_REALS, AT(top), "0.01, 0.02, 0.05, 0.10, 0.20", 0, 1, NULL, "fraction",
     "operating points: this share of exams flagged, highest scores first"},
    {"eval.prevalence", CFG_REALS, AT(prevalence), "0.005, 0.006, 0.01, 0.02", 0, 1, NULL,
     "fraction", "prevalences at which predictive values are given"},
    {"eval.screen_days", CFG_REAL, AT(screen_days), "60", 0, 3650, NULL, "days",
     "a cancer within so many days was found by the exam itself"},
    {"eval.interval_days", CFG_REAL, AT(interval_days), "730", 0, 36500, NULL, "days",
     "a cancer after that and within so many days is an interval cancer, a later one is later"},
    {"eval.years", CFG_REALS, AT(years), "1, 2, 3, 4, 5", 0.01, 50, NULL, "years",
     "years after the exam at which the AUC by time to diagnosis is given"},
    {"eval.tau", CFG_REAL, AT(tau), "0", 0, 100, NULL, "years",
     "Uno's concordance looks at cancers until then; 0: the largest of eval.years"},
    {"eval.horizon", CFG_REAL, AT(horizon), "0", 0, 50, NULL, "years",
     "year that the score is the risk of; 0: the horizon of the model's label"},
    {"eval.sampling", CFG_ENUM, AT(sampling), "auto", 0, 0, "auto|population|enriched", "",
     "how exams were chosen; enriched: more cancers than among screened women; auto: enriched "
     "above 2 % (after weights)"},
    {"eval.population", CFG_REAL, AT(population), "0.006", 1e-6, 0.5, NULL, "fraction",
     "prevalence for which an enriched set's calibration, net benefit and risk groups are given"},
    {"eval.recalibration", CFG_ENUM, AT(recalibration), "platt", 0, 0,
     "none|platt|isotonic|temperature", "",
     "map from score to risk, learnt on the exams of --val; the report shows both"},
    {"eval.decision", CFG_REALS, AT(decision), "0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.10", 0.0001,
     0.99, NULL, "fraction", "threshold risks at which net benefit is given"},
    {"eval.risk_groups", CFG_INT, AT(risk_groups), "10", 2, 100, NULL, "groups",
     "groups of equal count in order of score"},
    {"eval.subgroups", CFG_TEXTS, AT(subgroups),
     "age, density, vendor, device_model, site, year, views, round, prior_surgery, implant, "
     "quality, cancer_side, cancer_type, cancer_size, mode",
     0, 0, NULL, "",
     "subgroups of the report: those of the default, or any other column of the tables"},
    {"eval.subgroup_specificity", CFG_REAL, AT(subgroup_spec), "0.90", 0, 1, NULL, "fraction",
     "specificity of the one threshold that the subgroup table uses"},
    {"eval.noninferiority_margin", CFG_REAL, AT(margin), "0.02", 0, 0.5, NULL, "AUC",
     "--compare: the model is non-inferior when the lower end of the 95 % interval of the "
     "difference of the AUC is above minus this; to be chosen before the run"},
    {"eval.label", CFG_TEXT, AT(label), "", 0, 0, NULL, "",
     "one sentence for the report: what a positive label means (horizon, reference standard)"},
    {"eval.follow_up", CFG_TEXT, AT(follow_up), "", 0, 0, NULL, "",
     "one sentence for the report: how negative labels were confirmed (minimum follow-up)"},
    {"eval.title", CFG_TEXT, AT(title), "Breast-cancer risk model: evaluation report", 0, 0, NULL,
     "", "title of the report"},
    {"eval.strings", CFG_TEXT, AT(strings), "", 0, 0, NULL, "",
     "JSON file of the report's words in another language (show strings writes the English ones); "
     "empty: English"},
    {"eval.pages", CFG_INT, AT(pages), "12", 0, 200, NULL, "exams",
     "number of exams whose images are shown"},
    {"eval.min_count", CFG_INT, AT(min_count), "5", 0, 1000, NULL, "women",
     "groups are joined until each has this many women with cancer and as many without; other "
     "counts of 1 to this many - 1 women are hidden, and what they could be worked out from; 0: "
     "nothing is joined or hidden (research data that are public)"},
};

const cfg_group eval_options = {"Evaluation and report", options, COUNT_OF(options)};
