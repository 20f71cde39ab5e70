#include "base/terminal.h"

#include "base/os.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

bool ts_terminal_takes_escapes(FILE *stream)
{
    const char *kind = getenv("TERM");
    return ts_os_is_terminal(stream) && kind != NULL && kind[0] != '\0' &&
           strcmp(kind, "dumb") != 0;
}

bool ts_terminal_takes_colour(FILE *stream)
{
    const char *refused = getenv("NO_COLOR");
    return ts_terminal_takes_escapes(stream) && (refused == NULL || refused[0] == '\0');
}

int ts_terminal_columns(FILE *stream)
{
    int columns = ts_os_is_terminal(stream) ? ts_os_terminal_columns(stream) : -1;
    return columns < 0 ? 0 : columns == 0 ? 80 : columns;
}

// ---- What may be shown

enum { MOST_ESCAPE = 16 };

// Ranges of characters that are not shown, or change how others are; sorted. Joiners (U+200C and
// U+200D) stay: Persian, Hindi and emoji are written with them.
static const struct {
    int32_t first, last;
} unseen[] = {
    {0x00, 0x08},       // controls but for tab and line feed
    {0x0B, 0x1F},       // the rest of them, escape and carriage return
    {0x7F, 0x9F},       // delete, and the controls that are escape sequences in one character
    {0xAD, 0xAD},       // soft hyphen
    {0x61C, 0x61C},     // Arabic letter mark
    {0x180E, 0x180E},   // Mongolian vowel separator
    {0x200B, 0x200B},   // zero-width space
    {0x200E, 0x200F},   // left-to-right and right-to-left marks
    {0x2028, 0x202E},   // line separators, embeddings and overrides
    {0x2060, 0x206F},   // word joiner, isolates
    {0xFEFF, 0xFEFF},   // byte order mark
    {0xFFF9, 0xFFFB},   // interlinear annotation
    {0xE0000, 0xE007F}, // tags
};

static bool is_unseen(int32_t cp)
{
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen && cp >= unseen[i].first; i++) {
        if (cp <= unseen[i].last) {
            return true;
        }
    }
    return false;
}

// How many bytes at the start of bytes[0..len) can be shown as they are.
static size_t safe_run(const char *bytes, size_t len)
{
    size_t at = 0, taken = 0;
    for (; at < len; at += taken) {
        int32_t cp = ts_utf8_decode(bytes + at, len - at, &taken);
        if (cp < 0 || is_unseen(cp)) {
            break;
        }
    }
    return at;
}

// The escape for the character at the start of bytes[0..len); returns its length, and in *taken how
// many bytes it stands for.
static size_t escape(const char *bytes, size_t len, char out[MOST_ESCAPE], size_t *taken)
{
    int32_t cp = ts_utf8_decode(bytes, len, taken);
    const char *format = cp < 0x80 ? "\\x%02x" : "\\u%04x";
    return (size_t)snprintf(out, MOST_ESCAPE, format,
                            cp < 0 ? (unsigned)(unsigned char)*bytes : (unsigned)cp);
}

ts_status ts_text_append_printable(ts_text *text, const char *bytes, size_t len, ts_error *err)
{
    ts_status status = ts_text_append(text, "", 0, err);
    for (size_t at = 0, taken = 0; at < len && status == TS_OK; at += taken) {
        char escaped[MOST_ESCAPE];
        if ((taken = safe_run(bytes + at, len - at)) > 0) {
            status = ts_text_append(text, bytes + at, taken, err);
        } else {
            size_t escape_len = escape(bytes + at, len - at, escaped, &taken);
            status = ts_text_append(text, escaped, escape_len, err);
        }
    }
    return status;
}

void ts_terminal_write(FILE *stream, const char *bytes, size_t len)
{
    for (size_t at = 0, taken = 0; at < len; at += taken) {
        char escaped[MOST_ESCAPE];
        if ((taken = safe_run(bytes + at, len - at)) > 0) {
            fwrite(bytes + at, 1, taken, stream);
        } else {
            fwrite(escaped, 1, escape(bytes + at, len - at, escaped, &taken), stream);
        }
    }
}

int ts_terminal_width(const char *text, size_t len)
{
    int columns = 0;
    for (size_t at = 0, taken; at < len; at += taken) {
        int32_t character = ts_utf8_decode(text + at, len - at, &taken);
        char escaped[MOST_ESCAPE];
        if (character < 0 || is_unseen(character)) {
            columns += (int)escape(text + at, len - at, escaped, &taken);
            continue;
        }
        // Blocks, arrows and dashes lie between 0x2000 and 0x2E7F and take one.
        bool wide = (character >= 0x1100 && character < 0x2000) || character >= 0x2E80;
        columns += wide ? 2 : 1;
    }
    return columns;
}
