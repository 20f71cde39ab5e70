// Rows held out from training: which ones, and the loss on them.
#include "train/held_out.h"

#include "base/log.h"
#include "base/memory.h"
#include "run_folder.h"
#include "train/trainer.h"

enum { ROWS = 40 };

static ts_example examples[ROWS];
static uint32_t tokens[ROWS][4];
static const uint8_t supervised[4] = {1, 1, 1, 1};

// Rows of two to four tokens; `kinds` of them differ, the others repeat those.
static ts_dataset rows_of(uint32_t kinds)
{
    ts_dataset dataset = {.examples = examples, .count = ROWS};
    for (uint32_t i = 0; i < ROWS; i++) {
        const uint32_t count = 2 + i % kinds % 3;
        for (uint32_t t = 0; t < count; t++) {
            tokens[i][t] = i % kinds;
        }
        examples[i] = (ts_example){.ids = tokens[i],
                                   .supervised = supervised,
                                   .count = count,
                                   .supervised_count = count - 1,
                                   .line = i + 1};
        dataset.token_count += count;
        dataset.supervised_count += count - 1;
    }
    return dataset;
}

static ts_held_out split(ts_dataset *dataset, double part, uint64_t seed)
{
    ts_held_out out;
    const ts_train_settings settings = {.eval_split = part, .seed = seed, .data = "rows.jsonl"};
    MUST(ts_held_out_open(&settings, NULL, NULL, NULL, dataset, &out, err));
    return out;
}

// Pairs stay whole, and equal ones together; what is one of a pair's two rows is never split off.
Test(held_out, pairs_stay_whole)
{
    enum { PAIRS = ROWS / 2 };
    ts_dataset dataset = rows_of(ROWS);
    dataset.pairs = true;
    for (uint32_t t = 0; t < 4; t++) { // pair 3 is pair 7 again
        for (uint32_t part = 0; part < 2; part++) {
            tokens[6 + part][t] = tokens[14 + part][t];
            examples[6 + part].count = examples[14 + part].count;
            examples[6 + part].supervised_count = examples[14 + part].supervised_count;
        }
    }
    size_t together = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        ts_example copy[ROWS];
        memcpy(copy, examples, sizeof copy);
        ts_dataset all = dataset;
        all.examples = copy;
        ts_held_out out = split(&all, 0.3, seed);
        cr_assert(out.pairs && out.items >= 6 && out.items <= 7, "%d", (int)out.items);
        cr_assert_eq(out.count + all.count, ROWS);
        bool held[PAIRS] = {false};
        for (size_t i = 0; i < out.count; i += 2) {
            cr_assert_eq(out.rows[i].line % 2, 1);
            cr_assert_eq(out.rows[i + 1].line, out.rows[i].line + 1);
            held[out.rows[i].line / 2] = true;
        }
        for (size_t i = 0; i < all.count; i += 2) {
            cr_assert_eq(all.examples[i + 1].line, all.examples[i].line + 1);
            cr_assert_not(held[all.examples[i].line / 2]);
        }
        cr_assert_eq(held[3], held[7]);
        together += held[3];
        ts_held_out_close(&out);
    }
    cr_assert_gt(together, 0);
}

// Nothing is lost, both parts keep their order, and the counts are those of what is left.
static void check_parts(const ts_dataset *training, const ts_held_out *held_out)
{
    uint64_t all = 0, bearing = 0;
    cr_assert_eq(training->count + held_out->count, ROWS);
    for (size_t i = 0; i < training->count; i++) {
        all += training->examples[i].count;
        bearing += training->examples[i].supervised_count;
        cr_assert(i == 0 || training->examples[i - 1].line < training->examples[i].line);
        for (size_t j = 0; j < held_out->count; j++) {
            cr_assert_neq(training->examples[i].ids[0], held_out->rows[j].ids[0],
                          "line %u is trained on and line %u of the same tokens is not",
                          training->examples[i].line, held_out->rows[j].line);
        }
    }
    for (size_t j = 1; j < held_out->count; j++) {
        cr_assert_lt(held_out->rows[j - 1].line, held_out->rows[j].line);
    }
    cr_assert_eq(training->token_count, all);
    cr_assert_eq(training->supervised_count, bearing);
}

Test(held_out, equal_rows_stay_together)
{
    const uint32_t kinds[] = {ROWS, 20, 9, 3, 2};
    for (size_t i = 0; i < TS_COUNT(kinds); i++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            ts_dataset dataset = rows_of(kinds[i]);
            ts_held_out held_out = split(&dataset, 0.3, seed);
            check_parts(&dataset, &held_out);
            cr_assert_geq(held_out.count, 12);
            cr_assert_leq(held_out.count, 12 + ROWS / kinds[i]);
            ts_held_out_close(&held_out);
        }
    }
}

