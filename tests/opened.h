// Opens a model from its folder in one call, for tests.
#ifndef TESTS_OPENED_H
#define TESTS_OPENED_H

#include "base/memory.h"
#include "device.h"
#include "model/model.h"

// The files of the models that are open, which must outlive them.
static struct {
    const ts_model *model;
    ts_weights *weights;
} opened[8];

// FOLDER's model on the device. `params` without its config and weights.
static inline ts_status test_model_try(ts_gpu *gpu, const char *folder, ts_model_params params,
                                       ts_model *out, ts_error *err)
{
    size_t i = 0;
    ts_model_config config;
    while (opened[i].model != NULL) {
        cr_assert_lt(++i, TS_COUNT(opened));
    }
    ts_status status = ts_weights_open(folder, &params.weights, err);
    status = status == TS_OK ? ts_model_check(params.weights, &config, err) : status;
    params.config = &config;
    status = status == TS_OK ? ts_model_open(gpu, &params, out, err) : status;
    if (status != TS_OK) {
        ts_weights_close(params.weights);
        return status;
    }
    opened[i].model = out;
    opened[i].weights = params.weights;
    return TS_OK;
}

static inline void test_model_open(ts_gpu *gpu, const char *folder, ts_model_params params,
                                   ts_model *out)
{
    MUST(test_model_try(gpu, folder, params, out, err));
}

static inline void test_model_close(ts_model *model)
{
    ts_model_close(model);
    for (size_t i = 0; i < TS_COUNT(opened); i++) {
        if (opened[i].model == model) {
            ts_weights_close(opened[i].weights);
            opened[i].model = NULL;
        }
    }
}

#endif
