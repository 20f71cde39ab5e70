// What is installed beside the program: the demo's model and data, under the names that they have
// in the repository.
#include "base/file.h"
#include "base/log.h"
#include "base/os.h"
#include "cli/cli.h"

#include <string.h>

// PREFIX/share/tinysft-vk/PATH of a program that is PREFIX/bin/tinysft-vk.
static ts_status installed_path(const char *path, ts_text *out, ts_error *err)
{
    char program[4096];
    ts_text_clear(out);
    if (ts_os_program_path(program, sizeof program) != 0) {
        return TS_OK;
    }
    for (int i = 0; i < 2; i++) { // cut the file's name off, then its folder's name
        char *slash = strrchr(program, '/');
        if (slash == NULL) {
            return TS_OK;
        }
        *slash = '\0';
    }
    return ts_text_format(out, err, "%s/share/tinysft-vk/%s", program, path);
}

ts_status ts_cli_find(const char *path, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    bool found;
    TS_TRY(ts_file_find(path, &found, err));
    if (!found && path[0] != '/') {
        TS_TRY(installed_path(path, out, err));
        if (out->len > 0 && ts_file_exists(out->bytes)) {
            ts_log(TS_LOG_DEBUG, "%s is taken from %s", path, out->bytes);
            return TS_OK;
        }
    }
    ts_text_clear(out);
    status = ts_text_format(out, err, "%s", path);
out:
    return status;
}

ts_cli_name ts_cli_last_name(const char *path)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--) {
    }
    return (ts_cli_name){path + begin, (int)(end - begin)};
}

ts_status ts_cli_write_config(const char *folder, const char *name, const ts_text *config,
                              ts_error *err)
{
    return ts_file_write_in(folder, name, config->bytes, config->len, ts_file_write, err);
}

void ts_cli_tell_new_folder(const char *path)
{
    size_t len = (size_t)(ts_cli_last_name(path).text - path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    char folder[4096];
    if (len > 0 && len < sizeof folder) {
        memcpy(folder, path, len);
        folder[len] = '\0';
        if (!ts_file_exists(folder)) {
            ts_cli_say(stderr, "the folder %s is not there yet and is made\n", folder);
        }
    }
}
