#include "base/digest.h"

#include <criterion/criterion.h>
#include <string.h>

// FIPS 180-2's examples, and what `git hash-object` says.
static const struct {
    const char *text, *sha256, *git;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
     "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
     "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1", NULL},
    {"what is up, doc?", NULL, "bd9dbf5aae1a3862dd1526723246b20206e5fc37"},
};

// However the text is cut into pieces.
Test(digest, known_answers)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        size_t len = strlen(vectors[i].text);
        for (size_t piece = 1; piece <= len + 1; piece++) {
            char out[TS_DIGEST_TEXT_BYTES];
            ts_digest sha256, git;
            ts_digest_begin_sha256(&sha256);
            ts_digest_begin_git_blob(&git, len);
            for (size_t at = 0; at < len; at += piece) {
                size_t now = len - at < piece ? len - at : piece;
                ts_digest_add(&sha256, vectors[i].text + at, now);
                ts_digest_add(&git, vectors[i].text + at, now);
            }
            ts_digest_end(&sha256, out);
            cr_expect(vectors[i].sha256 == NULL || strcmp(out, vectors[i].sha256) == 0, "%s", out);
            ts_digest_end(&git, out);
            cr_expect(vectors[i].git == NULL || strcmp(out, vectors[i].git) == 0, "%s", out);
        }
    }
}

Test(digest, a_million_letters)
{
    char out[TS_DIGEST_TEXT_BYTES], letters[1000];
    ts_digest digest;
    memset(letters, 'a', sizeof letters);
    ts_digest_begin_sha256(&digest);
    for (int i = 0; i < 1000; i++) {
        ts_digest_add(&digest, letters, sizeof letters);
    }
    ts_digest_end(&digest, out);
    cr_expect_str_eq(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
