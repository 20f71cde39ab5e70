// model/config.c: a model's config.json. If it is accepted, the shape must be valid.
#include "fuzz.h"

#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_error err = {0};
    ts_model_config config = {0};
    fuzz_file("config.json", data, size);
    ts_weights *weights = NULL;
    ts_status status = ts_weights_open(fuzz_folder(), &weights, &err);
    status = status == TS_OK ? ts_model_config_read(weights, &config, &err) : status;
    ts_weights_close(weights);
    fuzz_check_status(status, &err);
    if (status == TS_OK) {
        FUZZ_CHECK(config.hidden > 0 && config.ffn > 0 && config.layers > 0 && config.vocab > 0);
        FUZZ_CHECK(config.kv_heads > 0 && config.heads % config.kv_heads == 0);
        FUZZ_CHECK(config.head_dim > 0 && config.head_dim % 4 == 0);
        FUZZ_CHECK(config.rms_eps >= 0 && config.rope.theta > 0);
        FUZZ_CHECK(ts_config_q_size(&config) / config.heads == config.head_dim);
    }
    return 0;
}
