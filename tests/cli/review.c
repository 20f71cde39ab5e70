// The sheet that a person marks, in a real browser by its keys alone, and what `eval --reviews`
// makes of the marks.
#include "browser.h"

#include "eval/review.h"

TestSuite(review, .timeout = 200);

enum { ROWS = 60, SEEN = 3, ALIKE = 2 };

// What must not become anything but text in a page.
static const char *const hostile[] = {
    "</script><script>document.title = 'broken'</script>",
    "<!-- <script> & &amp; \" ' ` \\ \\u003c",
    "\xF0\x9F\x98\x80 \xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D \xE2\x80\xAE"
    "drawkcab",
    "<img src=x onerror=\"document.title='broken'\">",
};

// An evaluation in FOLDER/evaluation.json and its sheet in FOLDER/review.html, as eval leaves them.
// The tuned answers begin with "T", the base's with "B".
static void make_sheet(const char *folder, ts_review *review, cJSON **json)
{
    ts_error err = {0};
    ts_text page = {0};
    char text[160];
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "title", "A </title> & more");
    cJSON *answers = cJSON_AddArrayToObject(all, "answers");
    for (int i = 0; i < ROWS; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(answers, row);
        cJSON_AddStringToObject(row, "category", i % 2 == 0 ? "even" : "odd");
        snprintf(text, sizeof text, "Question %d? %s", i, hostile[i % 4]);
        cJSON_AddStringToObject(row, "prompt", text);
        if (i % 3 == 0) {
            cJSON_AddStringToObject(row, "reference", "A good <b>answer</b>.");
            cJSON *turn = cJSON_CreateObject();
            cJSON_AddStringToObject(turn, "role", "system");
            cJSON_AddStringToObject(turn, "content", "Be <i>brief</i>.");
            cJSON_AddItemToArray(cJSON_AddArrayToObject(row, "before"), turn);
        }
        cJSON_AddBoolToObject(row, "seen_in_training", i < SEEN);
        snprintf(text, sizeof text, "B %d %s", i, hostile[i % 4]);
        cJSON_AddStringToObject(cJSON_AddObjectToObject(row, "base"), "text", text);
        text[0] = i >= SEEN && i < SEEN + ALIKE ? 'B' : 'T';
        cJSON_AddStringToObject(cJSON_AddObjectToObject(row, "tuned"), "text", text);
    }
    char *printed = cJSON_Print(all);
    test_write(folder, "evaluation.json", printed);
    cJSON_free(printed);
    cr_assert_eq(ts_review_open(all, "evaluation.json", review, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_review_html(review, &page, &err), TS_OK);
    test_write(folder, "review.html", page.bytes);
    cr_assert_null(strstr(page.bytes, "tuned"), "the page tells which model is which");
    ts_text_free(&page);
    *json = all;
}

static void expect(browser *b, const char *expression, const char *value)
{
    const char *found = browser_eval(b, expression);
    cr_assert_str_eq(found, value, "%s: %s", expression, found);
}

// The contrast of the text of `selector` against what is behind it, as WCAG 2.1 defines it.
static const char contrast[] =
    "(() => { const rgb = c => c.match(/[\\d.]+/g).map(Number);"
    "const light = c => { const [r, g, b] = rgb(c).map(v => { v /= 255;"
    "return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });"
    "return .2126 * r + .7152 * g + .0722 * b; };"
    "let least = 21; for (const e of document.querySelectorAll('h1,h2,h3,p,button,label,summary,"
    ".text')) { let at = e; while (rgb(getComputedStyle(at).backgroundColor)[3] === 0) "
    "at = at.parentElement;"
    "const [a, b] = [getComputedStyle(e).color, getComputedStyle(at).backgroundColor].map(light);"
    "least = Math.min(least, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)); }"
    "return least >= 4.5; })()";

// What a screen reader is told: the names and states of headings, buttons and regions.
static void check_accessibility(browser *b)
{
    static const char *const wanted[][2] = {
        {"heading", "Pair 3 of 50"},
        {"heading", "Answer A"},
        {"region", "Answer B"},
        {"button", "A"},
        {"button", "Neither"},
        {"button", "B"},
        {"button", "Previous"},
        {"button", "Next"},
        {"group", "Which do you prefer?"},
        {"navigation", "Pairs"},
        {"status", ""},
        {"textbox", NULL},
        {"progressbar", "2 of 50 marked"},
    };
    browser_do(b, "Accessibility.enable", "{}");
    cJSON *tree = browser_call(b, "Accessibility.getFullAXTree", "{}");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const cJSON *node;
        bool found = false;
        cJSON_ArrayForEach(node, cJSON_GetObjectItem(tree, "nodes"))
        {
            const cJSON *role = cJSON_GetObjectItem(cJSON_GetObjectItem(node, "role"), "value");
            const cJSON *name = cJSON_GetObjectItem(cJSON_GetObjectItem(node, "name"), "value");
            found |= cJSON_IsString(role) && cJSON_IsString(name) &&
                     strcmp(role->valuestring, wanted[i][0]) == 0 &&
                     (wanted[i][1] == NULL || strcmp(name->valuestring, wanted[i][1]) == 0);
        }
        cr_expect(found, "no %s '%s'", wanted[i][0], wanted[i][1]);
    }
    cJSON_Delete(tree);
}

