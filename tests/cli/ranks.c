// Several ranks that train together, started by the launchers of Debian's Open MPI and MPICH:
// skipped where these are not there. Here all ranks share one device.
#include "program.h"

#include <sys/stat.h>
#include <time.h>

#define BASE PROJECT_FOLDER "/assets/base"
#define OPEN_MPI "/usr/bin/mpirun.openmpi"
#define MPICH "/usr/bin/mpiexec.mpich"

static char folder[64], data[96], out[96], alone[96];

static void begin(void)
{
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(alone, sizeof alone, "%s/alone", folder);
    test_write(folder, "data.jsonl",
               "{\"prompt\": \"What do cows eat?\", \"completion\": \"Grass.\"}\n"
               "{\"prompt\": \"Hi\", \"completion\": \"Good morning!\"}\n"
               "{\"prompt\": \"What is red?\", \"completion\": \"An apple is.\"}\n"
               "{\"prompt\": \"Who are you?\", \"completion\": \"A small program.\"}\n"
               "{\"prompt\": \"Is it cold?\", \"completion\": \"Yes, in winter.\"}\n"
               "{\"prompt\": \"What barks?\", \"completion\": \"A dog.\"}\n"
               "{\"prompt\": \"What is two and two?\", \"completion\": \"Four.\"}\n");
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    // Else all launchers of this user share a folder, which each removes when it leaves it empty,
    // while another is making its own in it.
    setenv("OMPI_MCA_orte_tmpdir_base", folder, 1);
}

static void end(void)
{
    test_folder_remove(folder);
}

TestSuite(ranks, .init = begin, .fini = end, .timeout = 600);
TestSuite(ranks_cut, .init = begin, .fini = end, .timeout = 600); // long ones: not for sanitizers

static void need(const char *launcher)
{
    char shim[512];
    snprintf(shim, sizeof shim, "%.*slibtinysft-mpi-%s.so",
             (int)(strrchr(TINYSFT_PROGRAM, '/') + 1 - TINYSFT_PROGRAM), TINYSFT_PROGRAM,
             strcmp(launcher, MPICH) == 0 ? "mpich" : "openmpi");
    if (access(launcher, X_OK) != 0 || access(shim, R_OK) != 0) {
        cr_skip_test("%s or %s is not here", launcher, shim);
    }
}

// Steps of five micro-batches, and of two at the end of an epoch: of three ranks one then has none.
#define SETTINGS                                                                                   \
    "train", "--model", BASE, "--data", data, "--device", "0", "--no-tune", "--lr", "5e-3",        \
        "--grad-accum", "5", "--lora-dropout", "0.1", "--loraplus-ratio", "4"

#define BY_MPICH(count, ...)                                                                       \
    (const char *const[])                                                                          \
    {                                                                                              \
        MPICH, "-n", count, TINYSFT_PROGRAM, __VA_ARGS__, NULL                                     \
    }

static void expect(const program_result *result, int code, const char *words)
{
    cr_assert_eq(result->code, code, "exit code %d, expected %d: %s", result->code, code,
                 result->out);
    cr_assert_not_null(strstr(result->out, words), "'%s' is not in: %s", words, result->out);
}

static void same_file(const char *name)
{
    ts_text a = test_read(alone, name), b = test_read(out, name);
    cr_assert(a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0, "%s differs", name);
    ts_text_free(&a);
    ts_text_free(&b);
}

static void same_run(void)
{
    same_file("adapter_model.safetensors");
    same_file("checkpoint-2/adapter_model.safetensors");
    same_file("checkpoint-2/optimizer.safetensors");
    same_file("checkpoint-2/training.json");
    same_file("checkpoint-2/trainer_state.json");
}

#define LONG                                                                                       \
    SETTINGS, "--max-steps", "3", "--save-steps", "2", "--eval-data", data, "--eval-steps", "3"

