#include "cli/ranks.h"

#include "base/hash.h"
#include "base/launcher.h"
#include "base/memory.h"
#include "base/os.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ts_ranks *ts_cli_ranks;

bool ts_cli_speaks(void)
{
    return ts_ranks_rank(ts_cli_ranks) == 0;
}

// ---- What is said

enum { REMEMBERED = 256 };

// Whether rank 0 has printed this warning; if not, remembers it.
static bool was_said(const char *message)
{
    static uint64_t said[REMEMBERED];
    static size_t count;
    const uint64_t hash = ts_hash_add(TS_HASH_START, message, strlen(message));
    for (size_t i = 0; i < count && i < REMEMBERED; i++) {
        if (said[i] == hash) {
            return true;
        }
    }
    said[count++ % REMEMBERED] = hash;
    return false;
}

bool ts_cli_hear_log(bool warning, const char *message)
{
    if (ts_cli_ranks == NULL) {
        return true;
    }
    if (ts_cli_speaks()) {
        return !warning || !was_said(message);
    }
    if (warning) {
        ts_ranks_say(ts_cli_ranks, message);
    }
    return false;
}

// One line in one piece, whatever other ranks write meanwhile.
static void hear_rank(void *user, uint32_t rank, const char *host, const char *text, bool failed)
{
    (void)user;
    ts_text line = {0};
    if (failed || !was_said(text)) {
        ts_text_format(&line, NULL, "%srank %u on %s: %s\n",
                       failed ? "tinysft-vk: " : "warning: ", rank, host, text);
        if (line.bytes != NULL) {
            fputs(line.bytes, stderr);
            fflush(stderr);
        }
    }
    ts_text_free(&line);
}

// ---- Joining and leaving

ts_status ts_cli_join_ranks(bool *quiet, ts_error *err)
{
    static char lines[1 << 14];
    const ts_launcher launcher = ts_launcher_read();
    *quiet = false;
    ts_status status = ts_ranks_open(hear_rank, NULL, &ts_cli_ranks, err);
    if (status != TS_OK) {
        *quiet = launcher.rank > 0;
        if (*quiet) {
            ts_os_sleep(0.5); // else the launcher could end rank 0 before it has said why
        }
        return status;
    }
    if (ts_cli_ranks != NULL) {
        setvbuf(stderr, lines, _IOLBF, sizeof lines);
    }
    if (!ts_cli_speaks() && freopen("/dev/null", "w", stdout) == NULL) {
        return ts_error_set(err, TS_ERR_IO, "/dev/null cannot be opened");
    }
    return TS_OK;
}

void ts_cli_leave_ranks(int code)
{
    ts_ranks_close(ts_cli_ranks, code);
    ts_cli_ranks = NULL;
}

void ts_cli_fail_ranks(const ts_error *err)
{
    if (ts_cli_ranks != NULL) {
        fflush(stderr);
        ts_ranks_fail(ts_cli_ranks, err);
    }
}

// ---- Devices

enum { MOST_DEVICES = 64 };

// Element `index`, in turn, of numbers with commas; their count in *count. Empty where `text` is
// something else.
static ts_status pick(const char *text, uint32_t index, ts_text *out, uint32_t *count,
                      ts_error *err)
{
    const char *at = text;
    *count = 0;
    if (text == NULL || strspn(text, "0123456789,") != strlen(text) || strchr(text, ',') == NULL) {
        return TS_OK;
    }
    for (const char *c = text; c != NULL; c = strchr(c, ',')) {
        c += c != text;
        ++*count;
    }
    for (uint32_t i = 0; i < index % *count; i++) {
        at = strchr(at, ',') + 1;
    }
    return ts_text_format(out, err, "%.*s", (int)strcspn(at, ","), at);
}

// The devices that ranks would have in turn: the chosen one, then the others of its kind, then
// other GPUs.
static size_t order(const tinysft_device_info *devices, size_t count, size_t chosen, size_t *out)
{
    size_t taken = 0;
    out[taken++] = chosen;
    for (int kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < count; i++) {
            const bool same = strcmp(devices[i].kind, devices[chosen].kind) == 0;
            const bool gpu = strcmp(devices[i].kind, "CPU") != 0;
            if (i != chosen && devices[i].unusable == NULL && (kind == 0 ? same : !same && gpu)) {
                out[taken++] = i;
            }
        }
    }
    return taken;
}

