// How a run is made to fit the largest tensor that a device can bind: smaller micro-batches, or an
// error that says what would help.
#include "run_folder.h"
#include "train/trainer_parts.h"

static ts_train_settings settings_for(const char *data, uint64_t binding_limit)
{
    ts_train_settings settings = ts_train_defaults();
    settings.model_folder = PROJECT_FOLDER "/assets/base";
    settings.data = data;
    settings.output_dir = folder;
    settings.batch_size = 64;
    settings.binding_limit = binding_limit;
    return settings;
}

Test(plan, no_tensor_is_larger_than_a_device_binds)
{
    enum { LIMIT = 3 << 19 };
    ts_trainer trainer;
    folder_make();
    ts_train_settings settings = settings_for(PROJECT_FOLDER "/data/dataset.json", 0);
    MUST(ts_trainer_open(&settings, &trainer, err));
    cr_assert(trainer.plan.fits && trainer.plan.largest > LIMIT, "nothing to make smaller");
    cr_assert_eq(trainer.batches.micro_size, 64);
    ts_trainer_close(&trainer);
    settings.binding_limit = LIMIT;
    MUST(ts_trainer_open(&settings, &trainer, err));
    MUST(ts_trainer_check_fit(&trainer, err));
    cr_assert_leq(trainer.plan.largest, LIMIT);
    cr_assert(trainer.batches.micro_size < 64 && trainer.batches.micro_size > 1);
    cr_assert_eq(trainer.limits.recompute, 0, "recomputing makes no tensor smaller");
    cr_assert_not_null(strstr(said, "reaches 1.5 MiB of one: micro-batches of 32"), "%s", said);
    ts_trainer_close(&trainer);
    folder_remove();
}

// Where memory is short, logits are made of fewer rows at a time before anything is computed again.
// A CPU driver has them so from the start.
Test(plan, fewer_logits_come_before_recomputation)
{
    ts_trainer trainer;
    folder_make();
    ts_train_settings settings = settings_for(PROJECT_FOLDER "/data/dataset.json", 0);
    settings.batch_size = 2;
    MUST(ts_trainer_open(&settings, &trainer, err));
    const uint64_t many = trainer.plan.total;
    cr_assert(trainer.limits.many_logits);
    ts_trainer_close(&trainer);
    settings.few_logits = true;
    MUST(ts_trainer_open(&settings, &trainer, err));
    cr_assert_not(trainer.limits.many_logits);
    ts_trainer_close(&trainer);
    settings.few_logits = false;
    settings.memory_limit = many - 1;
    MUST(ts_trainer_open(&settings, &trainer, err));
    cr_assert(trainer.plan.fits);
    cr_assert(trainer.embedding_in_file, "this alone may be enough");
    settings.memory_limit = trainer.plan.total - 1;
    ts_trainer_close(&trainer);
    MUST(ts_trainer_open(&settings, &trainer, err));
    cr_assert_not(trainer.limits.many_logits);
    ts_trainer_close(&trainer);
    folder_remove();
}

// A plan for bf16 is made again in f32 if the matrix units turn out to be unusable on the running
// device.
Test(plan, is_made_again_in_f32_without_matrix_units)
{
    ts_trainer trainer;
    ts_error error = {0};
    folder_make();
    ts_train_settings settings = settings_for(PROJECT_FOLDER "/data/dataset.json", 0);
    settings.few_logits = true; // else logits are the largest tensor in both
    MUST(ts_trainer_open(&settings, &trainer, err));
    const uint64_t in_f32 = trainer.plan.total;
    ts_trainer_close(&trainer);
    settings.precision = TS_PRECISION_BF16;
    MUST(ts_trainer_open(&settings, &trainer, err));
    const uint64_t in_bf16 = trainer.plan.total, largest = trainer.plan.largest;
    cr_assert_lt(in_bf16, in_f32);
    MUST(ts_trainer_plan_again(&trainer, err));
    cr_assert_eq(trainer.plan.total, in_bf16);
    trainer.settings.precision = TS_PRECISION_F32;
    MUST(ts_trainer_plan_again(&trainer, err));
    cr_assert_eq(trainer.plan.total, in_f32);
    ts_trainer_close(&trainer);
    settings.binding_limit = largest; // which the largest tensor exceeds in f32
    MUST(ts_trainer_open(&settings, &trainer, err));
    cr_assert_eq(trainer.batches.micro_size, 64);
    trainer.settings.precision = TS_PRECISION_F32;
    cr_assert_eq(ts_trainer_plan_again(&trainer, &error), TS_ERR_MEMORY);
    cr_assert_not_null(strstr(error.message, "ask for --precision f32"), "%s", error.message);
    ts_trainer_close(&trainer);
    folder_remove();
}

Test(plan, one_example_too_long_to_bind_is_told)
{
    enum { LIMIT = 9 << 17, WORDS = 450 };
    char row[WORDS * 2 + 64] = "{\"prompt\": \"Count.\", \"completion\": \"";
    ts_trainer trainer;
    ts_error error = {0};
    folder_make();
    for (int i = 0; i < WORDS; i++) {
        strcat(row, i % 2 == 0 ? "7" : ".");
    }
    strcat(row, "\"}\n");
    put("rows.jsonl", row, strlen(row));
    const ts_train_settings settings = settings_for(path_of("rows.jsonl"), LIMIT);
    MUST(ts_trainer_open(&settings, &trainer, err));
    cr_assert_eq(ts_trainer_check_fit(&trainer, &error), TS_ERR_MEMORY);
    cr_assert_not_null(strstr(error.message, "a lower --max-length"), "%s", error.message);
    ts_trainer_close(&trainer);
    folder_remove();
}

// Embedding and lm_head are cut into ranges that fit; a linear layer is not.
Test(plan, a_weight_too_large_to_bind_is_named)
{
    ts_trainer trainer;
    ts_error error = {0};
    folder_make();
    const ts_train_settings settings = settings_for(PROJECT_FOLDER "/data/dataset.json", 1 << 18);
    cr_assert_eq(ts_trainer_open(&settings, &trainer, &error), TS_ERR_UNSUPPORTED);
    cr_assert_not_null(strstr(error.message,
                              "weight model.layers.0.mlp.gate_proj.weight has 0.3 MiB, "
                              "and a shader of this device reaches 0.2 MiB"),
                       "%s", error.message);
    folder_remove();
}
