// trainer_state.json from a history: it does not depend on when it was written before, and many
// steps do not make it slow.
#include "train/history.h"

#include "base/json.h"
#include "device.h"

#include <string.h>

static void push(ts_history *history, size_t count)
{
    while (history->count < count) {
        size_t i = history->count;
        MUST(ts_history_push(history, 3.0 / (double)(1 + i), 1e-3, 1.5, err));
    }
}

static ts_text write_state(ts_history *history, const ts_train_settings *settings, uint64_t steps)
{
    ts_text text = {0};
    MUST(ts_history_write_state(history, settings, steps, 7, NULL, &text, err));
    return text;
}

Test(history, a_checkpoint_on_the_way_changes_nothing)
{
    ts_train_settings settings = ts_train_defaults();
    const uint64_t every[] = {0, 1, 4, 10};
    for (size_t i = 0; i < 4; i++) {
        ts_history often = {0}, once = {0};
        settings.logging_steps = every[i];
        for (size_t count = 0; count <= 25; count++) {
            push(&often, count);
            ts_text text = write_state(&often, &settings, 25);
            ts_text_free(&text);
        }
        push(&once, 25);
        ts_text one = write_state(&once, &settings, 25), other = write_state(&often, &settings, 25);
        cr_assert_str_eq(one.bytes, other.bytes);
        ts_text_free(&one);
        ts_text_free(&other);
        ts_history_free(&once);
        ts_history_free(&often);
    }
}

Test(history, entries_tell_the_mean_since_the_last_one)
{
    ts_train_settings settings = ts_train_defaults();
    ts_history history = {0};
    cJSON *json = NULL;
    size_t steps;
    settings.logging_steps = 3;
    push(&history, 5);
    ts_text text = write_state(&history, &settings, 5);
    MUST(ts_json_parse(text.bytes, text.len, "state", &json, err));
    const cJSON *log = ts_json_get(json, "log_history");
    cr_assert_eq(cJSON_GetArraySize(log), 2);
    const double loss[] = {(3 + 1.5 + 1) / 3, (0.75 + 0.6) / 2};
    for (int i = 0; i < 2; i++) {
        const cJSON *entry = cJSON_GetArrayItem(log, i);
        cr_assert_float_eq(ts_json_get(entry, "loss")->valuedouble, loss[i], 1e-12);
        cr_assert_eq(ts_json_get(entry, "step")->valuedouble, i == 0 ? 3 : 5);
        cr_assert_float_eq(ts_history_mean(&history, 3, i == 1, &steps), loss[i], 1e-12);
        cr_assert_eq(steps, i == 0 ? 3 : 2);
    }
    cJSON_Delete(json);
    ts_text_free(&text);
    ts_history_free(&history);
}

// Each entry is made once: 50 checkpoints of 400,000 steps take a second.
Test(history, many_checkpoints_of_many_steps, .timeout = 60)
{
    ts_train_settings settings = ts_train_defaults();
    ts_history history = {0};
    for (size_t count = 8000; count <= 400000; count += 8000) {
        push(&history, count);
        ts_text text = write_state(&history, &settings, 400000);
        cr_assert_gt(text.len, count * 5);
        ts_text_free(&text);
    }
    ts_history_free(&history);
}

// Under transformers' names, each after its step, written once however often the state is.
Test(history, evaluations_have_entries_and_the_best_is_named)
{
    ts_train_settings settings = ts_train_defaults();
    ts_history history = {0};
    cJSON *json = NULL;
    settings.logging_steps = 2;
    settings.eval_steps = 3;
    settings.load_best = true;
    push(&history, 3);
    ts_text before = write_state(&history, &settings, 6); // saved before the loss was measured
    ts_text_free(&before);
    MUST(ts_evaluations_push(&history.evaluations, 3, 0.5, err));
    push(&history, 6);
    MUST(ts_evaluations_push(&history.evaluations, 6, 0.75, err));
    ts_text text = write_state(&history, &settings, 6);
    MUST(ts_json_parse(text.bytes, text.len, "state", &json, err));
    const cJSON *log = ts_json_get(json, "log_history");
    const struct {
        double step;
        const char *key;
    } expected[] = {{2, "loss"}, {3, "eval_loss"}, {4, "loss"}, {6, "loss"}, {6, "eval_loss"}};
    cr_assert_eq(cJSON_GetArraySize(log), 5);
    for (int i = 0; i < 5; i++) {
        const cJSON *entry = cJSON_GetArrayItem(log, i);
        cr_expect_eq(ts_json_get(entry, "step")->valuedouble, expected[i].step, "entry %d", i);
        cr_expect_not_null(ts_json_get(entry, expected[i].key), "entry %d", i);
    }
    cr_expect_eq(ts_json_get(json, "best_global_step")->valuedouble, 3);
    cr_expect_eq(ts_json_get(json, "best_metric")->valuedouble, 0.5);
    cr_expect_str_eq(ts_json_get(json, "best_model_checkpoint")->valuestring, "checkpoint-3");
    cr_expect_eq(ts_json_get(json, "eval_steps")->valuedouble, 3);
    cJSON_Delete(json);
    ts_text_free(&text);
    ts_history_free(&history);
}
