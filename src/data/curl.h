// libcurl, loaded at run time when the first model is downloaded. Somebody who gives a model's
// folder needs no libcurl.
#ifndef TS_DATA_CURL_H
#define TS_DATA_CURL_H

#include "base/error.h"

#include <curl/curl.h>

#define TS_CURL_FUNCTIONS(X)                                                                       \
    X(global_init)                                                                                 \
    X(global_cleanup)                                                                              \
    X(easy_init)                                                                                   \
    X(easy_setopt)                                                                                 \
    X(easy_perform)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_escape)                                                                                 \
    X(easy_reset)                                                                                  \
    X(easy_cleanup)                                                                                \
    X(easy_strerror)                                                                               \
    X(slist_append)                                                                                \
    X(slist_free_all)                                                                              \
    X(free)                                                                                        \
    X(url)                                                                                         \
    X(url_set)                                                                                     \
    X(url_get)                                                                                     \
    X(url_cleanup)

// The member ts_curl.easy_init is the function curl_easy_init, and so on. All are NULL before
// ts_curl_load.
struct ts_curl {
#define TS_CURL_MEMBER(name) __typeof__(&curl_##name) name;
    TS_CURL_FUNCTIONS(TS_CURL_MEMBER)
#undef TS_CURL_MEMBER
};
extern struct ts_curl ts_curl;

// Loads the library at the first call. TS_ERR_IO if it is not installed or older than 7.62.
ts_status ts_curl_load(ts_error *err);

#endif