ts_status ts_cli_rank_device(const ts_gpu_params *asked, ts_text *out, uint32_t *sharers,
                             ts_error *err)
{
    ts_status status = TS_OK;
    static tinysft_device_info devices[MOST_DEVICES];
    size_t count = 0, chosen, places[MOST_DEVICES];
    uint32_t listed;
    const uint32_t local = ts_ranks_local_rank(ts_cli_ranks);
    const uint32_t locals = ts_ranks_local_count(ts_cli_ranks);
    *sharers = locals;
    TS_TRY(pick(asked->device, local, out, &listed, err));
    if (listed > 1 && ts_cli_ranks == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "%s: this is one process, which takes one device: --devices %s of train and sweep "
                "starts one on each, and so does mpirun -n %u",
                asked->device, asked->device, listed);
    }
    if (listed > 0) {
        *sharers = (uint32_t)ts_ceil_div(locals, listed);
    } else if (asked->device != NULL) {
        TS_TRY(ts_text_format(out, err, "%s", asked->device));
    } else if (locals > 1) {
        const tinysft_device_params params = ts_cli_device_params(asked, "auto");
        TS_TRY(tinysft_device_list(&params, devices, MOST_DEVICES, &count, &chosen, err));
        const size_t usable = order(devices, ts_min_u64(count, MOST_DEVICES), chosen, places);
        *sharers = (uint32_t)ts_ceil_div(locals, usable);
        if (usable > 1) {
            TS_TRY(ts_text_format(out, err, "%zu", places[local % usable]));
        }
    }
out:
    return status;
}

// ---- Starting the ranks