// By --devices, here in a file, which starts the ranks itself; dealt by their speed, which changes
// from run to run. No tensor is summed in another order, and nothing else depends on the number of
// ranks: neither where it does not divide the micro-batches, nor where a rank has none of them.
Test(ranks, open_mpi_makes_the_bytes_of_one_rank)
{
    program_result result;
    need(OPEN_MPI);
    RUN(&result, LONG, "--output-dir", alone);
    expect(&result, 0, "step 3/3");
    test_write(folder, "ranks.json", "{\"devices\": \"0,0,0\", \"balance\": true}");
    char config[128];
    snprintf(config, sizeof config, "%s/ranks.json", folder);
    RUN(&result, LONG, "--output-dir", out, "--config", config);
    expect(&result, 0, "step 3/3");
    expect(&result, 0, "  rank 1 on ");
    expect(&result, 0, ": micro-batch 5 of 5; ");
    expect(&result, 0, "exchange: rank 0 sends ");
    cr_assert_null(strstr(strstr(result.out, "step 3/3") + 1, "step 3/3"), "%s", result.out);
    same_run();
}

// The checkpoint knows nothing of ranks: a run that two began is gone on with by one.
Test(ranks, mpich_makes_them_too_and_one_rank_goes_on)
{
    program_result result;
    need(MPICH);
    RUN(&result, LONG, "--output-dir", alone);
    expect(&result, 0, "step 3/3");
    program_run_file(MPICH, BY_MPICH("2", LONG, "--output-dir", out), &result);
    expect(&result, 0, "step 3/3");
    same_run();
    char last[128];
    snprintf(last, sizeof last, "%s/checkpoint-2", out);
    snprintf(out, sizeof out, "%s/again", folder);
    RUN(&result, LONG, "--output-dir", out, "--resume-from-checkpoint", last);
    expect(&result, 0, "step 3/3");
    same_file("adapter_model.safetensors");
    same_file("checkpoint-3/optimizer.safetensors");
}

// Pairs: the reference model's answers are dealt among ranks before the first step, and again to
// those who go on.
Test(ranks, make_the_bytes_of_one_rank_of_pairs)
{
    program_result result;
    need(MPICH);
    test_write(
        folder, "pairs.jsonl",
        "{\"prompt\": \"Hi\", \"chosen\": \"Good morning!\", \"rejected\": \"What?\"}\n"
        "{\"prompt\": \"What barks?\", \"chosen\": \"A dog.\", \"rejected\": \"A cow does, "
        "as all know.\"}\n"
        "{\"prompt\": \"Is it cold?\", \"chosen\": \"Yes.\", \"rejected\": \"No.\"}\n"
        "{\"prompt\": \"What is red?\", \"chosen\": \"An apple is.\", \"rejected\": \"Go.\"}\n"
        "{\"prompt\": \"Who are you?\", \"chosen\": \"A program.\", \"rejected\": \"I.\"}\n");
    snprintf(data, sizeof data, "%s/pairs.jsonl", folder);
    RUN(&result, LONG, "--loss", "dpo", "--output-dir", alone);
    expect(&result, 0, "step 3/3");
    program_run_file(MPICH, BY_MPICH("3", LONG, "--loss", "dpo", "--output-dir", out), &result);
    expect(&result, 0, "step 3/3");
    same_run();
}

// Each rank answers its part of the questions, and rank 0 reports on all of them.
Test(ranks, share_the_questions_of_an_evaluation)
{
    program_result result;
    need(OPEN_MPI);
    RUN(&result, "eval", "--model", BASE, "--data", data, "--output-dir", alone, "--device", "0",
        "--no-tune", "--max-new-tokens", "8");
    expect(&result, 0, "written: ");
    program_run_file(OPEN_MPI,
                     (const char *const[]){OPEN_MPI, "-n", "3", "--oversubscribe", TINYSFT_PROGRAM,
                                           "eval", "--model", BASE, "--data", data, "--output-dir",
                                           out, "--device", "0", "--no-tune", "--max-new-tokens",
                                           "8", NULL},
                     &result);
    expect(&result, 0, "written: ");
    cr_assert_null(strstr(strstr(result.out, "written: ") + 1, "written: "), "%s", result.out);
    same_file("base_responses.txt");
}

#define SWEEP(output)                                                                              \
    "sweep", "--model", BASE, "--data", data, "--device", "0", "--no-tune", "--grid", "rank=1,2",  \
        "lr=1e-3,100", "--alpha", "1e6", "--max-steps", "2", "--eval-data", data, "--output-dir",  \
        output

