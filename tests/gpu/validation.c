// That the validation layer reports nothing in other tests proves something only if it does report
// mistakes. Here mistakes are made on purpose, and each must be logged.
#include "base/log.h"
#include "base/memory.h"
#include "device.h"
#include "gpu/internal.h"
#include "ops/kernels.h"
#include "ops/shaders.h"

#include <string.h>

static char logged[4096];
static void keep_log(void *user, ts_log_level level, const char *message)
{
    (void)user;
    if (level == TS_LOG_WARN) {
        snprintf(logged, sizeof logged, "%s", message);
    }
}

// A device under validation, or a skipped test where the layer is not installed.
static ts_gpu *open_validated(void)
{
    ts_gpu *gpu = NULL;
    ts_error err = {0};
    ts_log_set_sink(keep_log, NULL);
    unsetenv("TINYSFT_VALIDATE"); // which may ask for other checks
    ts_status status = ts_gpu_open(&(ts_gpu_params){.device = "0", .validate = true}, &gpu, &err);
    if (status == TS_ERR_DEVICE && strstr(err.message, "is not installed") != NULL) {
        cr_assert_not_null(strstr(err.message, "vulkan-validationlayers"));
        cr_skip_test("the validation layer is not installed");
    }
    cr_assert_eq(status, TS_OK, "%s", err.message);
    cr_assert_eq(ts_gpu_validation_messages(), 0, "%s", logged);
    return gpu;
}

static ts_pipeline_key add_pipeline(void)
{
    const struct ts_shader *shader = ts_shader_table;
    while (strcmp(shader->name, "add") != 0) {
        shader++;
    }
    return (ts_pipeline_key){.words = shader->words,
                             .word_bytes = shader->bytes,
                             .name = shader->name,
                             .binding_count = 2};
}

// Two additions, y += x and z += y. The second's access to y may be declared wrongly, so that the
// recorder leaves out the barrier.
static void add_twice(ts_gpu *gpu, bool lie)
{
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 16};
    ts_recorder *recorder;
    ts_view x, y, z;
    MUST(ts_recorder_open(gpu, &recorder, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 256, &x, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 256, &y, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 256, &z, err));
    ts_dispatch dispatch = {.pipeline = add_pipeline(),
                            .views = {y, x},
                            .access = {lie ? TS_READ : TS_READ_WRITE, TS_READ},
                            .view_count = 2,
                            .push = {256},
                            .push_count = 1,
                            .groups = {2, 1, 1}};
    ts_recorder_dispatch(recorder, &dispatch);
    dispatch.views[0] = z;
    dispatch.views[1] = y;
    ts_recorder_dispatch(recorder, &dispatch);
    cr_assert_eq(ts_recorder_statistics(recorder).barriers, lie ? 0 : 1);
    MUST(ts_recorder_run(recorder, err));
    ts_recorder_close(recorder);
    ts_gpu_arena_close(&arena);
}

// Adds 256 numbers where there are 64.
static void add_past_the_end(ts_gpu *gpu)
{
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 10};
    ts_recorder *recorder;
    ts_view x, y;
    MUST(ts_recorder_open(gpu, &recorder, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 256, &x, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 256, &y, err));
    const ts_dispatch dispatch = {.pipeline = add_pipeline(),
                                  .views = {ts_view_slice(x, 0, 64), ts_view_slice(y, 0, 64)},
                                  .access = {TS_READ_WRITE, TS_READ},
                                  .view_count = 2,
                                  .push = {256},
                                  .push_count = 1,
                                  .groups = {2, 1, 1}};
    ts_recorder_dispatch(recorder, &dispatch);
    MUST(ts_recorder_run(recorder, err));
    ts_recorder_close(recorder);
    ts_gpu_arena_close(&arena);
}

Test(validation, silent_where_all_is_right)
{
    ts_gpu *gpu = open_validated();
    add_twice(gpu, false);
    ts_gpu_close(gpu);
    cr_assert_eq(ts_gpu_validation_messages(), 0, "%s", logged);
}

Test(validation, hears_a_missing_barrier)
{
    ts_gpu *gpu = open_validated();
    add_twice(gpu, true);
    ts_gpu_close(gpu);
    cr_assert_gt(ts_gpu_validation_messages(), 0);
    cr_assert_not_null(strstr(logged, "SYNC-HAZARD"), "%s", logged);
}

Test(validation, hears_wrong_use)
{
    ts_gpu *gpu = open_validated();
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = 256}; // and no usage
    VkBuffer buffer = VK_NULL_HANDLE;
    gpu->vk.vkCreateBuffer(gpu->device, &info, NULL, &buffer);
    gpu->vk.vkDestroyBuffer(gpu->device, buffer, NULL);
    ts_gpu_close(gpu);
    cr_assert_gt(ts_gpu_validation_messages(), 0);
}

Test(validation, the_environment_asks_for_it)
{
    ts_gpu *gpu = open_validated(); // skips where the layer is missing
    ts_gpu_close(gpu);
    setenv("TINYSFT_VALIDATE", "1", 1);
    MUST(ts_gpu_open(&(ts_gpu_params){.device = "0"}, &gpu, err));
    add_twice(gpu, true);
    ts_gpu_close(gpu);
    cr_assert_gt(ts_gpu_validation_messages(), 0, "TINYSFT_VALIDATE=1 is not heeded");
}

static uint32_t layer_version(void)
{
    VkLayerProperties layers[64];
    uint32_t count = TS_COUNT(layers), version = 0;
    vkEnumerateInstanceLayerProperties(&count, layers);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(layers[i].layerName, "VK_LAYER_KHRONOS_validation") == 0) {
            version = layers[i].specVersion;
        }
    }
    return version;
}

// A shader that reads far past its buffer. Only GPU-assisted validation, which changes the shader,
// can find that.
Test(validation, gpu_assisted_hears_wild_reads)
{
    ts_gpu *gpu = open_validated();
    ts_gpu_close(gpu);
    if (layer_version() < VK_MAKE_API_VERSION(0, 1, 3, 275)) {
        cr_skip_test("this version of the layer does not look at buffers bound one by one");
    }
    setenv("TINYSFT_VALIDATE", "gpu", 1);
    MUST(ts_gpu_open(&(ts_gpu_params){.device = "0"}, &gpu, err));
    cr_assert_eq(ts_gpu_validation_messages(), 0, "%s", logged);
    add_twice(gpu, false);
    cr_assert_eq(ts_gpu_validation_messages(), 0, "%s", logged);
    add_past_the_end(gpu);
    ts_gpu_close(gpu);
    cr_assert_gt(ts_gpu_validation_messages(), 0, "TINYSFT_VALIDATE=gpu is not heeded");
}
