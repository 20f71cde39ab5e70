// Which values a checkpoint's files may hold, and which checkpoints are kept.
#include "train/checkpoint.h"

#include "run_folder.h"

#include <math.h>

// Prunes with these limits after step `saved`. `evaluations`: those of a run that keeps the best
// checkpoint; NULL: it does not.
static void prune(uint64_t save_limit, uint64_t save_steps, uint64_t saved,
                  const ts_evaluations *evaluations)
{
    const ts_evaluations none = {0};
    const ts_train_settings settings = {.output_dir = folder,
                                        .save_limit = save_limit,
                                        .save_steps = save_steps,
                                        .load_best = evaluations != NULL};
    MUST(ts_checkpoint_prune(&settings, evaluations != NULL ? evaluations : &none, saved, err));
}

TestSuite(checkpoint, .init = folder_make, .fini = folder_remove);

Test(checkpoint, prune_keeps_what_was_just_saved)
{
    put_checkpoint(5);
    put_checkpoint(11);
    put_checkpoint(31);
    damage(31);
    prune(1, 0, 11, NULL);
    cr_assert(there("checkpoint-11"), "the only good one is gone");
    cr_assert_not(there("checkpoint-5"));
    cr_assert(there("checkpoint-31"), "it is damaged, not ours to delete");
}

Test(checkpoint, prune_counts_whole_ones_alone)
{
    for (uint64_t step = 1; step <= 5; step++) {
        put_checkpoint(step);
    }
    damage(3);
    damage(4);
    prune(2, 0, 5, NULL);
    cr_assert(there("checkpoint-5") && there("checkpoint-2"), "two whole ones are to be kept");
    cr_assert_not(there("checkpoint-1"));
    put_checkpoint(6); // higher than the one just saved: left by a run that went further
    put_checkpoint(1);
    prune(1, 0, 5, NULL);
    cr_assert(there("checkpoint-6") && there("checkpoint-5"));
    cr_assert_not(there("checkpoint-1") || there("checkpoint-2"));
}

Test(checkpoint, prune_keeps_the_best_beside_the_newest)
{
    uint64_t steps[] = {1, 2, 3, 4, 5};
    double losses[] = {3, 2, 1, 1.5, 1};
    const ts_evaluations evaluations = {.step = steps, .loss = losses, .count = 5};
    for (uint64_t step = 1; step <= 5; step++) {
        put_checkpoint(step);
    }
    prune(1, 0, 5, &evaluations);
    cr_assert(there("checkpoint-5") && there("checkpoint-3"), "the newest, and the first of two "
                                                              "that are equally good");
    cr_assert_not(there("checkpoint-1") || there("checkpoint-2") || there("checkpoint-4"));
    put_checkpoint(2);
    put_checkpoint(4);
    prune(0, 2, 5, &evaluations);
    cr_assert(there("checkpoint-2") && there("checkpoint-4"), "--save-steps 2 asks for them");
    prune(0, 0, 5, &evaluations);
    cr_assert_not(there("checkpoint-2") || there("checkpoint-4"), "they are the best no longer");
    cr_assert(there("checkpoint-3") && there("checkpoint-5"));
}

Test(checkpoint, what_a_killed_save_left_is_cleaned_and_the_only_one_moved_back)
{
    put_checkpoint(2);
    MUST(ts_folder_make(path_of(".checkpoint-3.123"), err));
    MUST(ts_folder_make(path_of("checkpoint-2.old-123"), err));
    MUST(ts_folder_make(path_of("checkpoint-7.old-123"), err));
    MUST(ts_folder_make(path_of("checkpoint-8.mine"), err));
    MUST(ts_checkpoint_sweep(folder, err));
    cr_assert_not(there(".checkpoint-3.123") || there("checkpoint-2.old-123") ||
                  there("checkpoint-7.old-123"));
    cr_assert(there("checkpoint-2") && there("checkpoint-7") && there("checkpoint-8.mine"));
}

// ---- History

static double losses[] = {3, 2, 1}, rates[] = {1e-3, 1e-3, 0}, norms[] = {1, 0, 2};
static int64_t tokens = 42;
enum { LOSS, RATE, NORM, TOKENS, TENSORS };

