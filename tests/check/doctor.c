// doctor finds the faulty shaders and no others. One shader is built with its multiplications
// turned into additions, and the times of another are stretched. Shaders found faulty are left out,
// and a golden case passes without them.
#include "check/doctor.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "check/drivers.h"
#include "check/verify.h"
#include "device.h"
#include "gpu/internal.h"
#include "ops/attention.h"
#include "ops/shaders.h"

#include <string.h>

static char folder[64];
static ts_text told; // all warnings

static void keep_warning(void *user, ts_log_level level, const char *message)
{
    (void)user;
    if (level == TS_LOG_WARN) {
        MUST(ts_text_format(&told, err, "%s\n", message));
    }
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/tinysft-doctor-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    setenv("TINYSFT_CACHE_DIR", folder, 1);
    ts_log_set_sink(keep_warning, NULL);
}

static void remove_folder(void)
{
    ts_text_free(&told);
    MUST(ts_folder_remove(folder, err));
}

TestSuite(doctor, .init = make_folder, .fini = remove_folder, .timeout = 600);

// ---- A driver that gets one shader wrong, and is slow with another

static const char *broken, *slow;
static const uint32_t *broken_words;
static PFN_vkCreateShaderModule create_module;

static VkResult VKAPI_CALL create_wrong(VkDevice device, const VkShaderModuleCreateInfo *info,
                                        const VkAllocationCallbacks *allocator, VkShaderModule *out)
{
    enum { HEADER_WORDS = 5, OP_FADD = 129, OP_FMUL = 133 };
    if (info->pCode != broken_words) {
        return create_module(device, info, allocator, out);
    }
    VkShaderModuleCreateInfo wrong = *info;
    uint32_t *words = malloc(info->codeSize);
    memcpy(words, info->pCode, info->codeSize);
    for (size_t i = HEADER_WORDS; i < info->codeSize / 4; i += words[i] >> 16) {
        if ((words[i] & 0xFFFF) == OP_FMUL) {
            words[i] = (words[i] & 0xFFFF0000) | OP_FADD;
        }
    }
    wrong.pCode = words;
    VkResult result = create_module(device, &wrong, allocator, out);
    free(words);
    return result;
}

static void break_shader(ts_gpu *gpu)
{
    for (const struct ts_shader *shader = ts_shader_table; shader->name != NULL; shader++) {
        if (strcmp(shader->name, broken) == 0) {
            broken_words = shader->words;
        }
    }
    create_module = gpu->vk.vkCreateShaderModule;
    gpu->vk.vkCreateShaderModule = create_wrong;
}

static double stretch(const char *shader, double seconds)
{
    return strcmp(shader, slow) == 0 ? 1000 * seconds : seconds;
}

// Gives every shader the same time, so that the machine's other work cannot change a verdict.
static double even(const char *shader, double seconds)
{
    (void)shader;
    (void)seconds;
    return 1;
}

static const ts_doctor_row *row_of(const ts_doctor_result *result, const char *shader)
{
    for (size_t i = 0; i < result->count; i++) {
        if (strcmp(result->rows[i].shader, shader) == 0) {
            return &result->rows[i];
        }
    }
    return NULL;
}

static void check_golden_case(ts_gpu *gpu)
{
    const ts_verify_params params = {.folder = PROJECT_FOLDER "/tests/golden/tiny_tied"};
    ts_verify_result result = {0};
    MUST(ts_verify(gpu, &params, &result, err));
    cr_assert(result.passed);
}

