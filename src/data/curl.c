#include "data/curl.h"

#include "base/memory.h"
#include "base/os.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

struct ts_curl ts_curl;

// libcurl with OpenSSL, or the same interface with GnuTLS. Version 4 is that of other systems too.
static void *open_library(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    void *library = NULL;
    char problem[256]; // what it says is of no use to a user
    for (size_t i = 0; i < TS_COUNT(names) && library == NULL; i++) {
        library = ts_os_library_open(names[i], problem, sizeof problem);
    }
    return library;
}

static ts_status load(ts_error *err)
{
    static const struct {
        const char *name;
        size_t at;
    } functions[] = {
#define TS_CURL_ROW(name) {"curl_" #name, offsetof(struct ts_curl, name)},
        TS_CURL_FUNCTIONS(TS_CURL_ROW)
#undef TS_CURL_ROW
    };
    static void *library;
    if (library != NULL) {
        return TS_OK;
    }
    void *opened = open_library();
    if (opened == NULL) {
        return ts_error_set(err, TS_ERR_IO,
                            "downloading needs libcurl, and libcurl.so.4 is not installed (Debian, "
                            "Ubuntu: `apt install libcurl4 ca-certificates`); a folder as --model "
                            "needs none");
    }
    for (size_t i = 0; i < TS_COUNT(functions); i++) {
        void *function = ts_os_library_find(opened, functions[i].name);
        if (function == NULL) {
            ts_os_library_close(opened);
            return ts_error_set(err, TS_ERR_IO,
                                "the libcurl that is installed has no %s: 7.62 or newer is needed",
                                functions[i].name);
        }
        memcpy((char *)&ts_curl + functions[i].at, &function, sizeof function);
    }
    library = opened;
    return TS_OK;
}

ts_status ts_curl_load(ts_error *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    ts_status status = load(err);
    pthread_mutex_unlock(&lock);
    return status;
}