static void set_history(ts_tensor tensors[TENSORS])
{
    static const char *const names[] = {"history.loss", "history.learning_rate",
                                        "history.grad_norm", "history.tokens"};
    const void *const values[] = {losses, rates, norms, &tokens};
    for (int i = 0; i < TENSORS; i++) {
        tensors[i] = (ts_tensor){.name = names[i],
                                 .dtype = i == TOKENS ? TS_I64 : TS_F64,
                                 .rank = 1,
                                 .shape = {i == TOKENS ? 1 : 3},
                                 .bytes = values[i],
                                 .len = i == TOKENS ? 8 : 24};
    }
}

static ts_status read_history(const ts_tensor *tensors, uint64_t most, ts_history *history,
                              ts_error *err)
{
    ts_text text = {0};
    ts_tensors *file = NULL;
    MUST(ts_safetensors_serialise(tensors, TENSORS, &text, err));
    put("optimizer.safetensors", text.bytes, text.len);
    MUST(ts_safetensors_open(path_of("optimizer.safetensors"), &file, err));
    ts_status status = ts_checkpoint_read_history(file, most, history, err);
    ts_tensors_close(file);
    ts_text_free(&text);
    return status;
}

static void refused(const ts_tensor *tensors, uint64_t most, const char *word)
{
    ts_history history = {0};
    ts_error err = {0};
    cr_assert_eq(read_history(tensors, most, &history, &err), TS_ERR_FORMAT, "%s", word);
    cr_assert_not_null(strstr(err.message, word), "'%s' is not in: %s", word, err.message);
    ts_history_free(&history);
}

Test(checkpoint, history_comes_back)
{
    ts_tensor tensors[TENSORS];
    ts_history history = {0};
    set_history(tensors);
    MUST(read_history(tensors, 3, &history, err));
    cr_assert(history.count == 3 && history.tokens == 42 && history.loss[2] == 1 &&
              history.rate[0] == 1e-3 && history.grad_norm[2] == 2);
    ts_history_free(&history);
}

Test(checkpoint, history_of_another_type_or_length_is_refused)
{
    ts_tensor tensors[TENSORS];
    for (int i = 0; i < TENSORS; i++) { // fewer bytes than are read
        set_history(tensors);
        tensors[i].dtype = TS_U8;
        tensors[i].len = i == TOKENS ? 1 : 3;
        refused(tensors, 3, tensors[i].name);
    }
    set_history(tensors);
    refused(tensors, 2, "3 steps, and the run has 2");
    tensors[RATE].shape[0] = 2, tensors[RATE].len = 16;
    refused(tensors, 3, "history.learning_rate");
    set_history(tensors);
    tensors[LOSS].rank = 2, tensors[LOSS].shape[1] = 1;
    refused(tensors, 3, "history.loss");
    set_history(tensors);
    for (int i = LOSS; i < TOKENS; i++) {
        tensors[i].shape[0] = 0, tensors[i].len = 0;
    }
    refused(tensors, 3, "history.loss");
}

Test(checkpoint, history_that_no_run_measures_is_refused)
{
    ts_tensor tensors[TENSORS];
    set_history(tensors);
    losses[1] = NAN;
    refused(tensors, 3, "history.loss: step 2");
    losses[1] = 2, rates[2] = -1e-9;
    refused(tensors, 3, "history.learning_rate: step 3");
    rates[2] = 0, norms[0] = INFINITY;
    refused(tensors, 3, "history.grad_norm: step 1");
    norms[0] = 1, tokens = -1;
    refused(tensors, 3, "history.tokens");
}

Test(checkpoint, moments_that_adamw_never_makes_are_refused)
{
    float values[] = {0, 1e-30f, -1};
    ts_tensor tensor = {"exp_avg_sq.x", TS_F32, 1, {3}, values, sizeof values};
    ts_error err = {0};
    cr_assert_eq(ts_checkpoint_check_tensor(&tensor, false, &err), TS_OK);
    cr_assert_eq(ts_checkpoint_check_tensor(&tensor, true, &err), TS_ERR_FORMAT);
    cr_assert_not_null(strstr(err.message, "exp_avg_sq.x: value 2 is -1"), "%s", err.message);
    values[2] = NAN;
    cr_assert_eq(ts_checkpoint_check_tensor(&tensor, false, &err), TS_ERR_FORMAT);
    values[2] = 1, tensor.dtype = TS_F16;
    cr_assert_eq(ts_checkpoint_check_tensor(&tensor, false, &err), TS_ERR_FORMAT);
    cr_assert_not_null(strstr(err.message, "F16"), "%s", err.message);
}
