// Writes an evaluation's reports.
#include "api/evaluation.h"

#include "base/file.h"
#include "eval/picture.h"
#include "eval/review.h"

// `given`, or FOLDER/NAME if it is NULL.
static ts_status place(const char *given, const char *folder, const char *name, ts_text *out,
                       ts_error *err)
{
    return given != NULL ? ts_text_format(out, err, "%s", given)
                         : ts_path_join(folder, name, out, err);
}

// The sheet for a person's judgement is drawn from what evaluation.json says, as it is drawn again
// when the marks come back.
static ts_status write_review(const ts_text *evaluation, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *json = NULL;
    ts_review review = {0};
    ts_text html = {0};
    TS_TRY(ts_json_parse(evaluation->bytes, evaluation->len, "evaluation.json", &json, err));
    TS_TRY(ts_review_open(json, "evaluation.json", &review, err));
    TS_TRY(ts_review_html(&review, &html, err));
    TS_TRY(ts_file_write(path, html.bytes, html.len, err));
out:
    ts_text_free(&html);
    ts_review_close(&review);
    cJSON_Delete(json);
    return status;
}

static ts_status write_json(const tinysft_evaluation *e, const ts_evaluation *all,
                            const tinysft_report_params *p, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, json = {0}, review = {0};
    TS_TRY(ts_report_json(all, &e->results, &json, err));
    if (p->folder != NULL || p->json != NULL) {
        TS_TRY(place(p->json, p->folder, "evaluation.json", &path, err));
        TS_TRY(ts_file_write(path.bytes, json.bytes, json.len, err));
    }
    if (all->tuned_count > 0 && (p->folder != NULL || p->review != NULL)) {
        TS_TRY(place(p->review, p->folder, "review.html", &review, err));
        TS_TRY(write_review(&json, review.bytes, err));
    }
out:
    ts_text_free(&path);
    ts_text_free(&review);
    ts_text_free(&json);
    return status;
}

static ts_status write_picture(const tinysft_evaluation *e, const ts_evaluation *all,
                               const tinysft_report_params *p, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(place(p->picture, p->folder, "evaluation_screenshot.png", &path, err));
    TS_TRY(ts_picture_write(all, &e->results, path.bytes, err));
out:
    ts_text_free(&path);
    return status;
}

static ts_status write_reports(const tinysft_evaluation *e, const tinysft_report_params *p,
                               ts_error *err)
{
    ts_status status = TS_OK;
    ts_evaluation all = e->all;
    if (p->folder == NULL && p->json == NULL && p->picture == NULL && p->review == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "no folder and no file for the reports is named");
    }
    all.title = ts_api_text(p->title, all.title);
    all.picture_height = p->picture_height;
    if (p->folder != NULL) {
        TS_TRY(ts_folder_make(p->folder, err));
    }
    if (p->folder != NULL || p->json != NULL || p->review != NULL) {
        TS_TRY(write_json(e, &all, p, err));
    }
    if (p->folder != NULL) {
        TS_TRY(ts_report_write(&all, &e->results, p->folder, err));
    }
    if (p->folder != NULL || p->picture != NULL) {
        TS_TRY(write_picture(e, &all, p, err));
    }
out:
    return status;
}

tinysft_status tinysft_evaluation_write(const tinysft_evaluation *evaluation,
                                        const tinysft_report_params *params, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_api_context context;
    ts_status status = ts_api_need_results(evaluation, err);
    if (status != TS_OK) {
        return status;
    }
    if (params == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "params is NULL");
    }
    ts_api_context_open(&context, &(tinysft_caller){0});
    status = ts_api_enter(&context, "the evaluation", err);
    if (status == TS_OK) {
        status = write_reports(evaluation, params, err);
        ts_api_leave(&context);
    }
    return status;
}
