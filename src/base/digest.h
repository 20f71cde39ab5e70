// Hashes of content that arrives piece by piece; ts_sha256_hex (file.h) does the whole at once.
#ifndef TS_BASE_DIGEST_H
#define TS_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h> // libmd's sha1.h and sha2.h need it

#include <sha1.h>
#include <sha2.h>

enum { TS_DIGEST_TEXT_BYTES = 65 }; // the longest result and its NUL

typedef struct ts_digest {
    bool git;
    union {
        SHA1_CTX sha1;
        SHA2_CTX sha2;
    } state;
} ts_digest;

// Each starts a digest anew.
void ts_digest_begin_sha256(ts_digest *digest);
// What git calls a file of `len` bytes: the SHA-1 of "blob LEN", a NUL and the content.
void ts_digest_begin_git_blob(ts_digest *digest, uint64_t len);

void ts_digest_add(ts_digest *digest, const void *bytes, size_t len);
// The result in lower-case hex: 64 digits of SHA-256, 40 of a git blob.
void ts_digest_end(ts_digest *digest, char out[TS_DIGEST_TEXT_BYTES]);

#endif