Test(doctor, what_is_wrong_is_left_out_until_it_is_right_again)
{
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    const ts_attention_choice forward = ts_attention_choose(caps, TS_KERNEL_attention, 64);
    const ts_kernel other = TS_KERNEL_attention_backward_q;
    const ts_attention_choice backward = ts_attention_choose(caps, other, 64);
    ts_doctor_result result;
    if (forward.shader == 0 || backward.shader == 0) {
        test_gpu_close(gpu);
        cr_skip_test("this device uses no shader that another can replace");
    }
    broken = ts_kernels[TS_KERNEL_attention].shaders[forward.shader].name;
    slow = ts_kernels[other].shaders[backward.shader].name;
    break_shader(gpu);
    MUST(ts_doctor_check(gpu, &(ts_doctor_params){.retime = stretch}, &result, err));
    cr_assert(result.kept);
    cr_assert_eq(result.broken, 1);
    cr_assert_geq(result.slow, 1);
    cr_assert_eq(row_of(&result, broken)->verdict, TS_VERDICT_BROKEN);
    cr_assert_eq(row_of(&result, slow)->verdict, TS_VERDICT_SLOW);
    test_gpu_close(gpu);

    gpu = test_gpu_open();
    caps = ts_gpu_capabilities(gpu);
    MUST(ts_choices_apply(gpu, err));
    cr_assert(ts_gpu_leaves_out(caps, broken));
    cr_assert(ts_gpu_leaves_out(caps, slow));
    cr_assert_not_null(strstr(told.bytes, broken));
    cr_assert_not_null(strstr(told.bytes, "found it BROKEN"));
    cr_assert_not_null(strstr(told.bytes, "found it SLOW"));
    check_golden_case(gpu);
    test_gpu_close(gpu);

    gpu = test_gpu_open(); // a driver without the bug
    MUST(ts_doctor_check(gpu, &(ts_doctor_params){.retime = even}, &result, err));
    cr_assert_eq(result.broken, 0);
    for (size_t i = 0; i < result.count; i++) {
        const ts_doctor_row *row = &result.rows[i];
        cr_assert_leq(row->error, row->tolerance, "%s", row->shader);
    }
    cr_assert_eq(row_of(&result, broken)->verdict, TS_VERDICT_PASS);
    cr_assert_null(row_of(&result, broken)->problem[0] != '\0' ? broken : NULL);
    test_gpu_close(gpu);

    gpu = test_gpu_open();
    MUST(ts_choices_apply(gpu, err));
    cr_assert_not(ts_gpu_leaves_out(ts_gpu_capabilities(gpu), broken));
    test_gpu_close(gpu);
}

Test(doctor, what_nothing_can_replace_stops_training)
{
    static const char *const needed[] = {"rmsnorm", "adamw", "cross_entropy"};
    for (size_t i = 0; i < TS_COUNT(needed); i++) {
        ts_error err = {0};
        ts_gpu *gpu = test_gpu_open();
        ts_choices_judge(gpu, needed[i], TS_VERDICT_BROKEN);
        cr_assert_eq(ts_choices_apply(gpu, &err), TS_ERR_SHADER);
        cr_assert_not_null(strstr(err.message, needed[i]), "%s", err.message);
        ts_choices_forget_verdicts(gpu);
        cr_assert_eq(ts_choices_apply(gpu, &err), TS_OK);
        test_gpu_close(gpu);
    }
}

Test(doctor, a_general_shader_may_be_wrong_where_another_is_used)
{
    ts_gpu *gpu = test_gpu_open();
    ts_error err = {0};
    bool used = ts_attention_choose(ts_gpu_capabilities(gpu), TS_KERNEL_attention, 64).shader == 0;
    ts_choices_judge(gpu, "attention", TS_VERDICT_BROKEN);
    cr_assert_eq(ts_choices_apply(gpu, &err), used ? TS_ERR_SHADER : TS_OK);
    ts_choices_judge(gpu, "attention_simd", TS_VERDICT_SLOW); // slow is better than wrong
    ts_choices_judge(gpu, "attention_split", TS_VERDICT_BROKEN);
    ts_choices_judge(gpu, "attention_tiled", TS_VERDICT_BROKEN);
    cr_assert_eq(ts_choices_apply(gpu, &err), TS_ERR_SHADER);
    test_gpu_close(gpu);
}

// ---- Drivers

static void write_manifest(const char *name, const char *content)
{
    char path[160];
    snprintf(path, sizeof path, "%s/usr/share/vulkan/icd.d", folder);
    MUST(ts_folder_make(path, err));
    snprintf(path, sizeof path, "%s/usr/share/vulkan/icd.d/%s", folder, name);
    MUST(ts_file_write(path, content, strlen(content), err));
}

