// A driver that fails at any of its calls. Whichever call fails, training ends with the right
// status and a message that says what to do. It keeps its checkpoints, and a run that continues
// from them gives the bytes of a run that never failed. Or a fallback is used, and the result is
// the same. The device's functions are replaced by ones that fail at the n-th call.
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "count.h"
#include "device.h"
#include "gpu/internal.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

#include <string.h>

typedef enum call { ALLOCATE, CREATE_BUFFER, MAP, BUILD, SUBMIT, WAIT, CALLS } call;

// The fault that the only device of this process has.
static struct {
    call call;
    uint32_t at, seen; // fails from the at-th call on, the first is 1; 0: never
    bool once;         // at that call alone
    struct VolkDeviceTable real;
} fault;

static bool strikes(call which)
{
    if (which != fault.call) {
        return false;
    }
    fault.seen++;
    return fault.at != 0 && (fault.once ? fault.seen == fault.at : fault.seen >= fault.at);
}

static VkResult VKAPI_CALL allocate(VkDevice device, const VkMemoryAllocateInfo *info,
                                    const VkAllocationCallbacks *allocator, VkDeviceMemory *out)
{
    return strikes(ALLOCATE) ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                             : fault.real.vkAllocateMemory(device, info, allocator, out);
}

static VkResult VKAPI_CALL create_buffer(VkDevice device, const VkBufferCreateInfo *info,
                                         const VkAllocationCallbacks *allocator, VkBuffer *out)
{
    return strikes(CREATE_BUFFER) ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                                  : fault.real.vkCreateBuffer(device, info, allocator, out);
}

static VkResult VKAPI_CALL map(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset,
                               VkDeviceSize size, VkMemoryMapFlags flags, void **out)
{
    return strikes(MAP) ? VK_ERROR_MEMORY_MAP_FAILED
                        : fault.real.vkMapMemory(device, memory, offset, size, flags, out);
}

static VkResult VKAPI_CALL build(VkDevice device, VkPipelineCache cache, uint32_t count,
                                 const VkComputePipelineCreateInfo *infos,
                                 const VkAllocationCallbacks *allocator, VkPipeline *out)
{
    return strikes(BUILD)
               ? VK_ERROR_UNKNOWN
               : fault.real.vkCreateComputePipelines(device, cache, count, infos, allocator, out);
}

static VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count, const VkSubmitInfo *infos,
                                  VkFence fence)
{
    return strikes(SUBMIT) ? VK_ERROR_DEVICE_LOST
                           : fault.real.vkQueueSubmit(queue, count, infos, fence);
}

static VkResult VKAPI_CALL wait_for_fences(VkDevice device, uint32_t count, const VkFence *fences,
                                           VkBool32 all, uint64_t timeout)
{
    return strikes(WAIT) ? VK_ERROR_DEVICE_LOST
                         : fault.real.vkWaitForFences(device, count, fences, all, timeout);
}

// One device for all runs of a test, because drivers compile slowly. Where the fault is in building
// shaders, each run has a device of its own.
static ts_gpu *device;

static void close_device(void)
{
    test_gpu_close(device); // asserts that the validation layer reported nothing
    device = NULL;
}

static ts_gpu *open_faulty(void)
{
    fault.seen = 0;
    if (device != NULL && fault.call != BUILD) {
        return device;
    }
    close_device();
    ts_gpu *gpu = test_gpu_open();
    fault.real = gpu->vk;
    gpu->vk.vkAllocateMemory = allocate;
    gpu->vk.vkCreateBuffer = create_buffer;
    gpu->vk.vkMapMemory = map;
    gpu->vk.vkCreateComputePipelines = build;
    gpu->vk.vkQueueSubmit = submit;
    gpu->vk.vkWaitForFences = wait_for_fences;
    device = gpu;
    return gpu;
}

// ---- A short run: three steps, a checkpoint after each

static const char data[] = "{\"prompt\": \"What do cows eat?\", \"completion\": \"Grass.\"}\n"
                           "{\"prompt\": \"Hi\", \"completion\": \"Good morning!\"}\n";

static char folder[64], data_path[96], out_path[96];
static uint32_t warnings;

static void count_warnings(void *user, ts_log_level level, const char *message)
{
    (void)user, (void)message;
    warnings += level == TS_LOG_WARN;
}