// Moves on by the Tab key until that element has the focus.
static void tab_to(browser *b, const char *id)
{
    for (int i = 0; strcmp(browser_eval(b, "document.activeElement.id"), id) != 0; i++) {
        cr_assert_lt(i, 30, "Tab does not reach #%s", id);
        browser_key(b, "Tab", 9);
    }
}

// Marks every pair by its key: whatever begins with "T", but each fifth neither.
static void mark_all(browser *b)
{
    for (int i = 0; i < TS_REVIEW_PAIRS; i++) {
        bool a = strcmp(browser_eval(b, "document.getElementById('a').textContent[0]"), "T") == 0;
        char which[32];
        snprintf(which, sizeof which, "Pair %d of 50", i + 1);
        expect(b, "document.activeElement.id === '' || document.activeElement.id === 'which'",
               "true");
        expect(b, "document.getElementById('which').textContent", which);
        if (i == 2) {
            check_accessibility(b);
        }
        if (i == 3) { // by Tab and Enter instead of single keys
            tab_to(b, a ? "mark-a" : "mark-b");
            browser_key(b, "Enter", 13);
        } else {
            const char *key = i % 5 == 4 ? "2" : a ? "1" : "3";
            browser_key(b, key, key[0]);
        }
    }
    expect(b, "document.getElementById('count').textContent", "50 of 50 marked");
    expect(b, "document.activeElement.id", "save");
}

// Saves the marks, and looks at the file.
static void save(browser *b, const char *folder)
{
    char path[128], params[192];
    snprintf(params, sizeof params, "{\"behavior\":\"allow\",\"downloadPath\":\"%s\"}", folder);
    browser_do(b, "Browser.setDownloadBehavior", params);
    tab_to(b, "reviewer");
    browser_key(b, "1", '1'); // a name is no mark
    tab_to(b, "save");
    browser_key(b, "Enter", 13);
    snprintf(path, sizeof path, "%s/review_marks.json", folder);
    for (int i = 0; !ts_file_exists(path); i++) {
        cr_assert_lt(i, 500, "nothing was saved");
        usleep(20000);
    }
    ts_text saved = test_read(folder, "review_marks.json");
    cr_assert_str_eq(saved.bytes, browser_eval(b, "document.getElementById('file').value"));
    cr_assert_not_null(strstr(saved.bytes, "\"reviewer\": \"1\""), "%s", saved.bytes);
    ts_text_free(&saved);
}

Test(review, by_keys_alone_in_a_browser)
{
    char folder[64], path[128];
    browser b;
    ts_review review;
    cJSON *json;
    program_result result;
    if (browser_program() == NULL) {
        cr_skip_test("there is no chromium here");
    }
    snprintf(folder, sizeof folder, "%s", test_folder());
    make_sheet(folder, &review, &json);
    snprintf(path, sizeof path, "%s/review.html", folder);
    browser_open(&b, folder);
    browser_show(&b, path);
    expect(&b, "document.title", "A </title> & more");
    expect(&b, "document.images.length + document.scripts.length", "2");
    expect(&b, contrast, "true");
    browser_do(&b, "Emulation.setEmulatedMedia",
               "{\"features\":[{\"name\":\"prefers-color-scheme\",\"value\":\"dark\"}]}");
    expect(&b, "getComputedStyle(document.body).backgroundColor", "rgb(20, 26, 38)");
    expect(&b, contrast, "true");
    mark_all(&b);
    for (int i = 0; i < 50;
         i++) { // a reader comes back; what was kept may be on its way to the disk
        browser_show(&b, path);
        if (strstr(browser_eval(&b, "document.getElementById('count').textContent"), "50 of") !=
            NULL) {
            break;
        }
        usleep(100000);
    }
    expect(&b, "document.getElementById('count').textContent", "50 of 50 marked");
    browser_key(&b, "ArrowRight", 39);
    expect(&b, "document.getElementById('which').textContent", "Pair 2 of 50");
    expect(&b,
           "document.querySelector('[aria-pressed=true]').id === "
           "(document.getElementById('a').textContent[0] === 'T' ? 'mark-a' : 'mark-b')",
           "true");
    expect(&b, "performance.getEntriesByType('resource').length", "0");

    save(&b, folder);
    browser_close(&b);
    snprintf(path, sizeof path, "%s/review_marks.json", folder);

    RUN(&result, "eval", "--reviews", path, "--output-dir", folder);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "50 of 50 pairs marked, by 1 reader"), "%s", result.out);
    cr_assert_not_null(strstr(result.out, "100% (91-100%)"), "%s", result.out);
    ts_review_close(&review);
    cJSON_Delete(json);
    test_folder_remove(folder);
}