// Three ranks have the four runs of a sweep in turn, and those of one rank come out, to the byte;
// so does that a rate is too high.
Test(ranks, share_the_runs_of_a_sweep)
{
    program_result result;
    need(MPICH);
    RUN(&result, SWEEP(alone));
    expect(&result, 0, "written: ");
    program_run_file(MPICH, BY_MPICH("3", SWEEP(out)), &result);
    expect(&result, 0, "written: ");
    expect(&result, 0, "run 2/4: rank 1, lr 100, seed 42, by rank 1 on ");
    expect(&result, 0, "run 4/4: ");
    cr_assert_null(strstr(strstr(result.out, "written: ") + 1, "written: "), "%s", result.out);
    same_file("rank-1_lr-0.001/seed-42/adapter_model.safetensors");
    same_file("rank-2_lr-0.001/seed-42/adapter_model.safetensors");
}

// A run that cannot be written ends the sweep of all ranks with the run's name and the rank's.
Test(ranks, end_a_sweep_that_cannot_go_on)
{
    program_result result;
    char taken[160];
    need(MPICH);
    snprintf(taken, sizeof taken, "%s/rank-1_lr-100", out);
    mkdir(out, 0700);
    mkdir(taken, 0700);
    test_write(taken, "seed-42", "a file where a folder must go");
    program_run_file(MPICH, BY_MPICH("2", SWEEP(out)), &result);
    expect(&result, TS_ERR_IO, "tinysft-vk: rank 1 on ");
    expect(&result, TS_ERR_IO, "rank 1, lr 100: ");
}

Test(ranks, that_read_other_data_are_named)
{
    program_result result;
    char script[1024], other[96];
    need(OPEN_MPI);
    snprintf(other, sizeof other, "%s/other.jsonl", folder);
    test_write(folder, "other.jsonl", "{\"prompt\": \"Hi\", \"completion\": \"No.\"}\n");
    snprintf(script, sizeof script,
             "test $OMPI_COMM_WORLD_RANK = 1 && data=%s || data=%s; exec %s train --model %s "
             "--data $data --output-dir %s --max-steps 2 --device 0 --no-tune",
             other, data, TINYSFT_PROGRAM, BASE, out);
    program_run_file(
        OPEN_MPI,
        (const char *const[]){OPEN_MPI, "-n", "2", "--oversubscribe", "sh", "-c", script, NULL},
        &result);
    expect(&result, TS_ERR_ARGUMENT, "tinysft-vk: rank 1 on ");
    expect(&result, TS_ERR_ARGUMENT, " has another data_sha256 than rank 0");
}

Test(ranks, dry_run_tells_who_does_what)
{
    program_result result;
    need(MPICH);
    program_run_file(MPICH, BY_MPICH("3", SETTINGS, "--dry-run"), &result);
    expect(&result, 0, "3 ranks by MPICH");
    // Rank 0 sends the sum of its two micro-batches without its own third, 76 kB of 28,672 floats,
    // its third of the new parameters to both others, and what is reported of a step.
    expect(&result, 0, ": micro-batches 1 to 2 of 5; ");
    expect(&result, 0, "sends 0.15");
    expect(&result, 0, "s a step at 1 Gbit/s");
    const char *row = strstr(result.out, "What do cows eat?"); // as the template renders it
    cr_assert_not_null(row, "%s", result.out);
    cr_expect_null(strstr(row + 1, "What do cows eat?"), "more than once: %s", result.out);
    program_run_file(MPICH,
                     BY_MPICH("3", "train", "--model", BASE, "--data", data, "--device", "0",
                              "--grad-accum", "2", "--balance", "--dry-run"),
                     &result);
    expect(&result, 0, "in a whole step, until --balance knows their speeds:");
    expect(&result, 0, "--grad-accum 3 would give each of them a micro-batch");
}

// Warnings of other ranks come with their number and host, a line each. Those that rank 0 has given
// too come once.
Test(ranks, warn_by_their_number)
{
    program_result result;
    char script[1024];
    need(OPEN_MPI);
    ts_text rows = test_read(folder, "data.jsonl");
    test_write(folder, "copy.jsonl", rows.bytes);
    ts_text_free(&rows);
    snprintf(script, sizeof script,
             "test $OMPI_COMM_WORLD_RANK = 1 && name=copy || name=data; exec %s train --model %s "
             "--data %s/$name.jsonl --max-length 14 --device 0 --no-tune --dry-run",
             TINYSFT_PROGRAM, BASE, folder);
    program_run_file(
        OPEN_MPI,
        (const char *const[]){OPEN_MPI, "-n", "3", "--oversubscribe", "sh", "-c", script, NULL},
        &result);
    expect(&result, 0, "\nwarning: rank 1 on ");
    expect(&result, 0, "/copy.jsonl");
    cr_assert_null(strstr(result.out, "warning: rank 2"), "%s", result.out);
    for (const char *line = result.out; (line = strstr(line, "warning: ")) != NULL; line++) {
        cr_assert(line == result.out || line[-1] == '\n', "within a line: %s", result.out);
    }
}

