// What the program asks of an MPI library. MPI has no binary interface that its implementations
// share, so for each there is a small library built against its headers (src/mpi/shim.c). It is
// loaded where a launcher such as mpirun started the program (base/ranks.h), and exports one
// function, ts_mpi_shim.
#ifndef TS_BASE_MPI_H
#define TS_BASE_MPI_H

#include <stddef.h>
#include <stdint.h>

#define TS_MPI_SHIM "ts_mpi_shim"

enum { TS_MPI_VERSION = 1, TS_MPI_ANY = -1 };

// A function that returns int returns 0 or MPI's number of an error, which `explain` describes.
// What is sent is counted in words of 32 bits. Nothing here waits but begin and end: what takes
// time gets the number of a request, which `test` asks after. Threads may call these in turn, not
// at once.
typedef struct ts_mpi {
    uint32_t version; // TS_MPI_VERSION that the shim was built with
    // Among all ranks, and among those of the same host.
    int (*begin)(int *rank, int *count, int *local_rank, int *local_count);
    int (*end)(void);
    void (*abort)(int code); // ends all ranks; the launcher returns the code
    void (*explain)(int error, char *out, size_t size);
    void (*describe)(char *out, size_t size); // "Open MPI v4.1.4, ..."
    int (*send)(const void *words, uint64_t count, int to, int tag, int *request);
    int (*receive)(void *words, uint64_t count, int from, int tag, int *request);
    // Each rank has words[offsets[rank] .. offsets[rank] + counts[rank]); afterwards all have all.
    int (*gather)(void *words, const int *counts, const int *offsets, int *request);
    int (*tell)(void *words, uint64_t count, int *request); // rank 0's, to all
    int (*barrier)(int *request);
    // Once *done is set the request is forgotten; *from is who sent what was received.
    int (*test)(int request, int *done, int *from);
    int (*cancel)(int request); // of a receive that nothing came for
} ts_mpi;

typedef const ts_mpi *(*ts_mpi_shim_function)(void);

#endif
