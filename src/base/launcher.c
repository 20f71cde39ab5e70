#include "base/launcher.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// The first row whose variables are all set tells. Slurm's own come last: it sets them beside those
// of the MPI that it was asked for (srun --mpi=pmix, --mpi=pmi2), and around an mpirun in a job: by
// srun --mpi=pmix, maybe, whose variables its ranks then have beside their own.
static const struct row {
    const char *name, *mpi;
    const char *rank, *count;
    const char *also; // a variable that must be set too; NULL: none
} rows[] = {
    {"mpirun of Open MPI", "openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", NULL},
    {"srun --mpi=pmi2", "mpich", "PMI_RANK", "PMI_SIZE", "PMI_JOBID"},
    {"mpiexec of MPICH", "mpich", "PMI_RANK", "PMI_SIZE", NULL},
    {"srun --mpi=pmix", "openmpi", "PMIX_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"},
    {"srun", NULL, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"},
};

static bool read_number(const char *variable, uint32_t *out)
{
    const char *text = getenv(variable);
    char *end;
    if (text == NULL || *text == '\0') {
        return false;
    }
    const unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return *end == '\0' && value <= INT32_MAX;
}

ts_launcher ts_launcher_read(void)
{
    const char *mpi = getenv("TINYSFT_MPI");
    for (size_t i = 0; i < TS_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        ts_launcher found = {.name = row->name, .mpi = row->mpi};
        if ((mpi == NULL || strcmp(mpi, "off") != 0) && read_number(row->rank, &found.rank) &&
            read_number(row->count, &found.count) && found.count > 1 && found.rank < found.count &&
            (row->also == NULL || getenv(row->also) != NULL)) {
            found.mpi = mpi != NULL ? mpi : found.mpi;
            return found;
        }
    }
    return (ts_launcher){.count = 1};
}
