// A whole run against the same run in float64 PyTorch: tokens, template, loss mask, order of the
// rows over epochs whose last step is short, learning rates, clipping and AdamW.
//
// The numbers are from tools/golden/compare_run.py and hold for this assets/base only.
#include "program.h"

#include <math.h>

Test(train_reference, losses_are_those_of_pytorch, .timeout = 300)
{
    static const char rows[] =
        "{\"prompt\": \"What is the capital of France?\", \"completion\": \"Paris.\"}\n"
        "{\"prompt\": \"What do cows eat?\", \"completion\": \"Cows eat grass.\"}\n"
        "{\"prompt\": \"Good morning!\", \"completion\": \"Good morning! I am glad to help.\"}\n"
        "{\"prompt\": \"What is 2 plus 2?\", \"completion\": \"4.\"}\n"
        "{\"prompt\": \"Who are you?\", \"completion\": \"A small model.\"}\n";
    static const double losses[] = {4.508149300, 1.636451291, 4.015854315,
                                    1.969568389, 3.434703536, 1.761441842};
    static const double norms[] = {4.052168906, 4.261780377, 4.051483559,
                                   3.999593822, 4.680071864, 4.686614573};
    char folder[64], data[96], out[96];
    program_result result;
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    test_write(folder, "data.jsonl", rows);
    RUN(&result, "train", "--model", PROJECT_FOLDER "/assets/base", "--data", data, "--output-dir",
        out, "--batch-size", "2", "--grad-accum", "2", "--epochs", "3", "--rank", "4", "--alpha",
        "16", "--use-rslora", "--target-modules", "all-linear", "--lr", "1e-3", "--schedule",
        "cosine", "--warmup-steps", "1", "--weight-decay", "0.1", "--max-grad-norm", "0.3",
        "--logging-steps", "1", "--precision", "f32", "--device", "0");
    cr_assert_eq(result.code, 0, "%s", result.out);
    ts_text state = test_read(out, "trainer_state.json");
    const char *at = state.bytes;
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        double norm = 0, loss = 0;
        at = strstr(at, "\"grad_norm\":");
        cr_assert_not_null(at, "step %zu is missing", i + 1);
        sscanf(at, "\"grad_norm\": %lf", &norm);
        at = strstr(at, "\"loss\":");
        cr_assert_not_null(at);
        sscanf(at, "\"loss\": %lf", &loss);
        cr_expect(fabs(loss / losses[i] - 1) < 1e-5, "step %zu: loss %.9f, PyTorch %.9f", i + 1,
                  loss, losses[i]);
        cr_expect(fabs(norm / norms[i] - 1) < 1e-4, "step %zu: gradient norm %.9f, PyTorch %.9f",
                  i + 1, norm, norms[i]);
    }
    ts_text_free(&state);
    test_folder_remove(folder);
}