// Both models gave the same answers: the page says so, and no key does anything.
Test(review, a_sheet_without_pairs_in_a_browser)
{
    char folder[64], path[128];
    browser b;
    ts_review review;
    ts_text page = {0};
    if (browser_program() == NULL) {
        cr_skip_test("there is no chromium here");
    }
    cJSON *json = cJSON_Parse("{\"title\": \"T\", \"answers\": [{\"tuned\": {\"text\": \"same\"}, "
                              "\"prompt\": \"p\", \"base\": {\"text\": \"same\"}}]}");
    cr_assert_eq(ts_review_open(json, "evaluation.json", &review, NULL), TS_OK);
    cr_assert_eq(review.count, 0);
    cr_assert_eq(ts_review_html(&review, &page, NULL), TS_OK);
    snprintf(folder, sizeof folder, "%s", test_folder());
    test_write(folder, "review.html", page.bytes);
    snprintf(path, sizeof path, "%s/review.html", folder);
    browser_open(&b, folder);
    browser_show(&b, path);
    browser_eval(&b, "window.onerror = () => { document.title = 'broken'; }");
    browser_key(&b, "1", '1');
    browser_key(&b, "ArrowRight", 39);
    expect(&b, "document.title", "T");
    expect(&b, "document.querySelectorAll('button').length", "0");
    expect(&b, "document.querySelector('main').textContent.includes('nothing to compare')", "true");
    browser_close(&b);
    ts_text_free(&page);
    ts_review_close(&review);
    cJSON_Delete(json);
    test_folder_remove(folder);
}

// Marks as the page saves them: all for the tuned model, or all against it.
static void write_marks(const char *folder, const char *name, const ts_review *review, bool tuned,
                        const char *reader)
{
    cJSON *file = cJSON_CreateObject();
    cJSON_AddNumberToObject(file, "review", 1);
    cJSON_AddStringToObject(file, "sheet", review->hash);
    cJSON_AddStringToObject(file, "reviewer", reader);
    cJSON *marks = cJSON_AddArrayToObject(file, "marks");
    for (size_t i = 0; i < review->count; i++) {
        cJSON_AddItemToArray(
            marks, i < 10 ? cJSON_CreateNull()
                          : cJSON_CreateString(review->pairs[i].tuned_is_a == tuned ? "a" : "b"));
    }
    char *text = cJSON_Print(file);
    test_write(folder, name, text);
    cJSON_free(text);
    cJSON_Delete(file);
}

Test(review, marks_are_taken_in)
{
    char folder[64], one[96], two[96], again[96], here[96];
    ts_review review;
    cJSON *json;
    program_result result;
    snprintf(folder, sizeof folder, "%s", test_folder());
    make_sheet(folder, &review, &json);
    snprintf(one, sizeof one, "%s/one.json", folder);
    snprintf(two, sizeof two, "%s/two.json", folder);
    snprintf(again, sizeof again, "%s/again.json", folder);
    snprintf(here, sizeof here, "%s/evaluation.json", folder);
    write_marks(folder, "again.json", &review, false, "one");
    write_marks(folder, "one.json", &review, true, "one");
    write_marks(folder, "two.json", &review, false, "two");
    RUN(&result, "eval", "--reviews", one, "--json", here);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "40 of 50 pairs marked"), "%s", result.out);
    cr_assert_not_null(strstr(result.out, "\neven "), "%s", result.out);
    RUN(&result, "eval", "--reviews", one, "--reviews", two, "--json", here);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "agree on 0 of the 40 pairs"), "%s", result.out);
    cr_assert_null(strstr(result.out, "are both marked by"), "%s", result.out);
    ts_text found = test_read(folder, "review.json");
    cr_assert_not_null(strstr(found.bytes, "\"neither\":\t40"), "%s", found.bytes);
    ts_text_free(&found);

    RUN(&result, "eval", "--reviews", one, "--reviews", again, "--json", here);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "again.json are both marked by 'one'"), "%s", result.out);
    RUN(&result, "eval", "--reviews", one, "--reviews", one, "--json", here);
    cr_assert_eq(result.code, 2);
    cr_assert_not_null(strstr(result.out, "are the same marks"), "%s", result.out);
    RUN(&result, "eval", "--reviews", one, "--output-dir", "nowhere");
    cr_assert_eq(result.code, 2);
    cr_assert_not_null(strstr(result.out, "there is no nowhere/evaluation.json"), "%s", result.out);
    RUN(&result, "eval");
    cr_assert_eq(result.code, 2);
    cr_assert_not_null(strstr(result.out, "--model MODEL is missing"), "%s", result.out);

    // Another answer, and the marks are not for these any more.
    cJSON *answer = cJSON_GetObjectItem(
        cJSON_GetArrayItem(cJSON_GetObjectItem(json, "answers"), ROWS - 1), "tuned");
    cJSON_ReplaceItemInObject(answer, "text", cJSON_CreateString("Tomorrow."));
    char *text = cJSON_Print(json);
    test_write(folder, "evaluation.json", text);
    cJSON_free(text);
    RUN(&result, "eval", "--reviews", one, "--json", here);
    cr_assert_eq(result.code, 2);
    cr_assert_not_null(strstr(result.out, "its marks belong to other answers"), "%s", result.out);
    ts_review_close(&review);
    cJSON_Delete(json);
    test_folder_remove(folder);
}
