// Choosing a device, and the messages when there is none. Each test is a process of its own, so it
// may change the environment variables that the Vulkan loader reads.
#include "device.h"
#include "base/log.h"
#include "base/memory.h"
#include "gpu/internal.h"

#include <string.h>

Test(device, enumerates_and_explains)
{
    ts_gpu_list list;
    MUST(ts_gpu_enumerate(&(ts_gpu_params){0}, &list, err));
    cr_assert_gt(list.count, 0);
    cr_assert_lt(list.chosen, list.count);
    cr_assert_gt(strlen(list.reason), 0);
    for (size_t i = 0; i < list.count; i++) {
        const ts_gpu_caps *caps = &list.caps[i];
        cr_assert_gt(strlen(caps->name), 0);
        cr_assert_gt(strlen(caps->driver), 0);
        cr_assert_geq(caps->subgroup_size, 1);
        cr_assert_geq(caps->max_invocations, 128);
        cr_assert_gt(caps->memory_bytes, 0);
        cr_assert_leq(caps->memory_free_bytes, caps->memory_bytes);
        cr_assert_geq(caps->max_binding_bytes, 1 << 27);
    }
    ts_gpu_list_close(&list);
}

Test(device, opens_by_number_and_by_part_of_its_name)
{
    ts_gpu_list list;
    ts_gpu *gpu = NULL;
    MUST(ts_gpu_enumerate(&(ts_gpu_params){.device = "0"}, &list, err));
    cr_assert_eq(list.chosen, 0);
    cr_assert_str_eq(list.reason, "asked for by --device");
    char part[6] = "";
    for (int i = 0; i < 5 && list.caps[0].name[i] != '\0'; i++) {
        char c = list.caps[0].name[i];
        part[i] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c); // case does not matter
    }
    if (list.count == 1) {
        MUST(ts_gpu_open(&(ts_gpu_params){.device = part}, &gpu, err));
        cr_assert_str_eq(ts_gpu_capabilities(gpu)->name, list.caps[0].name);
        cr_assert_not(ts_gpu_is_mirror(gpu));
        ts_gpu_close(gpu);
    }
    ts_gpu_list_close(&list);
}

Test(device, unknown_ones_are_answered_with_a_list)
{
    static const char *const wrong[] = {"no such card", "99", "0x", "18446744073709551616", "-1"};
    ts_gpu_list list;
    MUST(ts_gpu_enumerate(&(ts_gpu_params){0}, &list, err));
    for (size_t i = 0; i < TS_COUNT(wrong); i++) {
        ts_gpu *gpu = NULL;
        ts_error err = {0};
        cr_assert_eq(ts_gpu_open(&(ts_gpu_params){.device = wrong[i]}, &gpu, &err), TS_ERR_ARGUMENT,
                     "%s", wrong[i]);
        cr_assert_null(gpu);
        cr_assert_not_null(strstr(err.message, wrong[i]), "%s", err.message);
        cr_assert_not_null(strstr(err.message, list.caps[0].name), "%s", err.message);
    }
    ts_gpu_list_close(&list);
}

// What the log said, for the tests below.
static char logged[1024];
static void keep_log(void *user, ts_log_level level, const char *message)
{
    (void)user;
    if (level == TS_LOG_WARN) {
        snprintf(logged, sizeof logged, "%s", message);
    }
}

Test(device, says_that_a_cpu_is_slow_only_where_nobody_asked)
{
    ts_gpu *gpu = NULL;
    ts_log_set_sink(keep_log, NULL);
    MUST(ts_gpu_open(&(ts_gpu_params){.device = "0"}, &gpu, err));
    bool cpu = ts_gpu_is_cpu(ts_gpu_capabilities(gpu));
    ts_gpu_close(gpu);
    cr_assert_str_empty(logged);
    MUST(ts_gpu_open(&(ts_gpu_params){0}, &gpu, err));
    cpu = cpu && ts_gpu_is_cpu(ts_gpu_capabilities(gpu));
    ts_gpu_close(gpu);
    cr_assert_eq(strstr(logged, "running on the CPU") != NULL, cpu, "%s", logged);
}

Test(device, no_driver_says_what_to_install)
{
    ts_gpu *gpu = NULL;
    ts_gpu_list list;
    ts_error err = {0};
    setenv("VK_DRIVER_FILES", "/nonexistent/driver.json", 1);
    setenv("VK_ICD_FILENAMES", "/nonexistent/driver.json", 1); // what older loaders read
    unsetenv("TINYSFT_VALIDATE"); // the layer would report this itself
    cr_assert_eq(ts_gpu_open(&(ts_gpu_params){0}, &gpu, &err), TS_ERR_DEVICE);
    cr_assert_null(gpu);
    cr_assert_not_null(strstr(err.message, "no Vulkan driver"), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "mesa-vulkan-drivers"), "%s", err.message);
    cr_assert_null(strchr(err.message, '\n'));
    cr_assert_eq(ts_gpu_enumerate(&(ts_gpu_params){0}, &list, &err), TS_ERR_DEVICE);
    cr_assert_eq(list.count, 0);
}

// ---- Masks

static uint32_t mask_of(const char *name)
{
    uint32_t masks = 0;
    MUST(ts_gpu_masks_parse(name, &masks, err));
    return masks;
}

Test(mask, hides_what_it_names)
{
    for (const ts_gpu_mask *mask = ts_gpu_masks; mask->name != NULL; mask++) {
        ts_gpu_list list;
        MUST(ts_gpu_enumerate(&(ts_gpu_params){.masks = mask_of(mask->name)}, &list, err));
        cr_assert_not(ts_gpu_mask_bites(mask, &list.caps[0]), "%s is still there", mask->name);
        cr_assert(list.caps[0].masks & mask_of(mask->name));
        ts_gpu_list_close(&list);
    }
}

Test(mask, is_taken_from_the_environment_too)
{
    ts_gpu *gpu = NULL;
    ts_error err = {0};
    setenv("TINYSFT_MASK_CAPABILITIES", "timestamps,large-bindings", 1);
    MUST(ts_gpu_open(&(ts_gpu_params){.device = "0", .masks = mask_of("wide-grids")}, &gpu, err));
    cr_assert_eq(ts_gpu_capabilities(gpu)->timestamp_ns, 0);
    cr_assert_leq(ts_gpu_capabilities(gpu)->max_binding_bytes, 1 << 27);
    cr_assert_leq(ts_gpu_capabilities(gpu)->max_groups[0], 65535);
    ts_gpu_close(gpu);
    setenv("TINYSFT_MASK_CAPABILITIES", "timestamps,wings", 1);
    cr_assert_eq(ts_gpu_open(&(ts_gpu_params){.device = "0"}, &gpu, &err), TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "TINYSFT_MASK_CAPABILITIES"), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "'wings'"), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "large-bindings"), "%s", err.message);
}

// The mask t4 leaves what the driver of a Tesla T4 offers: the largest of its matrix shapes, and a
// tile that fits.
Test(mask, of_a_t4_leaves_what_a_t4_has)
{
    ts_gpu_caps caps = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                        .max_invocations = 1024,
                        .shared_bytes = 96 << 10,
                        .has_bfloat16 = true,
                        .matrix_f16 = {16, 16, 16},
                        .matrix_bf16 = {16, 16, 16},
                        .full_subgroup = 32};
    ts_gpu_masks_apply(mask_of("t4"), &caps);
    cr_assert_eq(caps.shared_bytes, 64 << 10);
    cr_assert_eq(caps.matrix_f16.k, 16);
    cr_assert_eq(caps.matrix_bf16.m, 0);
    cr_assert_not(caps.has_bfloat16);
}