// ---- What is refused

Test(ranks, several_devices_of_one_process_are_refused)
{
    program_result result;
    RUN(&result, "train", "--model", BASE, "--data", data, "--output-dir", out, "--device", "0,1");
    expect(&result, TS_ERR_ARGUMENT, "--devices 0,1 of train and sweep");
}

Test(ranks, a_timeout_that_makes_no_sense_is_refused)
{
    program_result result;
    need(MPICH);
    setenv("TINYSFT_RANK_TIMEOUT", "2 minutes", 1);
    program_run_file(MPICH, BY_MPICH("2", SETTINGS, "--dry-run"), &result);
    expect(&result, TS_ERR_ARGUMENT, "TINYSFT_RANK_TIMEOUT=2 minutes: expected whole seconds, 3");
}

// ---- Launchers without what they need

Test(ranks, a_library_named_by_its_path_is_named_by_it)
{
    program_result result;
    setenv("PMI_SIZE", "3", 1);
    setenv("PMI_RANK", "0", 1);
    setenv("TINYSFT_MPI", "/nowhere/shim.so", 1);
    RUN(&result, SETTINGS, "--output-dir", out);
    expect(&result, TS_ERR_UNSUPPORTED, "that TINYSFT_MPI names, /nowhere/shim.so, cannot be load");
}

Test(ranks, a_launcher_without_its_library_is_told_once)
{
    program_result result;
    setenv("PMI_SIZE", "3", 1);
    setenv("PMI_RANK", "0", 1);
    setenv("TINYSFT_MPI", "nobodys", 1);
    RUN(&result, SETTINGS, "--output-dir", out);
    expect(&result, TS_ERR_UNSUPPORTED,
           "mpiexec of MPICH started 3 of this program, but libtinysft-mpi-nobodys.so");
    cr_expect_null(strchr(strchr(result.out, '\n') + 1, '\n'), "one line: %s", result.out);
    setenv("PMI_RANK", "1", 1);
    RUN(&result, SETTINGS, "--output-dir", out);
    expect(&result, TS_ERR_UNSUPPORTED, "");
    cr_expect_str_empty(result.out);
    cr_expect_neq(access(out, F_OK), 0);
}

Test(ranks, other_commands_are_run_once)
{
    program_result result;
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    setenv("OMPI_COMM_WORLD_RANK", "1", 1);
    RUN(&result, "help", "train");
    expect(&result, 0, "--model MODEL");
    RUN(&result, "tokenize", "--model", BASE);
    expect(&result, 0, "");
    cr_expect_str_empty(result.out);
}

// ---- Ranks that end

#define MANY "--max-steps 40 --save-steps 1 --save-total-limit 3"

static const char *script_of(const char *output, const char *flags)
{
    static char script[1024];
    snprintf(script, sizeof script,
             "echo $$ >%s/pid.$OMPI_COMM_WORLD_RANK; exec %s train --model %s --data %s "
             "--output-dir %s --device 0 --no-tune --lr 5e-3 --grad-accum 2 %s",
             folder, TINYSFT_PROGRAM, BASE, data, output, flags);
    return script;
}

