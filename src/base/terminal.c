#include "base/terminal.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool ts_terminal_takes_escapes(FILE *stream)
{
    const char *kind = getenv("TERM");
    return isatty(fileno(stream)) == 1 && kind != NULL && kind[0] != '\0' &&
           strcmp(kind, "dumb") != 0;
}

bool ts_terminal_takes_colour(FILE *stream)
{
    const char *refused = getenv("NO_COLOR");
    return ts_terminal_takes_escapes(stream) && (refused == NULL || refused[0] == '\0');
}

int ts_terminal_columns(FILE *stream)
{
    struct winsize window;
    if (isatty(fileno(stream)) != 1) {
        return 0;
    }
    return ioctl(fileno(stream), TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col
                                                                                : 80;
}

int ts_terminal_width(const char *text, size_t len)
{
    int columns = 0;
    for (size_t at = 0, taken; at < len; at += taken) {
        int32_t character = ts_utf8_decode(text + at, len - at, &taken);
        taken = character < 0 ? 1 : taken;
        // Blocks, arrows and dashes lie between 0x2000 and 0x2E7F and take one.
        bool wide = (character >= 0x1100 && character < 0x2000) || character >= 0x2E80;
        columns += wide ? 2 : 1;
    }
    return columns;
}
