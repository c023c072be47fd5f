#!/bin/bash
# The command line: help of every verb, versions, usage errors, unknown names, exit statuses.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

verbs="run scan prepare split train predict report verify repair deid-check export show flops weights bench demo-archive"
absent="sweep doctor"

expect version 0 "mammovit $(cat "$top/VERSION")" --version
expect no_words 2 "usage: mammovit VERB"
expect help 0 "exit status:" --help
listed=$("$mammovit" --help | awk '/^verbs:/ {on = 1; next} on && /^$/ {exit} on {print $1}' | xargs)
if [ "$listed" = "$verbs" ]; then ok verbs; else bad verbs "--help lists: $listed"; fi
for v in $verbs; do
    expect "help_$v" 0 "usage: mammovit $v" "$v" --help
    expect "help_word_$v" 0 "usage: mammovit $v" help "$v"
done
for v in $absent; do
    expect "absent_$v" 2 "unknown verb '$v'" "$v"
done

expect nearest_verb 2 "did you mean prepare" prepar
expect nearest_option 2 "did you mean --config" flops --confg x
expect missing_value 2 "--set wants a value" flops --set
expect flag_with_value 2 "--json takes no value" flops --json=1
expect bad_threads 2 "-j 'many'" flops -j many
expect bad_seed 2 "--seed 'x' is not an integer" train --seed x -o "$work/r"
expect bad_shard 2 "wanted k/n" scan --shard 3/3 x -o "$work/s"
expect bad_stage 2 "unknown stage 'tran'" run --from tran
expect scan_out 2 "-o is missing" scan .
expect scan_words 2 "no archive given" scan -o "$work/s"
expect split_labels 2 "--labels is missing" split "$work/s" -o "$work/c.h5"
expect predict_source 2 "give either --cohort" predict "$work/r" -o "$work/p"
expect predict_other_network 2 \
    "--set model.keep_rate: the network comes from the checkpoint; to leave patches out when scoring use predict.keep_rate" \
    predict "$work/r" --cohort "$work/c.h5" --split val -o "$work/p" --set model.keep_rate=0.5
expect predict_dicom_other_network 2 "the network comes from the checkpoint" \
    predict "$work/r" --dicom "$work" -o "$work/p" --set=model.depth=3
printf 'model: {keep_rate: 0.5}\n' >"$work/model.yaml" # of the training: normal here
expect predict_config_of_training 3 "does not exist" \
    predict "$work/r" --cohort "$work/c.h5" --split val -o "$work/p" -c "$work/model.yaml"
expect prepare_words 2 "usage: mammovit prepare" prepare
expect weights_words 2 "usage: mammovit weights" weights import
expect weights_action 2 "wanted import, export or show" weights exprot x
expect weights_layout 2 "--layout 'old': wanted timm or timm0.4" weights export x -o y.safetensors --layout old
expect weights_export_name 2 "export writes safetensors; name it .safetensors" weights export x -o y.pth
expect weights_import_name 2 "import writes safetensors; name it .safetensors" weights import x -o y.npz

# the configuration: one bad key stops before any work starts
expect help_config 0 "train.lr" --help config
expect unknown_key 3 "nearest known key: 'train.epochs'" flops --set train.epoch=3
expect bad_number 3 "train.epochs" flops --set train.epochs=many
expect out_of_range 3 "split.test_fraction" flops --set split.test_fraction=2
expect bad_choice 3 "train.optimizer" flops --set train.optimizer=adam
reduced=(flops --model deit_small_patch16_224 --convention torchprofile --token-reduction)
expect flops_evit 0 "published form: 3032105162" "${reduced[@]}" evit:0.7
expect flops_evit_tokens 0 "197 197 197 197 139 139 139 98 98 98 69 69" "${reduced[@]}" evit:0.7,nofuse
expect flops_ppt 0 "published form: 2944411999" "${reduced[@]}" ppt:50,path=MPP
expect flops_layers 0 "197 148 148 148" "${reduced[@]}" ppt:49,layers=0
expect flops_words 2 "wanted evit:0.7[,nofuse]" "${reduced[@]}" evit:0.7,path=MPP
expect flops_path 3 "path 'MP'" "${reduced[@]}" ppt:50,path=MP
expect flops_last_block 3 "block 11 of 12" "${reduced[@]}" evit:0.5,layers=11
# a config counts as it trains, words of the line come first, without both it is as published
tiny=(--model deit_tiny_patch16_224)
expect flops_config 0 "vit_small_patch16_reg4_224, 896 x 896 px, 1 channel, 2 classes" \
    flops -c "$top/configs/vit_reg_small_896.yaml"
