#include "export/export.h"

#include "base/memory.h"
#include "export/gguf.h"
#include "export/hf.h"
#include "export/ollama.h"

#include <string.h>

typedef ts_status (*step)(const ts_export_source *source, const ts_export_params *params,
                          ts_error *err);

static const struct {
    const char *name;
    step check, run;
} formats[TS_EXPORT_FORMAT_COUNT] = {
    [TS_EXPORT_HF] = {"hf", ts_export_hf_check, ts_export_hf},
    [TS_EXPORT_GGUF] = {"gguf", ts_export_gguf_check, ts_export_gguf},
    [TS_EXPORT_GGUF_ADAPTER] = {"gguf-adapter", ts_export_gguf_adapter_check,
                                ts_export_gguf_adapter},
};

const char *ts_export_format_name(size_t index)
{
    return index < TS_COUNT(formats) ? formats[index].name : NULL;
}

bool ts_export_format_parse(const char *name, ts_export_format *out)
{
    for (size_t i = 0; i < TS_COUNT(formats); i++) {
        if (strcmp(name, formats[i].name) == 0) {
            *out = (ts_export_format)i;
            return true;
        }
    }
    return false;
}

ts_status ts_export_check(const ts_export_source *source, const ts_export_params *params,
                          ts_error *err)
{
    ts_status status = formats[params->format].check(source, params, err);
    return status == TS_OK && params->ollama ? ts_ollama_check(params, err) : status;
}

ts_status ts_export_run(const ts_export_source *source, const ts_export_params *params,
                        ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_export_check(source, params, err));
    TS_TRY(formats[params->format].run(source, params, err));
    TS_TRY(params->ollama ? ts_ollama_write(source, params, err) : TS_OK);
out:
    return status;
}
