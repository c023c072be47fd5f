/* PatchDropout's own YAML files: written here from the description of their keys
 * (patchdropout.md 7), in the manner of the shipped ones: one flow mapping with comments, trailing
 * commas, Python's words. */
#include "tests/unit/store.h"

#include "cli/cmd.h"
#include "cli/patchdropout.h"

static char dir[64];

/* %s: what stands in for one line of the training file. */
typedef struct parts {
    const char *mode, *data, *loader, *net, *system, *optimizer, *rest, *input;
} parts;
static const parts shipped = {
    .mode = "'mode': 'train'",
    .data = "'data_folder': '/d', 'dataset_name': 'CSAW', 'resolution': 448,",
    .loader = "'batch_size': 128, 'accum_iter': 1, 'num_workers': 10, 'pin_memory': True, "
              "'drop_last': True",
    .net = "'vit_base_patch16_224_in21k'",
    .system = "'num_gpus': 2, 'gpu_ids': '0,1', 'random_seed': 5,",
    .optimizer = "'name': 'sgd', 'adamw':{'lr': 0.00001, 'momentum': [ 0.9, 0.999 ] , "
                 "'warmup_epochs': 2, 'step_epoch': 400 }, 'sgd': {'lr': 3e-4, 'momentum': 0.8, "
                 "'warmup_epochs': 3, 'step_epoch': 40 }",
    .rest = "'num_epochs': 60, 'val_freq': 2, 'wd': 1e-4, 'clip_grad': 2, 'label_smoothing': 0.2",
    .input = "'name': 'SampledTokens', # or 'AllTokens'\n"
             "'SampledTokens': {'keep_rate': '3/7', 'random_keep_rate': False}"};

static char *train_file(const parts *p)
{
    text t;
    char *path = fs_join(dir, "train.yaml");
    text_init(&t);
    text_addf(&t,
              "{ %s,\n  'dataset_params': {%s},\n  'save_params': {'output_dir': '/m', "
              "'saveckp_freq': 1 },\n  'dataloader_params': { 'trainloader':{%s},\n"
              "      'valloader': {'batch_size': 128, 'drop_last': False} },\n"
              "  'model_params': {'backbone_option': %s}, # a comment, 'with': { things }\n"
              "  'system_params': {%s},\n  'training_params': {'train': { 'optimizer': {%s},\n"
              "  %s,\n  'input_type': {%s},\n },},\n}\n",
              p->mode, p->data, p->loader, p->net, p->system, p->optimizer, p->rest, p->input);
    OK(fs_write(path, t.s, t.len, e));
    text_release(&t);
    return path;
}

static char *data_file(void)
{
    static const char y[] =
        "{'dataset_params': { 'dataset_choice': {\n"
        "  'ImageNet': { 'num_channels': 3, 'num_classes': 1000, 'full_size': 256,\n"
        "     'normalize_mean': '(0.485, 0.456, 0.406)'},\n"
        "  'CSAW':\n { 'num_channels': 3, 'num_classes': 3, 'global_size':224,\n"
        "     'knn_use_cuda': False, 'label_mapping_path': None, 'csv_path': 'x.csv',\n"
        "     'normalize_std': '(0.1, 0.1, 0.1)' },\n },\n}}\n";
    char *path = fs_join(dir, "data.yaml");
    OK(fs_write(path, y, sizeof y - 1, e));
    return path;
}

static void is(const cfg *c, const char *key, const char *want)
{
    if (strcmp(cfg_text(c, key), want))
        fail_msg("%s is %s, wanted %s", key, cfg_text(c, key), want);
}

static cfg *load(const parts *p)
{
    cfg *c = args_schema();
    patchdropout seen = {0};
    char *path = train_file(p);
    assert_true(patchdropout_is(path));
    OK(cfg_set(c, "model.keep_rate=0.3", e)); /* to be overridden */
    OK(patchdropout_load(&seen, c, path, e));
    mem_free(path);
    return c;
}