Test(held_out, which_ones_follows_from_the_seed)
{
    ts_dataset one = rows_of(ROWS);
    ts_held_out a = split(&one, 0.05, 1);
    const uint32_t first[] = {a.rows[0].line, a.rows[1].line};
    cr_assert_eq(a.count, 2, "a part of a row is a whole one");
    ts_held_out_close(&a);
    ts_dataset two = rows_of(ROWS);
    ts_held_out b = split(&two, 0.05, 1);
    cr_assert(b.rows[0].line == first[0] && b.rows[1].line == first[1]);
    ts_held_out_close(&b);
    ts_dataset three = rows_of(ROWS);
    ts_held_out c = split(&three, 0.05, 2);
    cr_assert(c.rows[0].line != first[0] || c.rows[1].line != first[1]);
    ts_held_out_close(&c);
}

Test(held_out, a_split_that_leaves_nothing_is_refused)
{
    ts_dataset dataset = rows_of(1);
    ts_held_out out;
    ts_error err = {0};
    const ts_train_settings settings = {.eval_split = 0.1, .data = "rows.jsonl"};
    cr_assert_eq(ts_held_out_open(&settings, NULL, NULL, NULL, &dataset, &out, &err),
                 TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "equal ones stay together"), "%s", err.message);
    cr_assert_eq(out.count, 0);
}

static ts_train_evaluation measured[16];
static size_t measured_count;

static void keep(void *user, const ts_train_evaluation *evaluation)
{
    (void)user;
    measured[measured_count++] = *evaluation;
}

static void train(ts_gpu *gpu, const ts_train_settings *settings, ts_trainer *trainer)
{
    const ts_train_callbacks callbacks = {.evaluated = keep};
    measured_count = 0;
    MUST(ts_trainer_open(settings, trainer, err));
    MUST(ts_trainer_prepare_output(trainer, err));
    MUST(ts_trainer_run(trainer, gpu, &callbacks, err));
}

// The mean over single rows.
static double loss_by_row(ts_trainer *trainer)
{
    double sum = 0;
    ts_batch batch = {0};
    for (size_t i = 0; i < trainer->held_out.count; i++) {
        const ts_example *row = &trainer->held_out.rows[i];
        double loss;
        ts_batch_clear(&batch);
        MUST(ts_batch_add(&batch, row->ids, row->count, row->supervised, err));
        MUST(ts_pass_loss(&trainer->pass, &batch, &loss, err));
        sum += loss;
    }
    ts_batch_free(&batch);
    return sum / (double)trainer->held_out.supervised;
}

TestSuite(held_out_run, .init = folder_make, .fini = folder_remove);

// With a rate that is too high the loss rises again: the result is the adapter of the best step,
// whose loss is the one that was measured then.
Test(held_out_run, the_best_adapter_is_the_result, .timeout = 120)
{
    ts_gpu *gpu = test_gpu_open();
    ts_trainer trainer;
    ts_train_settings settings = ts_train_defaults();
    settings.model_folder = PROJECT_FOLDER "/assets/base";
    settings.data = PROJECT_FOLDER "/data/dataset.json";
    settings.output_dir = path_of("out");
    settings.eval_split = 0.03;
    settings.eval_steps = 2;
    settings.max_steps = 16;
    settings.learning_rate = 0.05;
    settings.schedule = TS_SCHEDULE_CONSTANT;
    settings.load_best = true;
    settings.early_stopping = 3;
    train(gpu, &settings, &trainer);
    const ts_train_evaluation *last = &measured[measured_count - 1];
    cr_assert_lt(last->best_step, last->step, "nothing is shown where the last is the best");
    cr_assert_eq(last->step, trainer.history.count);
    cr_assert_float_eq(loss_by_row(&trainer), last->best_loss, 1e-5);
    cr_assert(last->stops && measured_count >= 4, "it was to stop after three without progress");
    ts_trainer_close(&trainer);
    test_gpu_close(gpu);
}

Test(held_out_run, a_file_of_rows_that_are_trained_on_is_told, .timeout = 120)
{
    static const char rows[] = "{\"prompt\": \"What do cows eat?\", \"completion\": \"Grass.\"}\n"
                               "{\"prompt\": \"Who are you?\", \"completion\": \"A model.\"}\n";
    ts_trainer trainer;
    ts_train_settings settings = ts_train_defaults();
    char data[256], eval_data[256];
    put("data.jsonl", rows, sizeof rows - 1);
    put("eval.jsonl", rows, strcspn(rows, "\n") + 1);
    snprintf(data, sizeof data, "%s", path_of("data.jsonl"));
    snprintf(eval_data, sizeof eval_data, "%s", path_of("eval.jsonl"));
    settings.model_folder = PROJECT_FOLDER "/assets/base";
    settings.data = data;
    settings.eval_data = eval_data;
    MUST(ts_trainer_open(&settings, &trainer, err));
    cr_assert_not_null(strstr(said, "1 of its 1 rows are trained on too"), "%s", said);
    cr_assert_eq(trainer.held_out.count, 1);
    cr_assert_eq(trainer.settings.eval_steps, trainer.batches.steps_per_epoch);
    ts_trainer_close(&trainer);
}
