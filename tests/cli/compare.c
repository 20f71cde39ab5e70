// `tinysft-vk compare`: several runs side by side, read from their folders.
#include "base/json.h"
#include "base/memory.h"
#include "pty.h"

#include <tinysft/status.h>

struct place {
    char folder[64], a[96], b[96], png[96];
};

// Writes a finished run's folder with the files that compare reads.
static void make_run(const char *folder, const char *rate, double last, bool evaluated)
{
    char text[2048];
    ts_error err = {0};
    cr_assert_eq(ts_folder_make(folder, &err), TS_OK, "%s", err.message);
    snprintf(text, sizeof text,
             "{\"learning_rate\": %s, \"rank\": 8, \"data\": \"d.json\", \"steps\": 20}", rate);
    test_write(folder, "training.json", text);
    snprintf(text, sizeof text,
             "{\"global_step\": 20, \"epoch\": 2.5, \"log_history\": ["
             "{\"step\": 10, \"loss\": 2.5}, {\"step\": 20, \"loss\": %g},"
             " {\"step\": 20, \"train_loss\": 1.75, \"train_runtime\": 90}]}",
             last);
    test_write(folder, "trainer_state.json", text);
    if (evaluated) {
        test_write(folder, "evaluation.json",
                   "{\"held_out\": {\"prompts\": 4, \"base\": {\"loss\": 3}, \"tuned\": {\"loss\": "
                   "0.5, \"rates\": {\"facts_right\": {\"label\": \"Facts right\", \"yes\": 3, "
                   "\"of\": 4}}}}}");
    }
}

static void place_open(struct place *p)
{
    snprintf(p->folder, sizeof p->folder, "%s", test_folder());
    snprintf(p->a, sizeof p->a, "%s/a", p->folder);
    snprintf(p->b, sizeof p->b, "%s/b", p->folder);
    snprintf(p->png, sizeof p->png, "%s/runs.png", p->folder);
    make_run(p->a, "5e-5", 1.25, true);
    make_run(p->b, "1e-3", 0.125, false);
}

static void check_has(const program_result *result, const char *part)
{
    cr_assert_not_null(strstr(result->out, part), "no \"%s\" in:\n%s", part, result->out);
}

// The line that starts with `name`, without runs of blanks.
static const char *row_of(const program_result *result, const char *name)
{
    static char row[256];
    const char *line = strstr(result->out, name);
    size_t len = 0;
    cr_assert_not_null(line, "no row %s in:\n%s", name, result->out);
    for (; *line != '\n' && len + 1 < sizeof row; line++) {
        if (*line != ' ' || (len > 0 && row[len - 1] != ' ')) {
            row[len++] = *line;
        }
    }
    row[len] = '\0';
    return row;
}

Test(compare, a_table_and_a_picture)
{
    struct place p;
    program_result result;
    place_open(&p);
    RUN(&result, "compare", p.a, p.b, "--png", p.png);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_str_eq(row_of(&result, "learning_rate"), "learning_rate 5e-05 0.001");
    cr_assert_str_eq(row_of(&result, "steps"), "steps 20 20");
    cr_assert_str_eq(row_of(&result, "final mean loss"), "final mean loss 1.2500 0.1250");
    cr_assert_str_eq(row_of(&result, "loss on references"), "loss on references 0.5000 -");
    cr_assert_str_eq(row_of(&result, "Facts right"), "Facts right 3 of 4 -");
    cr_assert_null(strstr(result.out, "rank"), "what does not differ is not shown:\n%s",
                   result.out);
    ts_text png = test_read(p.folder, "runs.png");
    cr_assert(png.len > 1000 && memcmp(png.bytes, "\x89PNG\r\n\x1a\n", 8) == 0);
    ts_text_free(&png);
    test_folder_remove(p.folder);
}

Test(compare, for_programs)
{
    struct place p;
    program_result result;
    cJSON *json = NULL;
    ts_error err = {0};
    place_open(&p);
    RUN(&result, "compare", "--json", p.a, p.b);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_eq(ts_json_parse(result.out, strlen(result.out), "output", &json, &err), TS_OK, "%s",
                 err.message);
    const cJSON *second = cJSON_GetArrayItem(ts_json_get(json, "runs"), 1);
    const cJSON *losses = ts_json_get(second, "loss");
    cr_assert_eq(cJSON_GetArraySize(losses), 2);
    cr_assert_float_eq(cJSON_GetArrayItem(losses, 1)->valuedouble, 0.125, 0);
    cr_assert_gt(cJSON_GetArraySize(ts_json_get(json, "table")), 3);
    cJSON_Delete(json);
    test_folder_remove(p.folder);
}

Test(compare, fits_a_narrow_terminal)
{
    static screen seen;
    struct place p;
    place_open(&p);
    setenv("TERM", "xterm", 1);
    PTY_RUN(40, &seen, "compare", p.a, p.b);
    cr_assert_eq(seen.code, 0, "%s", screen_text(&seen));
    cr_assert_leq(seen.widest, 40, "%s", screen_text(&seen));
    cr_assert(screen_has(&seen, " 0.1250"), "%s", screen_text(&seen));
    test_folder_remove(p.folder);
}

Test(compare, what_is_no_run)
{
    struct place p;
    program_result result;
    place_open(&p);
    RUN(&result, "compare");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT);
    check_has(&result, "tinysft-vk compare OUT OUT");
    RUN(&result, "compare", p.a, p.folder);
    cr_assert_eq(result.code, TS_ERR_IO, "%s", result.out);
    check_has(&result, "there is no trainer_state.json");
    test_write(p.b, "trainer_state.json", "{\"log_history\": 5}");
    RUN(&result, "compare", p.a, p.b);
    cr_assert_eq(result.code, TS_ERR_FORMAT, "%s", result.out);
    check_has(&result, "/b/trainer_state.json: expected a list 'log_history', found a number");
    test_write(p.b, "trainer_state.json", "{\"log_history\": []}"); // nothing to draw is no mistake
    RUN(&result, "compare", p.a, p.b, "--png", p.png);
    cr_assert_eq(result.code, 0, "%s", result.out);
    test_folder_remove(p.folder);
}