static void refused(const parts *p, const char *words)
{
    cfg *c = args_schema();
    patchdropout seen = {0};
    char *path = train_file(p);
    err e = {0};
    if (patchdropout_load(&seen, c, path, &e))
        fail_msg("loaded; wanted '%s'", words);
    if (!strstr(e.msg, words))
        fail_msg("message '%s' lacks '%s'", e.msg, words);
    assert_int_equal(e.code, ERR_CONFIG);
    cfg_free(c);
    mem_free(path);
}

static void every_key_becomes_ours(void **state)
{
    cfg *c = load(&shipped);
    is(c, "run.seed", "5");
    is(c, "prepare.sizes", "[\"448x448\"]");
    is(c, "model.image_h", "448");
    is(c, "model.image_w", "448");
    is(c, "model.name", "vit_base_patch16_224_in21k");
    is(c, "train.batch", "128");
    is(c, "train.accum", "1");
    is(c, "train.optimizer", "sgd");
    is(c, "train.lr", "0.0003");
    is(c, "train.momentum", "0.8");
    is(c, "train.warmup_epochs", "3");
    is(c, "train.drop_epoch", "40");
    is(c, "train.epochs", "60");
    is(c, "train.val_every", "2");
    is(c, "train.weight_decay", "0.0001");
    is(c, "train.clip", "2");
    is(c, "train.label_smoothing", "0.2");
    is(c, "train.keep_schedule", "fixed");
    is(c, "train.clip_mode", "tensor"); /* quirks of its program */
    is(c, "train.patience", "0");
    char want[32];
    text_shortest(3.0 / 7, want);
    is(c, "model.keep_rate", want);
    cfg_free(c);
}

/* A global batch of 128 on 2 GPUs in 3 parts: 128 / 6 = 21 images of each GPU, both here at once.
 */
static void batches_are_shared_out(void **state)
{
    parts p = shipped;
    p.loader = "'batch_size': 128, 'accum_iter': 3";
    cfg *c = load(&p);
    is(c, "train.batch", "42");
    is(c, "train.accum", "3");
    is(c, "train.accum_average", "false");
    cfg_free(c);
    p.loader = "'batch_size': 5, 'accum_iter': 3";
    refused(&p, "trainloader.batch_size: '5'; wanted at least one image for every GPU and "
                "micro-batch");
    p.loader = "'batch_size': '12x'";
    refused(&p, "trainloader.batch_size: '12x'; wanted a whole number above 0");
}

static void the_chosen_optimiser_counts(void **state)
{
    parts p = shipped;
    p.optimizer = "'name': 'adamw', 'adamw': {'lr': 2e-5, 'momentum': [0.8, 0.99]}, "
                  "'sgd': {'lr': 3e-4, 'momentum': 0.8}";
    cfg *c = load(&p);
    is(c, "train.optimizer", "adamw");
    is(c, "train.lr", "2e-05");
    is(c, "train.beta1", "0.8");
    is(c, "train.beta2", "0.99");
    is(c, "train.momentum", "0.9");
    is(c, "train.warmup_epochs", "0"); /* what the program takes where the keys are not there */
    is(c, "train.drop_epoch", "1000");
    cfg_free(c);
    p.optimizer = "'name': 'adamw', 'adamw': {'momentum': 0.9}";
    refused(&p, "optimizer.adamw.momentum: '0.9'; wanted two numbers");
    p.optimizer = "'name': 'lion'";
    refused(&p, "training_params.train.optimizer.name: ");
}

/* The rate varies whenever random_keep_rate says so; AllTokens is a rate of 1. */
static void kept_patches(void **state)
{
    parts p = shipped;
    p.input = "'name': 'AllTokens', 'SampledTokens': {'keep_rate': 0.5, 'random_keep_rate': False}";
    cfg *c = load(&p);
    is(c, "model.keep_rate", "1");
    is(c, "train.keep_schedule", "fixed");
    cfg_free(c);
    p.input = "'name': 'AllTokens', 'SampledTokens': {'keep_rate': 0.5, 'random_keep_rate': True}";
    c = load(&p);
    is(c, "model.keep_rate", "1");
    is(c, "train.keep_schedule", "code");
    cfg_free(c);
    p.input = "'name': 'Grid'";
    refused(&p, "input_type.name: 'Grid'; wanted AllTokens or SampledTokens");
    p.input = "'SampledTokens': {'keep_rate': 1.5}";
    refused(&p, "keep_rate");
    p.input = "'SampledTokens': {'random_keep_rate': maybe}";
    refused(&p, "random_keep_rate: 'maybe'; wanted True or False");
}

