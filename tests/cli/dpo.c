// `tinysft-vk train --loss dpo`: pairs of answers are learnt, and a run that was stopped ends
// alike.
#include "program.h"

#define BASE PROJECT_FOLDER "/assets/base"

static const char pairs[] =
    "{\"prompt\": \"What do cows eat?\", \"chosen\": \"Cows eat grass.\", \"rejected\": \"Cows "
    "eat stones and sand.\"}\n"
    "{\"prompt\": \"Hello\", \"chosen\": [{\"role\": \"assistant\", \"content\": \"Good "
    "morning!\"}], \"rejected\": [{\"role\": \"assistant\", \"content\": \"Go away.\"}]}\n"
    "{\"prompt\": \"Who are you?\", \"chosen\": \"A small model.\", \"rejected\": \"I am the "
    "king.\"}\n";

#define TRAIN(data, out) TRAIN_AT("5e-3", data, out)
#define TRAIN_AT(rate, data, out)                                                                  \
    "train", "--model", BASE, "--data", data, "--output-dir", out, "--device", "0", "--lr", rate,  \
        "--batch-size", "2", "--loss", "dpo", "--logging-steps", "4", "--base-model-name", "base"

TestSuite(dpo, .timeout = 200);

// Three pairs, so that the last batch is smaller. A run from the checkpoint of step 6 ends in the
// bytes of the run that saved it.
Test(dpo, margins_grow_and_a_resumed_run_ends_alike)
{
    char folder[64], data[96], whole[96], parts[96], at[128];
    program_result result;
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(data, sizeof data, "%s/pairs.jsonl", folder);
    snprintf(whole, sizeof whole, "%s/whole", folder);
    snprintf(parts, sizeof parts, "%s/parts", folder);
    snprintf(at, sizeof at, "%s/checkpoint-6", whole);
    test_write(folder, "pairs.jsonl", pairs);
    RUN(&result, TRAIN(data, whole), "--epochs", "6", "--save-steps", "6");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "3 pairs, "), "%s", result.out);
    cr_assert_not_null(strstr(result.out, "right 100%"), "%s", result.out);
    RUN(&result, TRAIN(data, parts), "--epochs", "6", "--save-steps", "6",
        "--resume-from-checkpoint", at);
    cr_assert_eq(result.code, 0, "%s", result.out);
    static const char *const files[] = {"adapter_model.safetensors", "README.md"};
    for (size_t i = 0; i < 2; i++) {
        ts_text a = test_read(whole, files[i]), b = test_read(parts, files[i]);
        cr_assert(a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0, "%s differs", files[i]);
        ts_text_free(&a);
        ts_text_free(&b);
    }
    ts_text state = test_read(parts, "trainer_state.json");
    cr_assert_not_null(strstr(state.bytes, "\"rewards/margins\":"), "%s", state.bytes);
    ts_text_free(&state);
    test_folder_remove(folder);
}

Test(dpo, what_makes_no_sense_is_refused)
{
    program_result result;
    char folder[64], data[96];
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(data, sizeof data, "%s/pairs.jsonl", folder);
    test_write(folder, "pairs.jsonl", pairs);
    const struct {
        const char *flags[4], *says;
        int code;
    } cases[] = {
        {{"--loss", "orpo"}, "expected cross_entropy, dpo or ipo", 2},
        {{"--loss", "dpo", "--beta", "0"}, "--beta 0: expected a number above 0", 2},
        {{"--loss", "ipo", "--label-smoothing", "0.1"}, "--loss ipo has none", 2},
        {{"--loss", "dpo", "--eval-split", "0.99"}, "3 pairs of ", 2},
        {{"--loss", "cross_entropy"}, "train --loss dpo learns from pairs", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const *f = cases[i].flags;
        RUN(&result, "train", "--model", BASE, "--data", data, "--dry-run", f[0], f[1], f[2], f[3]);
        cr_expect_eq(result.code, cases[i].code, "%zu: %d", i, result.code);
        cr_expect_not_null(strstr(result.out, cases[i].says), "%zu: %s", i, result.out);
    }
    test_folder_remove(folder);
}

// Held-out pairs: their loss, margin and accuracy, also in a run that was stopped, which ends in
// the bytes of one that was not.
Test(dpo, pairs_are_held_out)
{
    char folder[64], data[96], own[96], whole[96], parts[96], at[128];
    program_result result;
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(data, sizeof data, "%s/pairs.jsonl", folder);
    snprintf(own, sizeof own, "%s/own.jsonl", folder);
    snprintf(whole, sizeof whole, "%s/whole", folder);
    snprintf(parts, sizeof parts, "%s/parts", folder);
    snprintf(at, sizeof at, "%s/checkpoint-1", whole);
    test_write(folder, "pairs.jsonl", pairs);
    test_write(folder, "own.jsonl", strchr(pairs, '\n') + 1); // the last two, trained on as well
    RUN(&result, TRAIN(data, whole), "--epochs", "3", "--save-steps", "1", "--eval-split", "0.3");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "2 pairs, "), "%s", result.out);
    cr_assert_not_null(strstr(result.out, "1 pair held out"), "%s", result.out);
    cr_assert_not_null(strstr(result.out, "step 3: held-out pairs: loss 0."), "%s", result.out);
    cr_assert_not_null(strstr(result.out, "(margin "), "%s", result.out);
    ts_text state = test_read(whole, "trainer_state.json");
    cr_assert_not_null(strstr(state.bytes, "\"eval_rewards/accuracies\":"), "%s", state.bytes);
    cr_assert_not_null(strstr(state.bytes, "\"eval_rewards/margins\":"), "%s", state.bytes);
    cr_assert_null(strstr(state.bytes, "perplexity"), "%s", state.bytes);
    ts_text_free(&state);
    RUN(&result, TRAIN(data, parts), "--epochs", "3", "--save-steps", "1", "--eval-split", "0.3",
        "--resume-from-checkpoint", at);
    cr_assert_eq(result.code, 0, "%s", result.out);
    static const char *const files[] = {"adapter_model.safetensors", "README.md"};
    for (size_t i = 0; i < 2; i++) {
        ts_text a = test_read(whole, files[i]), b = test_read(parts, files[i]);
        cr_assert(a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0, "%s differs", files[i]);
        ts_text_free(&a);
        ts_text_free(&b);
    }

    // With a rate of zero the model is its reference: no margin, and the loss is log 2.
    RUN(&result, TRAIN_AT("0", data, parts), "--max-steps", "1", "--overwrite-output-dir",
        "--eval-data", own);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "2 of its 2 pairs are trained on too"), "%s", result.out);
    cr_assert_not_null(strstr(result.out, "held-out pairs: loss 0.6931 (margin 0.000, right 0%)"),
                       "%s", result.out);
    test_folder_remove(folder);
}

