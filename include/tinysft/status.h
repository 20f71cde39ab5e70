// How every function of the library reports failure: a status as its value, and the story in the
// caller's tinysft_error. The program's own code uses the same under shorter names
// (src/base/error.h).
#ifndef TINYSFT_STATUS_H
#define TINYSFT_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

// Each status is also the program's exit code for an error of that kind.
typedef enum tinysft_status {
    TINYSFT_OK = 0,
    TINYSFT_ERR_RUN = 1,         // an expectation that this run was asked to check did not hold
    TINYSFT_ERR_ARGUMENT = 2,    // asks for something that does not exist or makes no sense
    TINYSFT_ERR_FORMAT = 3,      // a file's content is not what its format promises
    TINYSFT_ERR_IO = 4,          // the operating system refused a read, a write or a connection
    TINYSFT_ERR_UNSUPPORTED = 5, // well-formed, but asks for a feature that is not implemented
    TINYSFT_ERR_MEMORY = 6,      // out of host or device memory
    TINYSFT_ERR_DEVICE = 7,      // no usable Vulkan device, or the driver failed
    TINYSFT_ERR_STOPPED = 8,     // the caller asked for a stop; what was running is saved
    TINYSFT_ERR_LOST = 9,        // the device was lost while it worked: a hang, a reset, unplugged
    TINYSFT_ERR_SHADER = 10,     // the driver could not build a shader that has no substitute
} tinysft_status;

// The story of one failure. The caller owns it; messages gain context on the way up:
// "resume: checkpoint-400: tensor q_proj.lora_A: 12 bytes past the end of the file".
typedef struct tinysft_error {
    tinysft_status code;
    const char *file; // source place that failed first, for bug reports; NULL: there was no failure
    int line;
    char message[1024]; // UTF-8; of settings it speaks by the names of the program's flags
} tinysft_error;

#ifdef __cplusplus
}
#endif

#endif