// Open MPI and MPICH as a single box needs them: ranks bound to no core (a driver has threads of
// its own), more of them than cores, also as root; and, in a job of Slurm, on this node, not by
// srun, which waits in a shell of srun's for ever.
static void prepare_launchers(void)
{
    static const char *const variables[][2] = {
        {"OMPI_MCA_hwloc_base_binding_policy", "none"},
        {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
        {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
        {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
        {"OMPI_MCA_ras", "^slurm"},
        {"OMPI_MCA_plm", "isolated"},
        {"HYDRA_RMK", "user"},
        {"HYDRA_LAUNCHER", "fork"},
    };
    for (size_t i = 0; i < TS_COUNT(variables); i++) {
        ts_os_set_variable(variables[i][0], variables[i][1]);
    }
}

static ts_status start_by(const char *launcher, uint32_t count, const char *program,
                          const char *command, int argc, char **argv, ts_error *err)
{
    ts_status status = TS_OK;
    const char **all = NULL;
    char number[16];
    snprintf(number, sizeof number, "%u", count);
    TS_TRY(ts_alloc((size_t)argc + 6, sizeof *all, &all, err));
    const char *const first[] = {launcher, "-n", number, program, command};
    memcpy(all, first, sizeof first);
    for (int i = 0; i < argc; i++) {
        all[TS_COUNT(first) + (size_t)i] = argv[i];
    }
    ts_os_become(all); // returns where there is no such launcher
out:
    free(all);
    return status;
}

ts_status ts_cli_start_ranks(const ts_command *command, const char *devices, int argc, char **argv,
                             ts_error *err)
{
    static const char *const launchers[][2] = {{"mpirun.openmpi", "openmpi"},
                                               {"mpiexec.mpich", "mpich"},
                                               {"mpirun", "openmpi"},
                                               {"mpirun", "mpich"}};
    ts_status status = TS_OK;
    ts_text ignored = {0};
    uint32_t count;
    char program[2048];
    TS_TRY(pick(devices, 0, &ignored, &count, err));
    if (count < 2 || ts_launcher_read().name != NULL) {
        goto out;
    }
    const int reason = ts_os_program_path(program, sizeof program);
    if (reason != 0) {
        TS_FAIL(TS_ERR_IO, "where this program lies is not known: %s", strerror(reason));
    }
    prepare_launchers();
    for (size_t i = 0; i < TS_COUNT(launchers); i++) {
        if (ts_ranks_can_use(launchers[i][1])) {
            TS_TRY(start_by(launchers[i][0], count, program, command->name, argc, argv, err));
        }
    }
    TS_FAIL(TS_ERR_UNSUPPORTED,
            "--devices %s: a rank for each device is started by mpirun, which is not here, or what "
            "it needs of this program is not: install openmpi-bin and tinysft-vk-openmpi, or mpich "
            "and tinysft-vk-mpich",
            devices);
out:
    ts_text_free(&ignored);
    return status;
}

// ---- Who does what

typedef struct row {
    char device[64];
    double device_mib;
} row;

static void print_rank(uint32_t rank, const row *r, const ts_api_share *share)
{
    char micros[64] = "no micro-batch";
    if (share->end == share->first + 1) {
        snprintf(micros, sizeof micros, "micro-batch %u of %u", share->end, share->all);
    } else if (share->end > share->first) {
        snprintf(micros, sizeof micros, "micro-batches %u to %u of %u", share->first + 1,
                 share->end, share->all);
    }
    ts_cli_say(stderr,
               "  rank %u on %s, %s: %s; %.1f MiB on the device, %.1f on the host for the "
               "exchange; sends %.3f MB a step\n",
               rank, ts_ranks_host(ts_cli_ranks, rank), r->device, micros, r->device_mib,
               (double)share->host_bytes / (1 << 20), 1e-6 * (double)share->sent_bytes);
}

ts_status ts_cli_print_ranks(tinysft_training *training, const char *device, bool balance,
                             ts_error *err)
{
    ts_status status = TS_OK;
    row own = {0}, *all = NULL;
    ts_api_share share;
    uint64_t most = 0;
    const uint32_t count = ts_ranks_count(ts_cli_ranks);
    if (ts_cli_ranks == NULL) {
        return TS_OK;
    }
    TS_TRY(ts_api_get_share(training, ts_ranks_rank(ts_cli_ranks), &share, err));
    own.device_mib = (double)share.device_bytes / (1 << 20);
    snprintf(own.device, sizeof own.device, "%s", device);
    TS_TRY(ts_alloc(count, sizeof *all, &all, err));
    TS_TRY(ts_ranks_share(ts_cli_ranks, &own, sizeof own, all, err));
    const char *mpi = ts_ranks_mpi(ts_cli_ranks); // Open MPI adds who built it
    ts_cli_say(stderr, "%u ranks by %.*s; in a whole step%s:\n", count, (int)strcspn(mpi, ","), mpi,
               balance ? ", until --balance knows their speeds" : "");
    for (uint32_t r = 0; r < count; r++) {
        TS_TRY(ts_api_get_share(training, r, &share, err));
        print_rank(r, &all[r], &share);
        most = ts_max_u64(most, share.sent_bytes);
    }
    if (share.all < count) {
        ts_cli_say(stderr, "  --grad-accum %u would give each of them a micro-batch\n", count);
    }
    const double bits = 8 * (double)most;
    ts_cli_say(
        stderr,
        "  over the wire between hosts, where none of it is hidden behind the devices' work: "
        "%.3g s a step at 1 Gbit/s, %.3g s at 10\n",
        bits / 1e9, bits / 1e10);
out:
    free(all);
    return status;
}

ts_status ts_cli_print_exchange(tinysft_training *training, ts_error *err)
{
    ts_api_share share;
    if (ts_cli_ranks == NULL) {
        return TS_OK;
    }
    ts_status status = ts_api_get_share(training, 0, &share, err);
    if (status != TS_OK || share.steps == 0) {
        return status;
    }
    const double waited_s = share.waited_s / (double)share.steps;
    const double hidden = 1 - waited_s / share.alone_s;
    ts_cli_say(stderr,
               "exchange: rank 0 sends %.3f MB a step, which takes %.3g ms where nothing else goes "
               "on (%.3g Gbit/s); in the mean step the rank that waited least waited %.3g ms: "
               "%.0f %% is hidden behind the devices' work\n",
               1e-6 * (double)share.sent_bytes, 1e3 * share.alone_s,
               8e-9 * (double)share.sent_bytes / share.alone_s, 1e3 * waited_s,
               hidden > 0 ? 100 * hidden : 0);
    return TS_OK;
}
