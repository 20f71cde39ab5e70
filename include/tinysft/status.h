// How every tinysft-vk function reports failure: a status as the return value, and the story in
// the caller's ts_error. Part of the public face; src/base/error.h adds the helpers that fill it.
#ifndef TINYSFT_STATUS_H
#define TINYSFT_STATUS_H

// Each status is also the program's exit code for an error of that kind.
typedef enum ts_status {
    TS_OK = 0,
    TS_ERR_RUN = 1,         // an expectation that this run was asked to check did not hold
    TS_ERR_ARGUMENT = 2,    // the caller asked for something that does not exist or make sense
    TS_ERR_FORMAT = 3,      // a file's content is not what its format promises
    TS_ERR_IO = 4,          // the operating system refused a read, a write or a connection
    TS_ERR_UNSUPPORTED = 5, // well-formed, but asks for a feature that is not implemented
    TS_ERR_MEMORY = 6,      // out of host or device memory
    TS_ERR_DEVICE = 7,      // no usable Vulkan device, or the driver failed
    TS_ERR_STOPPED = 8,     // SIGINT or SIGTERM asked for a stop; what was running is saved
    TS_ERR_LOST = 9,        // the device was lost while it worked: a hang, a reset, unplugged
    TS_ERR_SHADER = 10,     // the driver could not build a shader that has no substitute
} ts_status;

// The story of one failure. The caller owns it, zero-initialised; messages gain context on the
// way up: "resume: checkpoint-400: tensor q_proj.lora_A: 12 bytes past the end of the file".
typedef struct ts_error {
    ts_status code;
    const char *file; // source place that failed first, for --verbose and bug reports
    int line;
    char message[1024];
} ts_error;

#endif