expect flops_demo 0 "128 x 96 px, 1 channel, 2 classes" flops -c "$top/configs/demo.yaml"
expect flops_config_json 0 '"image_h":128,"image_w":96' flops -c "$top/configs/demo.yaml" --json
expect flops_line_first 0 "64 x 32 px, 3 channels, 5 classes" flops -c "$top/configs/demo.yaml" \
    --image-size 64x32 --channels 3 --classes 5
expect flops_keeps_nothing 3 "model.keep_rate: 0.0001 keeps none of 196 patches; the smallest rate is 0.005103" \
    flops "${tiny[@]}" --keep-rate .0001
expect flops_published 0 "224 x 224 px, 3 channels, 1000 classes" flops "${tiny[@]}"
expect flops_set 0 "64 x 96 px, 3 channels, 1000 classes" flops "${tiny[@]}" --set prepare.sizes=64x96
expect flops_train_size 0 "32 x 48 px" flops "${tiny[@]}" --set 'prepare.sizes=[64x96, 32x48]' --set train.size=1
expect flops_no_such_size 3 "train.size: 1 is beyond" flops "${tiny[@]}" --set prepare.sizes=64x96 --set train.size=1
printf 'train:\n  epochs: 3\n  epohcs: 4\n' >"$work/bad.yaml"
expect unknown_key_file 3 "bad.yaml:3" scan "$work" -o "$work/never" -c "$work/bad.yaml"
if [ -e "$work/never" ]; then bad no_work_before_config "the store was made"; else ok no_work_before_config; fi
printf 'train:\n  epochs: 3\n  epochs: 4\n' >"$work/twice.yaml"
expect repeated_key 3 "twice.yaml:3" flops -c "$work/twice.yaml"
printf 'train: [\n' >"$work/broken.yaml"
expect broken_yaml 3 "broken.yaml" flops -c "$work/broken.yaml"
expect absent_config 3 "none.yaml" flops -c "$work/none.yaml"

# every key is in configs/default.yaml, and the shipped files are accepted
if [ -f "$top/configs/default.yaml" ]; then
    missing=$("$mammovit" --help config | sed -n 's/^  \([a-z][a-z0-9_]*\.[a-z0-9_.]*\)$/\1/p' |
        while read -r key; do
            grep -qE "^ *${key##*.}:" "$top/configs/default.yaml" || echo "$key"
        done)
    if [ -z "$missing" ]; then ok default_yaml; else bad default_yaml "lacks $(echo "$missing" | xargs)"; fi