// Supervised first, then pairs: the second run begins with the first one's adapter, which is its
// reference too, also after it was stopped.
Test(dpo, goes_on_with_an_adapter)
{
    char folder[64], rows[96], data[96], first[96], same[96], whole[96], parts[96], at[128];
    program_result result;
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(rows, sizeof rows, "%s/rows.jsonl", folder);
    snprintf(data, sizeof data, "%s/pairs.jsonl", folder);
    snprintf(first, sizeof first, "%s/first", folder);
    snprintf(same, sizeof same, "%s/same", folder);
    snprintf(whole, sizeof whole, "%s/whole", folder);
    snprintf(parts, sizeof parts, "%s/parts", folder);
    snprintf(at, sizeof at, "%s/checkpoint-3", whole);
    test_write(folder, "pairs.jsonl", pairs);
    test_write(folder, "rows.jsonl", "{\"prompt\": \"Hello\", \"completion\": \"Good day.\"}\n");
    RUN(&result, "train", "--model", BASE, "--data", rows, "--output-dir", first, "--device", "0",
        "--max-steps", "4", "--lr", "5e-3", "--rank", "4", "--target-modules", "q_proj,o_proj");
    cr_assert_eq(result.code, 0, "%s", result.out);
    // A rate of zero changes nothing of what it began with.
    RUN(&result, "train", "--model", BASE, "--data", rows, "--output-dir", same, "--device", "0",
        "--max-steps", "2", "--lr", "0", "--adapter", first);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "rank 4, alpha 16"), "%s", result.out);
    ts_text a = test_read(first, "adapter_model.safetensors");
    ts_text b = test_read(same, "adapter_model.safetensors");
    cr_assert(a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0);
    ts_text_free(&a);
    ts_text_free(&b);
    RUN(&result, TRAIN(data, whole), "--epochs", "3", "--save-steps", "3", "--adapter", first);
    cr_assert_eq(result.code, 0, "%s", result.out);
    RUN(&result, TRAIN(data, parts), "--epochs", "3", "--save-steps", "3", "--adapter", first,
        "--resume-from-checkpoint", at);
    cr_assert_eq(result.code, 0, "%s", result.out);
    a = test_read(whole, "adapter_model.safetensors");
    b = test_read(parts, "adapter_model.safetensors");
    cr_assert(a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0);
    ts_text_free(&a);
    ts_text_free(&b);
    ts_text card = test_read(whole, "README.md");
    cr_assert_not_null(strstr(card.bytes, "It began as the adapter `first`"), "%s", card.bytes);
    ts_text_free(&card);
    RUN(&result, TRAIN(data, whole), "--epochs", "4", "--adapter", parts);
    cr_assert_eq(result.code, 2, "%s", result.out); // another adapter than it began with
    RUN(&result, TRAIN(data, same), "--rank", "16", "--adapter", first);
    cr_assert_eq(result.code, 2);
    cr_assert_not_null(strstr(result.out, "--rank 16: the adapter to go on with has 4"), "%s",
                       result.out);
    RUN(&result, TRAIN(data, same), "--adapter", folder);
    cr_assert_neq(result.code, 0);
    test_folder_remove(folder);
}

// The pairs that come with the program: half of the prompts do harm, half only look like it.
Test(dpo, its_own_pairs_are_read)
{
    program_result result;
    RUN(&result, "train", "--model", BASE, "--data", PROJECT_FOLDER "/data/preferences.json",
        "--loss", "dpo", "--dry-run");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "64 pairs, "), "%s", result.out);
}