static const ts_driver_file *file_of(const ts_drivers *drivers, const char *name)
{
    for (size_t i = 0; i < drivers->file_count; i++) {
        if (strcmp(ts_path_name(drivers->files[i].path), name) == 0) {
            return &drivers->files[i];
        }
    }
    cr_assert(false, "%s was not found", name);
    return NULL;
}

Test(doctor, finds_manifests_and_what_their_libraries_lack)
{
    ts_drivers drivers;
    ts_text advice = {0};
    unsetenv("VK_DRIVER_FILES");
    unsetenv("VK_ICD_FILENAMES");
    unsetenv("XDG_DATA_DIRS");
    write_manifest("good.json", "{\"ICD\": {\"library_path\": \"libm.so.6\"}}");
    write_manifest("gone.json", "{\"ICD\": {\"library_path\": \"libthere_is_none.so\"}}");
    write_manifest("near.json", "{\"ICD\": {\"library_path\": \"./none_here.so\"}}");
    write_manifest("half.json", "{\"ICD\": ");
    write_manifest("odd.json", "[]");
    write_manifest("readme.txt", "not one");
    MUST(ts_drivers_find(folder, &(ts_gpu_params){0}, &drivers, err));
    cr_assert_eq(drivers.file_count, 5);
    cr_assert_str_empty(file_of(&drivers, "good.json")->problem);
    cr_assert_not_null(strstr(file_of(&drivers, "gone.json")->problem, "libthere_is_none.so"));
    cr_assert_not_null(strstr(file_of(&drivers, "near.json")->problem, folder));
    cr_assert_str_not_empty(file_of(&drivers, "half.json")->problem);
    cr_assert_str_not_empty(file_of(&drivers, "odd.json")->problem);
    MUST(ts_drivers_advise(&drivers, &advice, err));
    cr_assert_not_null(strstr(advice.bytes, "gone.json is of no use"));
    cr_assert_null(strstr(advice.bytes, "good.json"));
    ts_text_free(&advice);
    ts_drivers_close(&drivers);
}

static void check_advice(const ts_drivers *drivers, const char *part)
{
    ts_text advice = {0};
    MUST(ts_drivers_advise(drivers, &advice, err));
    if (part == NULL) {
        cr_assert_eq(advice.len, 0, "%s", advice.bytes);
    } else {
        cr_assert(advice.len > 0 && strstr(advice.bytes, part) != NULL, "no \"%s\" in: %s", part,
                  advice.len > 0 ? advice.bytes : "");
    }
    ts_text_free(&advice);
}

Test(doctor, says_what_to_do)
{
    ts_gpu_caps gpu = {.name = "a GPU", .type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU};
    ts_gpu_caps cpu = {.name = "a CPU", .type = VK_PHYSICAL_DEVICE_TYPE_CPU};
    const ts_drivers well = {.loader_version = VK_API_VERSION_1_3,
                             .files = {{.path = "/a.json", .library = "a.so"}},
                             .file_count = 1,
                             .nodes = {{"renderD128", 0x1002, true}},
                             .node_count = 1,
                             .list = {.caps = &gpu, .count = 1}};
    ts_drivers ill = well;
    check_advice(&well, NULL);
    ill.loader_version = 0;
    check_advice(&ill, "apt install libvulkan1");
    ill = well, ill.file_count = 0;
    check_advice(&ill, "No Vulkan driver is installed");
    ill.by_variable = true;
    check_advice(&ill, "unset it");
    ill = well, ill.nodes[0].may_open = false;
    check_advice(&ill, "usermod -aG render");
    ill = well, ill.list.caps = &cpu;
    check_advice(&ill, "renderD128 is a GPU of AMD that no Vulkan driver here knows");
    check_advice(&ill, "only a CPU driver");
    ill.has_nvidia = true, ill.node_count = 0;
    check_advice(&ill, "NVIDIA's kernel module is loaded");
    gpu.unusable = "its driver has no Vulkan 1.2; a newer driver may";
    check_advice(&well, "a GPU cannot be used: its driver has no Vulkan 1.2");
}