fi
for c in "$top"/configs/*.yaml; do
    expect "config_$(basename "$c")" 0 "" flops -c "$c"
done

# inputs that are not there or not what the verb takes
expect no_such_archive 4 "" scan "$work/nothing" -o "$work/s1"
expect no_such_cohort 3 "does not exist" train --set run.cohort="$work/nothing.h5" -o "$work/r1"
expect no_such_store 3 "" prepare "$work/nothing"
expect no_such_show 3 "does not exist" show "$work/nothing"
expect no_such_verify 3 "does not exist" verify "$work/nothing"
expect no_such_table 4 "" report "$work/nothing.csv" -o "$work/rep"
expect unknown_model 3 "deit_tiny_patch16_224" flops --model deit_tiny_patch16_22

# what predict and report made; files that are broken or of somebody else
mkdir "$work/pred" "$work/half" "$work/list" "$work/bare" "$work/rep"
printf 'exam_id,score\na,0.1\na,0.2\nb,0.3\n' >"$work/pred/predictions.csv"
echo '{"split": "val", "version": "0", "model": {"name": "net", "image_h": 64, "image_w": 48, "epochs": 3,
    "steps": 12, "members": 2, "predict_keep_rate": 0.25}, "hashes": {"model": "abc"}}' >"$work/pred/predictions.json"
expect show_pred 0 "prediction of split val: 3 images of 2 exams" show "$work/pred"
expect show_pred_network 0 "by net, 64 x 48 px, epoch 3, step 12, mean of 2 networks" show "$work/pred/predictions.json"
expect show_pred_study 0 "only 0.25 of the patches were given to it: a study of stability" show "$work/pred"
expect show_pred_json 0 '"exams":2,"hashes":{"model":"abc"},"images":3,"kind":"prediction"' show "$work/pred" --json
cp "$work/pred/predictions.json" "$work/half"
expect show_pred_half 3 "the same predict again makes it" show "$work/half"
cp "$work/pred/predictions.csv" "$work/list"
echo '[1, 2]' >"$work/list/predictions.json"
expect show_pred_list 3 "predictions.json: 'model' or 'hashes' is missing" show "$work/list"
cp "$work/pred/predictions.csv" "$work/bare"
expect show_scores 0 "scores of 3 images of 2 exams" show "$work/bare"
printf 'score\n0.1\n' >"$work/bare/predictions.csv"
expect show_scores_bad 3 "column 'exam_id' is missing" show "$work/bare"
expect verify_pred 3 "verify takes a store, a cohort or a run" verify "$work/pred"
echo '{"schema": "mammovit.eval/1", "model": {"name": "net"}, "metrics": [7, {"id": "auc", "subset": "all", "unit": "exam",
    "value": 0.75, "lo": 0.5, "hi": 0.875, "ci": "delong", "n_exams": 40}, {"id": "auc", "subset": "age=50-59", "value": 0.1},
    {"id": "ap", "subset": "all", "unit": "exam", "value": null, "reason": "FEW_EVENTS"}]}' >"$work/rep/eval.json"
expect show_report 0 "exam auc 0.7500 (0.5000 to 0.8750, delong), 40 exams" show "$work/rep"
expect show_report_undefined 0 "exam ap undefined (FEW_EVENTS)" show "$work/rep/eval.json"
if grep -q 0.1000 "$work/out"; then bad show_report_all "a subgroup is printed"; else ok show_report_all; fi
echo '{"schema": "other", "metrics": []}' >"$work/rep/eval.json"
expect show_report_other 3 "report 'eval.json': schema 'other' is not mammovit.eval/N" show "$work/rep"
echo '{"schema": "mammovit.eval/1"' >"$work/rep/eval.json"
expect show_report_broken 3 "eval.json" show "$work/rep"

fixtures=$top/tests/fixtures/weights
expect weights_show 0 "turned                                           F32   4x3  -6.25 .. 5.125" \
    weights show "$fixtures/types.pth"
expect weights_show_json 0 '"dtype":"F32","max":6.25' weights show "$fixtures/tiny.npz" --json
expect show_pytorch 0 "module.a" show "$fixtures/nested.pth"
expect weights_of_old_pytorch 3 "convert it once" weights show "$fixtures/legacy.pth"
expect weights_of_another_width 3 "'cls_token' has shape [1, 1, 8], the network wants [1, 1, 192]" \
    weights import "$fixtures/tiny.npz" -o "$work/y.safetensors" --model vit_tiny_patch16_224_in21k
expect cuda_absent 3 "" weights import "$work/x.safetensors" -o "$work/y.safetensors" --device cuda

exit $((n_bad > 0))
