// What launchers leave in the environment.
#include "base/launcher.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void clear(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "PMIX_RANK",
                                        "PMI_RANK",
                                        "PMI_SIZE",
                                        "SLURM_PROCID",
                                        "SLURM_STEP_NUM_TASKS",
                                        "SLURM_STEP_ID",
                                        "TINYSFT_MPI",
                                        "PMI_JOBID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unsetenv(names[i]);
    }
}

TestSuite(launcher, .init = clear);

static void begin_step_of_slurm(const char *rank, const char *tasks)
{
    setenv("SLURM_PROCID", rank, 1);
    setenv("SLURM_STEP_NUM_TASKS", tasks, 1);
    setenv("SLURM_STEP_ID", "0", 1);
}

Test(launcher, none)
{
    cr_expect_eq(ts_launcher_read().count, 1);
    cr_expect_null(ts_launcher_read().name);
    setenv("SLURM_PROCID", "0", 1); // a batch script, not a step of srun
    setenv("SLURM_NTASKS", "4", 1);
    cr_expect_eq(ts_launcher_read().count, 1);
}

Test(launcher, open_mpi_and_mpich)
{
    setenv("PMI_RANK", "1", 1);
    setenv("PMI_SIZE", "3", 1);
    ts_launcher l = ts_launcher_read();
    cr_expect(l.rank == 1 && l.count == 3);
    cr_expect_str_eq(l.mpi, "mpich");
    setenv("OMPI_COMM_WORLD_RANK", "2", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    l = ts_launcher_read();
    cr_expect(l.rank == 2 && l.count == 4);
    cr_expect_str_eq(l.mpi, "openmpi");
    setenv("TINYSFT_MPI", "mpich", 1);
    cr_expect_str_eq(ts_launcher_read().mpi, "mpich");
    setenv("TINYSFT_MPI", "off", 1);
    cr_expect_eq(ts_launcher_read().count, 1);
}

Test(launcher, slurm)
{
    begin_step_of_slurm("3", "4");
    ts_launcher l = ts_launcher_read();
    cr_expect(l.rank == 3 && l.count == 4);
    cr_expect_null(l.mpi, "srun alone brings none");
    setenv("PMIX_RANK", "3", 1);
    cr_expect_str_eq(ts_launcher_read().mpi, "openmpi");
    unsetenv("PMIX_RANK");
    setenv("PMI_RANK", "3", 1); // srun --mpi=pmi2
    setenv("PMI_SIZE", "4", 1);
    setenv("PMI_JOBID", "7.0", 1);
    cr_expect_str_eq(ts_launcher_read().mpi, "mpich");
    cr_expect_str_eq(ts_launcher_read().name, "srun --mpi=pmi2");
}

// MPICH's mpiexec reaches the nodes of a job by srun, one task on each, which may be of PMIx.
Test(launcher, mpiexec_in_a_job_of_slurm)
{
    begin_step_of_slurm("1", "2");
    setenv("PMIX_RANK", "1", 1);
    setenv("PMI_RANK", "5", 1);
    setenv("PMI_SIZE", "8", 1);
    ts_launcher l = ts_launcher_read();
    cr_expect(l.rank == 5 && l.count == 8);
    cr_expect_str_eq(l.mpi, "mpich");
}

// srun --pty bash, with whatever MPI: ranks are what is started within.
Test(launcher, a_shell_of_slurm)
{
    begin_step_of_slurm("0", "1");
    setenv("PMIX_RANK", "0", 1);
    cr_expect_null(ts_launcher_read().name);
    setenv("PMI_RANK", "0", 1);
    setenv("PMI_SIZE", "1", 1);
    setenv("PMI_JOBID", "7.0", 1);
    cr_expect_null(ts_launcher_read().name);
    setenv("OMPI_COMM_WORLD_RANK", "1", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    cr_expect(ts_launcher_read().rank == 1 && ts_launcher_read().count == 2);
}

Test(launcher, nonsense_is_no_launcher)
{
    setenv("OMPI_COMM_WORLD_RANK", "4", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "4", 1);
    cr_expect_eq(ts_launcher_read().count, 1);
    setenv("OMPI_COMM_WORLD_RANK", "two", 1);
    cr_expect_eq(ts_launcher_read().count, 1);
}
