// The largest elements of frozen weights. Products in f16 scale an operand in f32 by its largest
// element (ops/gemm.h). A weight never changes, so it is searched once, when the model is opened.
#include "model/internal.h"

#include "base/memory.h"

// Finds weight i of a list: first all linear layers, then the ranges of lm_head. *largest is where
// the view of its largest elements is kept. Returns false after the end of the list.
static bool weight_at(ts_model *model, size_t i, ts_view *weight, ts_view **largest)
{
    const size_t layer = i / TS_MODULE_COUNT, module = i % TS_MODULE_COUNT;
    if (layer < model->config.layers) {
        *weight = model->layers[layer].linear[module];
        *largest = &model->layers[layer].largest[module];
        return true;
    }
    const size_t range = i - (size_t)model->config.layers * TS_MODULE_COUNT;
    if (range >= model->lm_head.count) {
        return false;
    }
    *weight = model->lm_head.ranges[range];
    *largest = &model->lm_head.largest[range];
    return true;
}

ts_status ts_model_place_largest(ts_model *model, ts_precision precision, ts_error *err)
{
    ts_status status = TS_OK;
    ts_view weight, *largest;
    for (size_t i = 0; precision == TS_PRECISION_F16 && weight_at(model, i, &weight, &largest);
         i++) {
        if (weight.dtype == TS_F32 || weight.dtype == TS_F64) {
            TS_TRY(ts_gpu_alloc(&model->weights, TS_F32, TS_LARGEST_COUNT, largest, err));
        }
    }
out:
    return status;
}

ts_status ts_model_find_largest(ts_model *model, ts_error *err)
{
    ts_status status = TS_OK;
    ts_recorder *recorder = NULL;
    ts_view weight, *largest;
    TS_TRY(ts_recorder_open(model->gpu, &recorder, err));
    for (size_t i = 0; weight_at(model, i, &weight, &largest); i++) {
        if (largest->buffer != NULL) {
            ts_absmax(recorder, &(struct ts_absmax_args){
                                    .x = weight,
                                    .largest = *largest,
                                    .count = (uint32_t)ts_dtype_count(weight.dtype, weight.bytes)});
        }
    }
    TS_TRY(ts_recorder_run(recorder, err));
out:
    ts_recorder_close(recorder);
    return status;
}
