// For tests of the library's public header: they include nothing else of the program.
#ifndef TESTS_API_API_TEST_H
#define TESTS_API_API_TEST_H

#include <tinysft/tinysft.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL PROJECT_FOLDER "/assets/base"

static tinysft_error error;

// The call succeeds, or it is refused with that status and those words.
#define MUST(call) cr_assert_eq((call), TINYSFT_OK, "%s: %s", #call, error.message)
#define REFUSED(call, status, words)                                                               \
    do {                                                                                           \
        memset(&error, 0xFF, sizeof error);                                                        \
        cr_assert_eq((call), (status), "%s", #call);                                               \
        cr_assert_eq(error.code, (status));                                                        \
        cr_assert_not_null(strstr(error.message, (words)), "%s: %s", #call, error.message);        \
    } while (0)

// The test's folder. It is removed when the test has passed.
static char folder[64];

static inline void folder_make(void)
{
    snprintf(folder, sizeof folder, "/tmp/tinysft-api-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static inline void folder_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static inline const char *path_of(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline const char *file_make(const char *name, const char *content)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fputs(content, file) >= 0 && fclose(file) == 0, true);
    return path;
}

#define ROW(question, answer) "{\"instruction\": \"" question "\", \"output\": \"" answer "\"}\n"

static inline const char *rows_make(void)
{
    return file_make("rows.jsonl", ROW("What do cows eat?", "Cows eat grass.")
                                       ROW("What is 1 + 1?", "It is 2.") ROW("Hello", "Hello!"));
}

#endif
