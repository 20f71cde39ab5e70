// Cards that do not exist (tests/null_gpu), with the system's driver for Intel.
#include "cli/program.h"

#include <glob.h>

#ifndef NULL_GPU_OBJECT // a build with sanitizers, which preload an object themselves
#define NULL_GPU_OBJECT ""
#endif

// Runs `devices` as if this machine had `card`. False if it has no driver for Intel or the object
// was not built.
static bool list_devices(const char *card, program_result *result)
{
    glob_t found = {0};
    bool runs = glob("/usr/share/vulkan/icd.d/intel_icd*.json", 0, NULL, &found) == 0 &&
                NULL_GPU_OBJECT[0] != '\0';
    if (runs) {
        char driver[256], older[256], gpu[64];
        snprintf(driver, sizeof driver, "VK_DRIVER_FILES=%s", found.gl_pathv[0]);
        snprintf(older, sizeof older, "VK_ICD_FILENAMES=%s", found.gl_pathv[0]);
        snprintf(gpu, sizeof gpu, "NULL_GPU=%s", card);
        const char *const argv[] = {"env",
                                    driver,
                                    older,
                                    gpu,
                                    "LD_PRELOAD=" NULL_GPU_OBJECT,
                                    "TINYSFT_VALIDATE=0",
                                    TINYSFT_PROGRAM,
                                    "devices",
                                    NULL};
        program_run_file("/usr/bin/env", argv, result);
    }
    globfree(&found);
    return runs;
}

Test(null_gpu, is_the_card_that_is_named)
{
    static program_result result;
    if (!list_devices("tgl", &result)) {
        cr_skip("no driver of Intel is installed, or this build has no null GPU");
    }
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "TGL GT2"), "%s", result.out);
    cr_assert_null(strstr(result.out, "no answer"), "%s", result.out); // to what the driver asks
    cr_assert(list_devices("skl", &result));
    cr_assert_not_null(strstr(result.out, "HD Graphics 530"), "%s", result.out);
}

Test(null_gpu, is_refused_where_nobody_knows_the_card)
{
    static program_result result;
    if (!list_devices("voodoo2", &result)) {
        cr_skip("no driver of Intel is installed, or this build has no null GPU");
    }
    cr_assert_eq(result.code, 2);
    cr_assert_not_null(strstr(result.out, "'voodoo2' (there are skl,"), "%s", result.out);
}
