// The program's interface to MPI (base/mpi.h), built once against the headers of each
// implementation.
#include "base/mpi.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static MPI_Request *requests; // MPI_REQUEST_NULL: free
static int capacity;

// A place for a request: its number.
static int take_place(int *number)
{
    for (int i = 0; i < capacity; i++) {
        if (requests[i] == MPI_REQUEST_NULL) {
            *number = i;
            return MPI_SUCCESS;
        }
    }
    const int more = capacity > 0 ? 2 * capacity : 64;
    MPI_Request *grown = realloc(requests, (size_t)more * sizeof *grown);
    if (grown == NULL) {
        return MPI_ERR_NO_MEM;
    }
    for (int i = capacity; i < more; i++) {
        grown[i] = MPI_REQUEST_NULL;
    }
    *number = capacity;
    requests = grown;
    capacity = more;
    return MPI_SUCCESS;
}

static int begin(int *rank, int *count, int *local_rank, int *local_count)
{
    int provided, error;
    MPI_Comm local;
    if ((error = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided)) != MPI_SUCCESS) {
        return error;
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (provided < MPI_THREAD_SERIALIZED) {
        return MPI_ERR_OTHER;
    }
    if ((error = MPI_Comm_rank(MPI_COMM_WORLD, rank)) != MPI_SUCCESS ||
        (error = MPI_Comm_size(MPI_COMM_WORLD, count)) != MPI_SUCCESS ||
        (error = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, *rank, MPI_INFO_NULL,
                                     &local)) != MPI_SUCCESS) {
        return error;
    }
    MPI_Comm_rank(local, local_rank);
    MPI_Comm_size(local, local_count);
    return MPI_Comm_free(&local);
}

// All ranks finalize at the same moment, or MPICH 4.0 by UCX and TCP nearly always waits for ever
// (base/ranks.c, leave_in_time).
static int end(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
    const int error = MPI_Finalize();
    free(requests);
    requests = NULL;
    capacity = 0;
    return error;
}

static void abort_all(int code)
{
    MPI_Abort(MPI_COMM_WORLD, code);
}

static void explain(int error, char *out, size_t size)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int len;
    if (MPI_Error_string(error, text, &len) != MPI_SUCCESS) {
        snprintf(text, sizeof text, "error %d", error);
    }
    snprintf(out, size, "%s", text);
}

static void describe(char *out, size_t size)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int len;
    MPI_Get_library_version(text, &len);
    text[strcspn(text, "\n")] = '\0';
    for (char *tab = strchr(text, '\t'); tab != NULL; tab = strchr(tab, '\t')) {
        *tab = ' ';
    }
    snprintf(out, size, "%s", text);
}

static int send_words(const void *words, uint64_t count, int to, int tag, int *request)
{
    const int error = count > INT_MAX ? MPI_ERR_COUNT : take_place(request);
    return error != MPI_SUCCESS ? error
                                : MPI_Isend(words, (int)count, MPI_UINT32_T, to, tag,
                                            MPI_COMM_WORLD, &requests[*request]);
}

static int receive(void *words, uint64_t count, int from, int tag, int *request)
{
    const int error = count > INT_MAX ? MPI_ERR_COUNT : take_place(request);
    return error != MPI_SUCCESS ? error
                                : MPI_Irecv(words, (int)count, MPI_UINT32_T,
                                            from == TS_MPI_ANY ? MPI_ANY_SOURCE : from, tag,
                                            MPI_COMM_WORLD, &requests[*request]);
}

static int gather(void *words, const int *counts, const int *offsets, int *request)
{
    const int error = take_place(request);
    return error != MPI_SUCCESS
               ? error
               : MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_UINT32_T, words, counts, offsets,
                                 MPI_UINT32_T, MPI_COMM_WORLD, &requests[*request]);
}

static int tell(void *words, uint64_t count, int *request)
{
    const int error = count > INT_MAX ? MPI_ERR_COUNT : take_place(request);
    return error != MPI_SUCCESS ? error
                                : MPI_Ibcast(words, (int)count, MPI_UINT32_T, 0, MPI_COMM_WORLD,
                                             &requests[*request]);
}

static int barrier(int *request)
{
    const int error = take_place(request);
    return error != MPI_SUCCESS ? error : MPI_Ibarrier(MPI_COMM_WORLD, &requests[*request]);
}

static int test(int request, int *done, int *from)
{
    MPI_Status status = {.MPI_SOURCE = TS_MPI_ANY};
    const int error = MPI_Test(&requests[request], done, &status);
    *from = status.MPI_SOURCE;
    return error;
}

static int cancel(int request)
{
    const int error = MPI_Cancel(&requests[request]);
    return error != MPI_SUCCESS ? error : MPI_Wait(&requests[request], MPI_STATUS_IGNORE);
}

const ts_mpi *ts_mpi_shim(void);
const ts_mpi *ts_mpi_shim(void)
{
    static const ts_mpi shim = {.version = TS_MPI_VERSION,
                                .begin = begin,
                                .end = end,
                                .abort = abort_all,
                                .explain = explain,
                                .describe = describe,
                                .send = send_words,
                                .receive = receive,
                                .gather = gather,
                                .tell = tell,
                                .barrier = barrier,
                                .test = test,
                                .cancel = cancel};
    return &shim;
}
