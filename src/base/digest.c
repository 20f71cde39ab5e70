#include "base/digest.h"

#include <stdio.h>

void ts_digest_begin_sha256(ts_digest *digest)
{
    digest->git = false;
    SHA256Init(&digest->state.sha2);
}

void ts_digest_begin_git_blob(ts_digest *digest, uint64_t len)
{
    char header[32];
    int header_len = snprintf(header, sizeof header, "blob %llu", (unsigned long long)len);
    digest->git = true;
    SHA1Init(&digest->state.sha1);
    ts_digest_add(digest, header, (size_t)header_len + 1); // with its NUL
}

void ts_digest_add(ts_digest *digest, const void *bytes, size_t len)
{
    if (digest->git) {
        SHA1Update(&digest->state.sha1, bytes, len);
    } else {
        SHA256Update(&digest->state.sha2, bytes, len);
    }
}

void ts_digest_end(ts_digest *digest, char out[TS_DIGEST_TEXT_BYTES])
{
    if (digest->git) {
        SHA1End(&digest->state.sha1, out);
    } else {
        SHA256End(&digest->state.sha2, out);
    }
}
