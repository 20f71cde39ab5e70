// The names that a flag's value may be. Each list is read from where its names are defined.
#include "base/blocks.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "data/adapter.h"
#include "data/template.h"
#include "train/settings.h"

#include <stdio.h>
#include <string.h>

const char *ts_choice_precision(size_t index)
{
    return index == 0                       ? "auto"
           : index - 1 <= TS_PRECISION_BF16 ? ts_precision_name((ts_precision)(index - 1))
                                            : NULL;
}

const char *ts_choice_quantize(size_t index)
{
    return ts_quantise_choice(index);
}

ts_status ts_cli_choose_quantize(const char *name, ts_quantise *out, ts_error *err)
{
    *out = (ts_quantise){0};
    return name == NULL ? TS_OK : ts_quantise_parse(name, out, err);
}

const char *ts_choice_schedule(size_t index)
{
    return index < TS_SCHEDULE_COUNT ? ts_schedule_name((ts_schedule)index) : NULL;
}

const char *ts_choice_train_on(size_t index)
{
    return index < TS_TRAIN_ON_COUNT ? ts_train_on_name((ts_train_on)index) : NULL;
}

const char *ts_choice_init_lora(size_t index)
{
    return index < TS_LORA_INIT_COUNT ? ts_lora_init_name((ts_lora_init)index) : NULL;
}

const char *ts_choice_loss(size_t index)
{
    return index < TS_LOSS_COUNT ? ts_losses[index].name : NULL;
}

const char *ts_choice_module(size_t index)
{
    return index == 0                 ? "all-linear"
           : index <= TS_MODULE_COUNT ? ts_module_name((ts_module)(index - 1))
                                      : NULL;
}

// Cuts a name out of "zephyr, chatml, ..."; it is valid until the next call.
const char *ts_choice_template(size_t index)
{
    static char name[32];
    const char *from = TS_CHAT_TEMPLATE_NAMES;
    for (; index > 0; index--) {
        from = strstr(from, ", ");
        if (from == NULL) {
            return NULL;
        }
        from += 2;
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(from, ","), from);
    return name;
}

const char *ts_choice_mask(size_t index)
{
    return tinysft_device_feature(index).name; // NULL after the last
}

ts_status ts_cli_parse_masks(const char *names, void *masks, ts_error *err)
{
    return ts_gpu_masks_parse(names, masks, err);
}

const char *ts_choice_format(size_t index)
{
    static const char *const names[] = {"hf", "gguf", "gguf-adapter"};
    return index < TS_COUNT(names) ? names[index] : NULL;
}

const char *ts_choice_dtype(size_t index)
{
    static const char *const names[] = {"f32", "f16", "bf16", "q8_0"};
    return index < TS_COUNT(names) ? names[index] : NULL;
}