static void none_and_names(void **state)
{
    parts p = shipped;
    p.rest = "'clip_grad': None";
    p.net = "'swin_base_patch4_window7_224_in22k'";
    cfg *c = load(&p);
    is(c, "train.clip", "0");
    is(c, "model.name", "swin_base_patch4_window7_224");
    cfg_free(c);
    cmd_args a; /* what is about Swin only comes behind all files */
    static const cmd verb = {.verb = "test", .usage = "test"};
    char *path = train_file(&p), *argv[] = {"-c", path};
    OK(args_parse(&a, &verb, 2, argv, e));
    is(a.config, "model.swin_sets", "tile");
    cfg_free(a.config);
    mem_free(path);
}

/* The number of classes is that of the data set which the other file names, in either order. */
static void two_files_know_each_other(void **state)
{
    for (int first = 0; first < 2; first++) {
        cmd_args a;
        static const cmd verb = {.verb = "test", .usage = "test"};
        char *train = train_file(&shipped), *data = data_file();
        char *argv[] = {"-c",    first ? train : data, "-c", first ? data : train,
                        "--set", "train.lr=0.5"};
        OK(args_parse(&a, &verb, 6, argv, e));
        is(a.config, "model.classes", "3");
        is(a.config, "train.lr", "0.5");
        is(a.config, "train.clip_mode", "tensor");
        cfg_free(a.config);
        mem_free(train);
        mem_free(data);
    }
    cfg *c = args_schema();
    patchdropout seen = {0};
    char *data = data_file(), *train;
    parts p = shipped;
    err e = {0};
    OK(patchdropout_load(&seen, c, data, e));
    is(c, "model.classes", "2"); /* no data set is chosen yet */
    is(c, "train.clip_mode", "global");
    p.data = "'dataset_name': 'Places365'";
    train = train_file(&p);
    assert_false(patchdropout_load(&seen, c, train, &e));
    assert_non_null(strstr(e.msg, "the data set 'Places365' of the training file has no entry"));
    mem_free(data);
    mem_free(train);
    cfg_free(c);
}

static void what_is_not_known_is_refused(void **state)
{
    parts p = shipped;
    p.rest = "'num_epoch': 60";
    refused(&p, "train.yaml:9: unknown key 'training_params.train.num_epoch' of a PatchDropout "
                "file (nearest known key: 'training_params.train.num_epochs')");
    p = shipped;
    p.mode = "'mode': 'inference'";
    refused(&p, "mode: 'inference'; wanted train: mode inference scores nothing");
    p = shipped;
    p.net = "{'name': 'vit'}";
    refused(&p, "model_params.backbone_option: a value is wanted, found a mapping");
    p = shipped;
    p.rest = "'wd': 1, 'wd': 2";
    refused(&p, "training_params.train.wd: the key appears twice");
    p.rest = "'wd': heavy";
    refused(&p, "training_params.train.wd: ");
    p.rest = "'wd': [1";
    refused(&p, "train.yaml:");
    char *path = fs_join(dir, "own.yaml");
    OK(fs_write(path, "train: {lr: 1}\n", 15, e));
    assert_false(patchdropout_is(path));
    assert_false(patchdropout_is("/nowhere"));
    mem_free(path);
}

static int setup(void **state)
{
    return store_tmp("patchdropout", dir) ? 0 : -1;
}

static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_becomes_ours),
        cmocka_unit_test(batches_are_shared_out),
        cmocka_unit_test(the_chosen_optimiser_counts),
        cmocka_unit_test(kept_patches),
        cmocka_unit_test(none_and_names),
        cmocka_unit_test(two_files_know_each_other),
        cmocka_unit_test(what_is_not_known_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
