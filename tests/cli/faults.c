// The program on a driver that fails (tests/fault_layer): a message that says what happened and
// what to do, an exit code of its own, and a checkpoint from which training continues.
#include "base/memory.h"
#include "program.h"

#include <tinysft/status.h>

#define BASE PROJECT_FOLDER "/assets/base"

static char folder[64], data[96], prompts[96], out[96];
static const char *device;

static void begin(void)
{
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    snprintf(prompts, sizeof prompts, "%s/eval.json", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    test_write(folder, "data.jsonl",
               "{\"prompt\": \"Hi\", \"completion\": \"Good morning!\"}\n"
               "{\"prompt\": \"What do cows eat?\", \"completion\": \"Grass.\"}\n");
    test_write(folder, "eval.json",
               "[{\"id\": \"a\", \"category\": \"factual\", \"prompt\": \"What do cows eat?\","
               " \"reference\": \"Cows eat grass.\", \"facts\": [[\"grass\"]]}]");
    device = getenv("TINYSFT_DEVICE");
    device = device != NULL ? device : "0";
    // With VK_LAYER_PATH set, layers are found only there, so the validation layer's folder must be
    // in it too.
    setenv("VK_LAYER_PATH", FAULT_LAYER_FOLDER ":/usr/share/vulkan/explicit_layer.d", 1);
    setenv("VK_INSTANCE_LAYERS", "VK_LAYER_TINYSFT_fault", 1);
}

static void end(void)
{
    test_folder_remove(folder);
}

TestSuite(program_faults, .init = begin, .fini = end, .timeout = 600);

// From the n-th such call of the program on; 0: none fails.
static void fail_from(const char *call, uint32_t n)
{
    char fault[64];
    snprintf(fault, sizeof fault, "%s %u", call, n);
    if (n > 0) {
        setenv("FAULT_LAYER", fault, 1);
    } else {
        unsetenv("FAULT_LAYER");
    }
}

static const char *find(const program_result *result, const char *part)
{
    const char *found = strstr(result->out, part);
    cr_assert_not_null(found, "no \"%s\" in:\n%s", part, result->out);
    return found;
}

// The message must say what happened and then what to do.
static void check_failed(const program_result *result, int code, const char *what,
                         const char *advice)
{
    cr_assert_eq(result->code, code, "exit code %d, expected %d:\n%s", result->code, code,
                 result->out);
    const char *message = find(result, "tinysft-vk: ");
    cr_assert_gt(find(result, what), message, "%s", result->out);
    cr_assert_gt(find(result, "what to do: "), message, "%s", result->out);
    cr_assert_gt(find(result, advice), find(result, "what to do: "), "%s", result->out);
}

#define TRAIN                                                                                      \
    "train", "--model", BASE, "--data", data, "--output-dir", out, "--device", device,             \
        "--max-steps", "4", "--lr", "1e-2", "--save-steps", "1", "--resume-from-checkpoint",       \
        "latest", "--base-model-name", "base"

static void check_goes_on(const ts_text *whole)
{
    program_result result;
    fail_from("", 0);
    RUN(&result, TRAIN);
    cr_assert_eq(result.code, 0, "%s", result.out);
    find(&result, "checkpoint-");
    ts_text adapter = test_read(out, "adapter_model.safetensors");
    cr_assert_eq(adapter.len, whole->len);
    cr_assert_eq(memcmp(adapter.bytes, whole->bytes, whole->len), 0, "another end after a fault");
    ts_text_free(&adapter);
}

// At the first submission, the second, the fourth, ... until a run has fewer.
Test(program_faults, training_goes_on_after_a_lost_device)
{
    program_result result;
    uint32_t lost = 0, resumed = 0;
    RUN(&result, TRAIN);
    cr_assert_eq(result.code, 0, "%s", result.out);
    ts_text whole = test_read(out, "adapter_model.safetensors");
    for (uint32_t n = 1;; n *= 2) {
        test_folder_remove(out);
        fail_from("vkQueueSubmit", n);
        RUN(&result, TRAIN);
        if (result.code == 0) {
            break;
        }
        lost++;
        check_failed(&result, TS_ERR_LOST, "the driver reports the device as lost", "dmesg");
        if (strstr(result.out, " is saved; go on from it with --resume-from-checkpoint") != NULL) {
            check_goes_on(&whole);
            resumed++;
        }
    }
    cr_log_info("lost %u times, went on %u times", lost, resumed);
    cr_assert_gt(lost, resumed);
    cr_assert_gt(resumed, 0);
    ts_text_free(&whole);
}

Test(program_faults, training_without_shaders_or_memory)
{
    program_result result;
    fail_from("vkCreateComputePipelines", 1);
    RUN(&result, TRAIN);
    check_failed(&result, TS_ERR_SHADER, "shader ", "a newer driver");
    cr_assert_null(strstr(result.out, "is saved"), "%s", result.out);
    fail_from("vkAllocateMemory", 1);
    RUN(&result, TRAIN);
    check_failed(&result, TS_ERR_MEMORY, "MiB asked for", "--batch-size");
}

// Every command that works on the device gives its own advice about memory.
Test(program_faults, every_other_command_says_what_to_do)
{
    static const char eval_png[] = "/dev/null";
    const char *const eval[] = {TINYSFT_PROGRAM, "eval",         "--model", BASE,    "--data",
                                prompts,         "--output-dir", out,       "--png", eval_png,
                                "--device",      device,         NULL};
    const char *const verify[] = {
        TINYSFT_PROGRAM, "verify", PROJECT_FOLDER "/tests/golden/tiny_tied",
        "--device",      device,   NULL};
    const char *const bench[] = {TINYSFT_PROGRAM, "bench", "--kernel", "add", "--rounds", "1",
                                 "--device",      device,  NULL};
    const struct {
        const char *const *argv;
        const char *needs_less;
    } commands[] = {{eval, "--max-new-tokens"},
                    {verify, "a case is as large as it is"},
                    {bench, "--sequences"}};
    program_result result;
    for (size_t i = 0; i < TS_COUNT(commands); i++) {
        fail_from("vkQueueSubmit", 2);
        program_run(commands[i].argv, &result);
        check_failed(&result, TS_ERR_LOST, "the driver reports the device as lost", "dmesg");
        fail_from("vkCreateComputePipelines", 1);
        program_run(commands[i].argv, &result);
        check_failed(&result, TS_ERR_SHADER, "shader ", "a newer driver");
        fail_from("vkAllocateMemory", 1);
        program_run(commands[i].argv, &result);
        check_failed(&result, TS_ERR_MEMORY, "MiB asked for", commands[i].needs_less);
    }
}

// doctor judges shaders: one that cannot be built is a finding. So is one that loses the device,
// but then no device is left to check the others on.
Test(program_faults, doctor_on_a_failing_driver)
{
    program_result result;
    fail_from("vkQueueSubmit", 2);
    RUN(&result, "doctor", "--device", device);
    cr_assert_eq(result.code, TS_ERR_LOST, "%s", result.out);
    find(&result, "the device was lost: shaders after the last one were not checked");
    find(&result, "what to do: a lost device");
    fail_from("vkCreateComputePipelines", 1);
    RUN(&result, "doctor", "--device", device);
    cr_assert_eq(result.code, TS_ERR_RUN, "%s", result.out);
    find(&result, " 0 PASS, 0 SLOW, ");
    fail_from("vkAllocateMemory", 1);
    RUN(&result, "doctor", "--device", device);
    check_failed(&result, TS_ERR_MEMORY, "MiB asked for", "take another --device");
}