static void make_folder(void)
{
    ts_log_set_sink(count_warnings, NULL);
    snprintf(folder, sizeof folder, "/tmp/tinysft-faults-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(data_path, sizeof data_path, "%s/data.jsonl", folder);
    snprintf(out_path, sizeof out_path, "%s/out", folder);
    MUST(ts_file_write(data_path, data, strlen(data), err));
}

static void remove_folder(void)
{
    MUST(ts_folder_remove(folder, err));
}

TestSuite(faults, .init = make_folder, .fini = remove_folder, .timeout = 600);

static ts_train_settings settings_of_run(void)
{
    ts_train_settings settings = ts_train_defaults();
    settings.model_folder = PROJECT_FOLDER "/assets/base";
    settings.data = data_path;
    settings.output_dir = out_path;
    settings.base_model = "base";
    settings.max_steps = 3;
    settings.save_steps = 1;
    settings.learning_rate = 1e-2;
    settings.resume = "latest";
    return settings;
}

// `losses`, unless NULL, takes the losses of the three steps of a run that did not fail.
static ts_status train(double *losses, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer trainer = {0};
    ts_gpu *gpu = open_faulty();
    const ts_train_settings settings = settings_of_run();
    const ts_train_callbacks callbacks = {0};
    warnings = 0;
    MUST(ts_trainer_open(&settings, &trainer, err));
    MUST(ts_trainer_prepare_output(&trainer, err));
    status = ts_trainer_run(&trainer, gpu, &callbacks, err);
    if (status == TS_OK && losses != NULL) {
        memcpy(losses, trainer.history.loss, 3 * sizeof *losses);
    }
    ts_trainer_close(&trainer);
    cr_assert_eq(gpu->allocated_bytes, 0, "%llu bytes are still held",
                 (unsigned long long)gpu->allocated_bytes);
    return status;
}

static void start_anew(void)
{
    if (ts_folder_exists(out_path)) {
        MUST(ts_folder_remove(out_path, err));
    }
}

static ts_text read_adapter(void)
{
    ts_text path = {0}, adapter = {0};
    MUST(ts_path_join(out_path, "adapter_model.safetensors", &path, err));
    MUST(ts_file_read(path.bytes, 1 << 28, &adapter, err));
    ts_text_free(&path);
    return adapter;
}

// Whether a failed run has left a checkpoint. If it has, the last one must be whole.
static bool has_checkpoint(void)
{
    ts_text found = {0};
    const ts_train_settings settings = settings_of_run();
    warnings = 0;
    MUST(ts_checkpoint_find(&settings, &found, err));
    cr_assert_eq(warnings, 0, "a checkpoint is broken");
    bool any = found.len > 0;
    ts_text_free(&found);
    return any;
}

struct end {
    ts_text adapter;
    double losses[3];
};

static void untouched(call which, struct end *end)
{
    ts_error err = {0};
    fault.call = which, fault.at = 0;
    start_anew();
    cr_assert_eq(train(end->losses, &err), TS_OK, "%s", err.message);
    end->adapter = read_adapter();
}

// Continues the failed run without the fault. The result must be the same.
static void check_resumed(const struct end *whole)
{
    ts_error err = {0};
    fault.at = 0;
    cr_assert_eq(train(NULL, &err), TS_OK, "%s", err.message);
    ts_text adapter = read_adapter();
    cr_assert_eq(adapter.len, whole->adapter.len);
    cr_assert_eq(memcmp(adapter.bytes, whole->adapter.bytes, adapter.len), 0,
                 "another end after a fault");
    ts_text_free(&adapter);
}

// Each run of a sweep over shaders compiles them again. Where that is slow (under sanitizers, under
// the validation layer), TINYSFT_FAULT_STRIDE=N lets only every N-th call fail.
static uint32_t stride_of(call which)
{
    return which == BUILD ? (uint32_t)test_count("TINYSFT_FAULT_STRIDE", 1) : 1;
}

// Lets the n-th call fail for n = 1, 2, 3, ... until a run makes fewer calls. Failing runs must
// fail as `expected`, with `words` in the message. The first of them that has a checkpoint is
// continued, and later ones where n is a multiple of 7.
static void sweep(call which, bool once, ts_status expected, const char *words)
{
    struct end whole;
    uint32_t failed = 0, another_way = 0, resumed = 0;
    untouched(which, &whole);
    for (uint32_t n = 1;; n += stride_of(which)) {
        ts_error err = {0};
        double losses[3];
        start_anew();
        fault.call = which, fault.at = n, fault.once = once;
        ts_status status = train(losses, &err);
        if (fault.seen < n) {
            cr_assert_eq(status, TS_OK, "%s", err.message);
            break;
        }
        if (status == TS_OK) {
            another_way++;
            for (int i = 0; i < 3; i++) {
                cr_assert_float_eq(losses[i], whole.losses[i], 1e-4, "step %d of fault %u", i, n);
            }
            continue;
        }
        failed++;
        cr_assert_eq(status, expected, "fault %u: status %d: %s", n, (int)status, err.message);
        cr_assert_eq(err.code, expected);
        cr_assert_not_null(strstr(err.message, words), "fault %u: %s", n, err.message);
        cr_assert_not_null(err.file);
        if (has_checkpoint() && (resumed == 0 || n % 7 == 0)) {
            check_resumed(&whole);
            resumed++;
        }
    }
    close_device();
    cr_log_info("%u failed, %u found another way, %u went on", failed, another_way, resumed);
    cr_assert_gt(failed + another_way, 0);
    cr_assert(which != SUBMIT || resumed > 0);
    ts_text_free(&whole.adapter);
}

Test(faults, no_memory_from_the_nth_allocation_on)
{
    sweep(ALLOCATE, false, TS_ERR_MEMORY, "MiB asked for");
}

Test(faults, no_memory_at_the_nth_allocation)
{
    sweep(ALLOCATE, true, TS_ERR_MEMORY, "MiB asked for");
}

Test(faults, no_memory_for_the_nth_buffer)
{
    sweep(CREATE_BUFFER, false, TS_ERR_MEMORY, "vkCreateBuffer: out of device memory");
}

Test(faults, nothing_is_mapped_from_the_nth_time_on)
{
    sweep(MAP, false, TS_ERR_MEMORY, "vkMapMemory");
}

Test(faults, one_mapping_fails)
{
    sweep(MAP, true, TS_ERR_MEMORY, "vkMapMemory");
}

Test(faults, lost_from_the_nth_submission_on)
{
    sweep(SUBMIT, false, TS_ERR_LOST, "lost");
}

Test(faults, lost_from_the_nth_wait_on)
{
    sweep(WAIT, false, TS_ERR_LOST, "lost");
}

// A shader that has a fallback is replaced by it.
Test(faults, one_shader_is_not_built)
{
    sweep(BUILD, true, TS_ERR_SHADER, "shader ");
}

// The fallbacks cannot be built either.
Test(faults, no_shader_is_built_from_the_nth_on)
{
    sweep(BUILD, false, TS_ERR_SHADER, "shader ");
}
