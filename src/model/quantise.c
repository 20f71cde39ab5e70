#include "model/quantise.h"

#include "base/log.h"

static bool is_linear(const ts_weight *weight)
{
    return weight->part == TS_WEIGHT_LINEAR || weight->part == TS_WEIGHT_HEAD;
}

// The type that `quantise` asks for this weight; TS_F32: none.
static ts_dtype asked_for(const ts_weight *weight, ts_quantise quantise)
{
    return weight->part == TS_WEIGHT_LINEAR ? quantise.linear
           : weight->part == TS_WEIGHT_HEAD ? quantise.head
                                            : TS_F32;
}

ts_dtype ts_weight_held_as(const ts_weight *weight, ts_dtype stored, ts_quantise quantise,
                           ts_precision precision)
{
    if (weight->plus_one) {
        return TS_F32;
    }
    const ts_dtype asked = asked_for(weight, quantise);
    const bool fits = weight->cols % ts_dtype_block(asked) == 0;
    if (asked == TS_F32 || ts_dtype_block(stored) > 1 || !fits) {
        return is_linear(weight) ? ts_precision_weights(precision, stored) : stored;
    }
    return asked == TS_NF4 && stored != TS_F32 ? TS_NF4_16 : asked;
}

ts_status ts_quantise_check(const ts_model_config *config, const ts_tensors *files,
                            ts_quantise quantise, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t large = 0, left = 0;
    ts_weight weight, odd = {0};
    for (uint32_t i = 0; i < ts_weight_count(config); i++) {
        ts_weight_describe(config, i, &weight);
        const ts_dtype asked = asked_for(&weight, quantise);
        const ts_tensor *tensor = files != NULL ? ts_tensors_find(files, weight.name) : NULL;
        if (asked != TS_F32 && tensor != NULL && ts_dtype_block(tensor->dtype) > 1) {
            TS_FAIL(TS_ERR_ARGUMENT,
                    "--quantize: the model's files are quantised already (%s is %s): leave it out, "
                    "or take the model's unquantised files",
                    weight.name, ts_dtype_name(tensor->dtype));
        }
        large += asked != TS_F32;
        if (ts_weight_held_as(&weight, TS_F32, quantise, TS_PRECISION_F32) != asked) {
            odd = weight;
            left++;
        }
    }
    if (left == 0) {
        goto out;
    }
    const ts_dtype asked = asked_for(&odd, quantise);
    if (left == large) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "nothing of this model can be quantised to %s: its blocks are %u elements of a "
                "row, and %s has rows of %u",
                ts_dtype_name(asked), ts_dtype_block(asked), odd.name, odd.cols);
    }
    ts_log_once(TS_LOG_WARN,
                "%u of %u weights stay as they are stored, for their rows are not whole "
                "blocks of %u as %s has them: %s (%u)%s",
                left, large, ts_dtype_block(asked), ts_dtype_name(asked), odd.name, odd.cols,
                left > 1 ? ", ..." : "");
out:
    return status;
}

ts_status ts_quantise_describe(const ts_model_config *config, const ts_tensors *files,
                               ts_quantise quantise, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t linear = 0, head = 0; // 1 << dtype for each type in blocks that occurs
    ts_text_clear(out);
    for (uint32_t i = 0; i < ts_weight_count(config); i++) {
        ts_weight weight;
        ts_weight_describe(config, i, &weight);
        const ts_tensor *tensor = files != NULL ? ts_tensors_find(files, weight.name) : NULL;
        const ts_dtype stored = tensor != NULL ? tensor->dtype : TS_F32;
        const ts_dtype held = ts_weight_held_as(&weight, stored, quantise, TS_PRECISION_F32);
        // Both kinds of NF4 are the same numbers.
        const uint32_t bit = held == TS_NF4_16          ? 1u << TS_NF4
                             : ts_dtype_block(held) > 1 ? 1u << held
                                                        : 0;
        linear |= weight.part == TS_WEIGHT_LINEAR ? bit : 0;
        head |= weight.part == TS_WEIGHT_HEAD ? bit : 0;
    }
    for (ts_dtype dtype = 0; dtype < TS_WEIGHT_TYPES; dtype++) {
        const uint32_t bit = 1u << dtype;
        if (linear & bit) {
            TS_TRY(ts_text_list(out, linear < 2 * bit ? " and " : ", ", ts_dtype_name(dtype), err));
        }
    }
    for (ts_dtype dtype = 0; dtype < TS_WEIGHT_TYPES; dtype++) {
        if (head & ~linear & 1u << dtype) {
            TS_TRY(ts_text_format(out, err, "%slm_head in %s", out->len > 0 ? ", " : "",
                                  ts_dtype_name(dtype)));
        }
    }
out:
    return status;
}
