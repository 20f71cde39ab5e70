// The bar itself, on a terminal made for it (tests/cli/terminal.c looks at whole runs).
#include "base/progress.h"

#include <criterion/criterion.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What an update prints on a terminal of that many columns; `label` and the count before it.
static const char *drawn(int columns, const char *label, uint64_t total, const char *detail)
{
    static char bytes[4096];
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    int master, slave;
    ts_progress bar;
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    cr_assert_eq(openpty(&master, &slave, NULL, NULL, &size), 0);
    FILE *stream = fdopen(slave, "w");
    cr_assert_not_null(stream);
    ts_progress_begin(&bar, stream, label, total);
    bar.started_s -= 10; // as if it had started 10 seconds ago
    ts_progress_update(&bar, total / 2, detail, false);
    ssize_t len = read(master, bytes, sizeof bytes - 1);
    cr_assert_gt(len, 0);
    bytes[len] = '\0';
    ts_progress_end(&bar);
    fclose(stream);
    close(master);
    return bytes;
}

Test(progress, what_matters_most_stays)
{
    static const char detail[] = "loss 1.2345 (mean of 10)  99 tok/s  epoch 1.00";
    const char *text = drawn(100, "step", 400, detail);
    cr_assert_not_null(
        strstr(text, "200/400  loss 1.2345 (mean of 10)  left 0:10  99 tok/s  epoch"), "%s", text);
    cr_assert_not_null(strstr(text, "█"), "%s", text);
    text = drawn(60, "step", 400, detail);
    cr_assert_not_null(strstr(text, "200/400  loss 1.2345 (mean of 10)  left 0:10  99 tok/s\033[K"),
                       "%s", text);
    text = drawn(40, "step", 400, detail);
    cr_assert_not_null(strstr(text, "step 200/400  loss 1.2345  left 0:10\033[K"), "%s", text);
    text = drawn(20, "step", 400, detail);
    cr_assert_not_null(strstr(text, " 200/400\033[K"), "%s", text);
}

Test(progress, a_long_label_keeps_its_end)
{
    const char *text = drawn(40, "checking model-00001-of-00003.safetensors", 400, "");
    cr_assert_not_null(strstr(text, "00003.safetensors 200/400  left 0:10\033[K"), "%s", text);
    cr_assert_not_null(strstr(text, "\r..."), "%s", text);
    text = drawn(40, "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü", 400, "");
    cr_assert_neq(text[4] & 0xC0, 0x80, "inside a character: %s", text); // behind "\r..."
}

Test(progress, elsewhere_a_line_where_it_is_asked_for)
{
    char *bytes = NULL;
    size_t len = 0;
    ts_progress bar;
    FILE *stream = open_memstream(&bytes, &len);
    ts_progress_begin(&bar, stream, "loading", 3 << 20);
    bar.bytes = true;
    ts_progress_update(&bar, 1 << 20, "5.0 MiB/s", false);
    ts_progress_update(&bar, 3 << 20, "5.0 MiB/s", true);
    ts_progress_end(&bar);
    fclose(stream);
    cr_assert_str_eq(bytes, "loading 3.0/3.0 MiB  5.0 MiB/s  took 0:00\n");
    free(bytes);
}