// Starts two ranks of a script by Open MPI, whose process numbers are then in folder/pid.RANK, and
// whose output in folder/said.
static pid_t start_script(const char *script)
{
    char said[128];
    snprintf(said, sizeof said, "%s/said", folder);
    int file = open(said, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    const pid_t pid = program_start_file(
        OPEN_MPI,
        (const char *const[]){OPEN_MPI, "-n", "2", "--oversubscribe", "sh", "-c", script, NULL},
        file);
    close(file);
    return pid;
}

static pid_t start(const char *flags)
{
    return start_script(script_of(out, flags));
}

static pid_t process_of(int rank)
{
    char name[16];
    snprintf(name, sizeof name, "pid.%d", rank);
    ts_text text = test_read(folder, name);
    const pid_t pid = (pid_t)strtol(text.bytes, NULL, 10);
    ts_text_free(&text);
    return pid;
}

static void wait_until_saved(const char *run, unsigned step)
{
    char path[256], said[128];
    snprintf(path, sizeof path, "%s/%s", folder, run);
    snprintf(said, sizeof said, "%s/said", folder);
    program_wait_until_saved(path, step, 300, said);
}

static void wait_until_said(const char *words)
{
    ts_text said = {0};
    bool is_said = false;
    for (int i = 0; i < 6000 && !is_said; i++) {
        nanosleep(&(struct timespec){0, 50000000}, NULL);
        ts_text_free(&said);
        said = test_read(folder, "said");
        is_said = said.bytes != NULL && strstr(said.bytes, words) != NULL;
    }
    cr_assert(is_said, "'%s' is not said: %s", words, said.bytes);
    ts_text_free(&said);
}

static void wait_for_end(pid_t process)
{
    for (int i = 0; i < 600 && kill(process, 0) == 0; i++) {
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// A rank that is killed, and one that hangs, end the run within seconds. The last checkpoint is
// whole, and one rank goes on from it to the bytes of a run that was never disturbed.
Test(ranks_cut, a_rank_that_hangs_or_dies_ends_the_run)
{
    program_result result;
    need(OPEN_MPI);
    setenv("TINYSFT_RANK_TIMEOUT", "4", 1);
    pid_t mpirun = start(MANY);
    wait_until_saved("out", 1);
    double began = now_s();
    kill(process_of(1), SIGSTOP);
    cr_expect_eq(program_wait(mpirun), TS_ERR_RUN);
    cr_expect_lt(now_s() - began, 30);
    ts_text said = test_read(folder, "said");
    cr_assert_not_null(strstr(said.bytes, "rank 1 on "), "%s", said.bytes);
    cr_assert_not_null(strstr(said.bytes, "it has not answered for "), "%s", said.bytes);
    ts_text_free(&said);

    setenv("TINYSFT_RANK_TIMEOUT", "60", 1); // on a busy machine none may seem to hang
    mpirun = start(MANY " --resume-from-checkpoint");
    wait_until_saved("out", 20);
    began = now_s();
    kill(process_of(1), SIGKILL);
    cr_expect_neq(program_wait(mpirun), 0);
    wait_for_end(process_of(0)); // which mpirun kills, but does not wait for
    cr_expect_lt(now_s() - began, 30);
    program_run_file(
        "/bin/sh",
        (const char *const[]){"sh", "-c", script_of(out, MANY " --resume-from-checkpoint"), NULL},
        &result);
    expect(&result, 0, "going on from ");
    program_run_file("/bin/sh", (const char *const[]){"sh", "-c", script_of(alone, MANY), NULL},
                     &result);
    expect(&result, 0, "step 40/40");
    same_file("adapter_model.safetensors");
    same_file("checkpoint-40/optimizer.safetensors");
}

// The driver of one rank fails in the middle of the run: its message, its exit code. VK_LAYER_PATH
// says where layers are looked for at all, so validation's folder must be in it too.
Test(ranks, one_that_loses_its_device_ends_the_run)
{
    program_result result;
    char script[1400];
    need(OPEN_MPI);
    snprintf(script, sizeof script,
             "test $OMPI_COMM_WORLD_RANK = 1 && "
             "export VK_LAYER_PATH=%s:/usr/share/vulkan/explicit_layer.d "
             "VK_INSTANCE_LAYERS=VK_LAYER_TINYSFT_fault FAULT_LAYER='vkQueueSubmit 40'; %s",
             FAULT_LAYER_FOLDER, script_of(out, MANY));
    program_run_file(
        OPEN_MPI,
        (const char *const[]){OPEN_MPI, "-n", "2", "--oversubscribe", "sh", "-c", script, NULL},
        &result);
    expect(&result, TS_ERR_LOST, "tinysft-vk: rank 1 on ");
    expect(&result, TS_ERR_LOST, "the driver reports the device as lost");
}

// From some copy on, what one rank's device copies arrives with a wrong word, its parameters too:
// of three ranks that one is named.
Test(ranks, one_that_strays_is_named)
{
    program_result result;
    char script[1400];
    need(OPEN_MPI);
    snprintf(script, sizeof script,
             "test $OMPI_COMM_WORLD_RANK = 2 && "
             "export VK_LAYER_PATH=%s:/usr/share/vulkan/explicit_layer.d "
             "VK_INSTANCE_LAYERS=VK_LAYER_TINYSFT_fault FAULT_LAYER='vkCmdCopyBuffer 60'; %s",
             FAULT_LAYER_FOLDER, script_of(out, MANY));
    program_run_file(
        OPEN_MPI,
        (const char *const[]){OPEN_MPI, "-n", "3", "--oversubscribe", "sh", "-c", script, NULL},
        &result);
    expect(&result, TS_ERR_RUN, " rank 2 on ");
    expect(&result, TS_ERR_RUN, " has other parameters than 2 of 3 ranks");
}

// A request to stop that one rank gets is one to all.
Test(ranks, stop_together_and_save_once)
{
    need(OPEN_MPI);
    const pid_t mpirun = start("--max-steps 4000 --save-steps 1 --save-total-limit 1");
    wait_until_saved("out", 1);
    kill(process_of(1), SIGTERM);
    cr_expect_eq(program_wait(mpirun), 128 + SIGTERM);
    ts_text said = test_read(folder, "said");
    cr_assert_not_null(strstr(said.bytes, "stopped after step "), "%s", said.bytes);
    cr_assert_not_null(strstr(said.bytes, " is saved, go on with"), "%s", said.bytes);
    ts_text_free(&said);
}

// So it is with an evaluation, which ends with the code of a program that the signal ended, and
// leaves no report.
Test(ranks, stop_an_evaluation_without_a_report)
{
    char script[1024];
    need(OPEN_MPI);
    snprintf(script, sizeof script,
             "echo $$ >%s/pid.$OMPI_COMM_WORLD_RANK; exec %s eval --model %s --data %s "
             "--output-dir %s --device 0 --no-tune --max-new-tokens 400",
             folder, TINYSFT_PROGRAM, BASE, PROJECT_FOLDER "/data/eval.json", out);
    const pid_t mpirun = start_script(script);
    wait_until_said("/189 answers"); // how many it has at the first look depends on the machine
    kill(process_of(1), SIGTERM);
    cr_expect_eq(program_wait(mpirun), 128 + SIGTERM);
    ts_text said = test_read(folder, "said");
    cr_expect_not_null(strstr(said.bytes, "tinysft-vk: rank 1 on "), "%s", said.bytes);
    cr_expect_not_null(strstr(said.bytes, ": none of them are kept"), "%s", said.bytes);
    ts_text_free(&said);
    cr_expect_eq(rmdir(out), 0, "there is something in %s", out);
}

#define SLOW_SWEEP                                                                                 \
    "sweep --model %s --data %s --device 0 --no-tune --grid rank=1,2 lr=1e-3,2e-3 --max-steps 30 " \
    "--save-steps 1 --save-total-limit 1 --eval-data %s --output-dir %s"

// A rank of a sweep is killed in the middle of its run: the same command goes on, here by one rank,
// and all runs end in the bytes of a sweep that was never disturbed.
Test(ranks_cut, a_sweep_whose_rank_was_killed_goes_on)
{
    static const char *const runs[] = {"rank-1_lr-0.001", "rank-1_lr-0.002", "rank-2_lr-0.001",
                                       "rank-2_lr-0.002"};
    program_result result;
    char script[1024], name[128];
    need(OPEN_MPI);
    snprintf(script, sizeof script, "echo $$ >%s/pid.$OMPI_COMM_WORLD_RANK; exec %s " SLOW_SWEEP,
             folder, TINYSFT_PROGRAM, BASE, data, data, out);
    const pid_t mpirun = start_script(script);
    wait_until_saved("out/rank-1_lr-0.002/seed-42", 3);
    kill(process_of(1), SIGKILL);
    cr_expect_neq(program_wait(mpirun), 0);
    wait_for_end(process_of(0));
    snprintf(name, sizeof name, "%s/sweep.json", out);
    cr_expect_neq(access(name, F_OK), 0, "the sweep was done before");
    program_run_file("/bin/sh", (const char *const[]){"sh", "-c", script, NULL}, &result);
    expect(&result, 0, "written: ");
    snprintf(script, sizeof script, "exec %s " SLOW_SWEEP, TINYSFT_PROGRAM, BASE, data, data,
             alone);
    program_run_file("/bin/sh", (const char *const[]){"sh", "-c", script, NULL}, &result);
    expect(&result, 0, "written: ");
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        snprintf(name, sizeof name, "%s/seed-42/adapter_model.safetensors", runs[i]);
        same_file(name);
    }
}
