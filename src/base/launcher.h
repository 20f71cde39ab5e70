// What a launcher (mpirun, mpiexec, srun) tells the program of the ranks that it starts. The only
// place where its environment is read.
#ifndef TS_BASE_LAUNCHER_H
#define TS_BASE_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ts_launcher {
    const char *name;     // "mpirun of Open MPI"; NULL: none, or it started this program once, as
                          // srun starts a shell, in which another may start several
    const char *mpi;      // whose shim fits: "openmpi" or "mpich"; NULL: the launcher brings no MPI
    uint32_t rank, count; // 0 of 1 where there is none
} ts_launcher;

// TINYSFT_MPI overrides what fits: "openmpi", "mpich", or "off", as if there were no launcher.
ts_launcher ts_launcher_read(void);

#endif
