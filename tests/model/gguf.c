// Models of GGUF files on the device: an embedding in blocks gives the same wherever it lies.
#include "../gguf_model.h"
#include "model/pass.h"
#include "opened.h"

#include <unistd.h>

#define BASE PROJECT_FOLDER "/assets/base"

// Adds lm_head as a tensor of its own, with the embedding's values.
static void add_head(gguf_file *file)
{
    ts_weights *weights = NULL;
    const ts_tensors *tensors;
    ts_text bytes = {0};
    MUST(ts_weights_open(BASE, &weights, err));
    MUST(ts_weights_tensors(weights, &tensors, err));
    const ts_tensor *embedding = ts_tensors_find(tensors, "model.embed_tokens.weight");
    const uint64_t rows = embedding->shape[0], cols = embedding->shape[1];
    gguf_model_convert(&bytes, embedding, embedding->bytes, rows * cols, 8);
    gguf_tensor(file, "output.weight", 2, (const uint64_t[]){cols, rows}, 8, bytes.bytes,
                bytes.len);
    ts_text_free(&bytes);
    ts_weights_close(weights);
}

static double loss_of(ts_gpu *gpu, const char *path, bool in_file)
{
    static const uint32_t ids[] = {1, 718, 448, 1501, 573, 290, 2, 2047};
    enum { COUNT = sizeof ids / sizeof *ids };
    uint8_t supervised[COUNT];
    ts_model model = {0};
    ts_pass pass = {0};
    ts_batch batch = {0};
    double loss = 0;
    memset(supervised, 1, sizeof supervised);
    supervised[0] = 0;
    test_model_open(gpu, path, (ts_model_params){.positions = 16, .embedding_in_file = in_file},
                    &model);
    cr_expect_eq(model.embedding_in_file, in_file);
    MUST(ts_pass_open(&model, (ts_pass_limits){.rows = 16, .loss_rows = 16}, &pass, err));
    MUST(ts_batch_add(&batch, ids, COUNT, supervised, err));
    MUST(ts_pass_loss(&pass, &batch, &loss, err));
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
    return loss;
}

Test(gguf, an_embedding_in_blocks_is_the_same_in_its_file_and_on_the_device)
{
    char path[] = "/tmp/tinysft-gguf-XXXXXX";
    close(mkstemp(path));
    ts_gpu *gpu = test_gpu_open();
    gguf_model_write(BASE, path, 8, NULL);
    const double tied = loss_of(gpu, path, false);
    gguf_model_write(BASE, path, 8, add_head);
    const double on_device = loss_of(gpu, path, false), in_file = loss_of(gpu, path, true);
    cr_expect(tied > 0 && tied < 100);
    cr_expect_eq(on_device, tied);
    cr_expect_eq(in_file, tied);
    ts_gpu_close(gpu);
    remove(path);
}
