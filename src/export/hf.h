// A merged model as a folder in Hugging Face's layout.
#ifndef TS_EXPORT_HF_H
#define TS_EXPORT_HF_H

#include "export/export.h"

// ts_export_check and ts_export_run for TS_EXPORT_HF.
ts_status ts_export_hf_check(const ts_export_source *source, const ts_export_params *params,
                             ts_error *err);
ts_status ts_export_hf(const ts_export_source *source, const ts_export_params *params,
                       ts_error *err);

#endif
