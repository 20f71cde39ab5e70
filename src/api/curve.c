#include "api/curve.h"

#include "base/file.h"
#include "base/memory.h"
#include "eval/plot.h"

#include <stdlib.h>
#include <string.h>

// "TinyLlama-1.1B-Chat-v1.0 on dataset.json, learning rate 5e-05"
static ts_status make_title(const ts_trainer *trainer, ts_text *out, ts_error *err)
{
    const ts_train_settings *s = &trainer->settings;
    const char *model = s->base_model != NULL ? s->base_model : s->model_folder;
    size_t len = strlen(model);
    while (len > 1 && model[len - 1] == '/') {
        len--;
    }
    const char *slash = memrchr(model, '/', len - 1);
    int from = slash != NULL ? (int)(slash + 1 - model) : 0;
    return ts_text_format(out, err, "%.*s on %s, learning rate %g", (int)len - from, model + from,
                          ts_path_name(s->data), s->learning_rate);
}

ts_status ts_api_write_curve(void *unused, const ts_trainer *trainer, ts_error *err)
{
    (void)unused;
    ts_status status = TS_OK;
    ts_text path = {0}, title = {0};
    const ts_evaluations *e = &trainer->history.evaluations;
    double *held_out_step = NULL;
    TS_TRY(make_title(trainer, &title, err));
    TS_TRY(ts_alloc(e->count + 1, sizeof *held_out_step, &held_out_step, err));
    for (size_t i = 0; i < e->count; i++) {
        held_out_step[i] = (double)e->step[i];
    }
    const ts_curve curve = {.title = title.bytes,
                            .count = trainer->history.count,
                            .loss = trainer->history.loss,
                            .learning_rate = trainer->history.rate,
                            .grad_norm = trainer->history.grad_norm,
                            .held_out_step = held_out_step,
                            .held_out_loss = e->loss,
                            .held_out_count = e->count,
                            .interval = trainer->settings.logging_steps};
    TS_TRY(ts_path_join(trainer->settings.output_dir, "training_curve.png", &path, err));
    TS_TRY(ts_plot_write(&curve, path.bytes, err));
out:
    free(held_out_step);
    ts_text_free(&title);
    ts_text_free(&path);
    return status;
}
