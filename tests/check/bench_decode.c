// Timing the decoder: what its rows say of a small model can be counted by hand.
#include "check/bench_decode.h"
#include "opened.h"

#define MODEL_FOLDER PROJECT_FOLDER "/tests/golden/tiny_sharded/model"

Test(bench_decode, counts_what_a_step_reads)
{
    const uint32_t sequences[] = {1, 3};
    ts_bench_decode_row rows[2];
    ts_model model = {0};
    ts_gpu *gpu = test_gpu_open();
    test_model_open(gpu, MODEL_FOLDER, (ts_model_params){.positions = 8}, &model);
    MUST(ts_bench_decode(gpu,
                         &(ts_bench_decode_params){.config = &model.config,
                                                   .weights = opened[0].weights,
                                                   .sequences = sequences,
                                                   .count = 2,
                                                   .prompt_tokens = 3,
                                                   .new_tokens = 2,
                                                   .rounds = 1},
                         rows, err));
    // Every linear layer and lm_head, in F16.
    uint64_t weights = (uint64_t)model.config.vocab * model.config.hidden;
    for (uint32_t layer = 0; layer < model.config.layers; layer++) {
        weights += (uint64_t)model.config.hidden *
                   (2 * ts_config_q_size(&model.config) + 2 * ts_config_kv_size(&model.config) +
                    3 * (uint64_t)model.config.ffn);
    }
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(rows[i].sequences, sequences[i]);
        cr_expect_eq(rows[i].weight_bytes, 2 * weights);
        cr_expect_float_eq(rows[i].flops, 2.0 * (double)weights * sequences[i], 1);
        cr_expect_gt(rows[i].step_s, 0);
        cr_expect_lt(rows[i].step_s, 60);
        cr_expect_gt(rows[i].prompt_s, 0);
        cr_expect_gt(rows[i].dispatches, 10 * model.config.layers);
    }
    test_model_close(&model);
    test_gpu_close(gpu);
}

Test(bench_decode, counts_quantised_weights)
{
    const uint32_t one = 1;
    ts_bench_decode_row row;
    ts_model model = {0};
    ts_gpu *gpu = test_gpu_open();
    test_model_open(gpu, PROJECT_FOLDER "/assets/base", (ts_model_params){.positions = 8}, &model);
    MUST(ts_bench_decode(gpu,
                         &(ts_bench_decode_params){.config = &model.config,
                                                   .weights = opened[0].weights,
                                                   .quantise = {.linear = TS_Q8_0},
                                                   .sequences = &one,
                                                   .count = 1,
                                                   .prompt_tokens = 3,
                                                   .new_tokens = 2,
                                                   .rounds = 1},
                         &row, err));
    // A block of Q8_0 holds 32 elements in 34 bytes; lm_head is the embedding, in BF16.
    const uint64_t head = (uint64_t)model.config.vocab * model.config.hidden;
    const double linear = row.flops / 2 - (double)head;
    cr_expect_float_eq(row.weight_bytes, linear * 34 / 32 + 2.0 * (double)head, 1);
    test_model_close(&model);
    test_gpu_close(gpu);
}
