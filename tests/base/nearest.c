#include "base/nearest.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <string.h>

Test(nearest, finds_slips_and_beginnings_but_no_other_word)
{
    static const char *const names[] = {"prompt", "completion", "output", "output-dir",
                                        "q_proj", "train",      "lr",     "learning-rate"};
    static const struct {
        const char *text, *name;
    } cases[] = {
        {"outptu", "output"},
        {"output-dri", "output-dir"},
        {"Output_Dir", "output-dir"},
        {"qproj", "q_proj"},
        {"trian", "train"},
        {"Train", "train"},
        {"learn", "learning-rate"},
        {"promt", "prompt"},
        {"lrr", "lr"},
        {"le", NULL},
        {"question", NULL},
        {"answer", NULL},
        {"", NULL},
        {"compl", "completion"},
        {"dog", NULL},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        const char *found =
            ts_nearest_of(cases[i].text, strlen(cases[i].text), names, TS_COUNT(names));
        cr_expect(found == cases[i].name ||
                      (found != NULL && cases[i].name != NULL && strcmp(found, cases[i].name) == 0),
                  "%s: found %s", cases[i].text, found != NULL ? found : "nothing");
    }
}

Test(nearest, survives_names_of_any_length)
{
    char longest[200];
    memset(longest, 'a', sizeof longest);
    longest[199] = '\0';
    ts_nearest search = ts_nearest_begin(longest, 199);
    ts_nearest_offer(&search, "a");
    ts_nearest_offer(&search, NULL);
    cr_expect_null(search.name);
    search = ts_nearest_begin(longest + 135, 64);
    ts_nearest_offer(&search, longest);
    ts_nearest_offer(&search, longest + 136);
    cr_expect_eq(search.name, longest + 136);
}
