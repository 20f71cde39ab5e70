#include "data/byte_level.h"

// Whether the byte is its own character.
static bool is_printable(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) ||
           (byte >= 0xAE && byte <= 0xFF);
}

// The other bytes (0 to 32, 127 to 160, and 173) are, in order, the characters from FIRST_OTHER on.
enum { FIRST_OTHER = 0x100, OTHERS_BELOW_127 = 33, OTHERS_BELOW_173 = 67, OTHERS = 68 };

size_t ts_byte_spell(unsigned char byte, char out[4])
{
    uint32_t other = byte <= 32 ? byte : byte < 173 ? byte - 127u + OTHERS_BELOW_127 : OTHERS - 1;
    return ts_utf8_encode(is_printable(byte) ? byte : FIRST_OTHER + other, out);
}

int ts_byte_of(int32_t character)
{
    int32_t other = character - FIRST_OTHER;
    if (other < 0 || other >= OTHERS) {
        return character >= 0 && character < FIRST_OTHER && is_printable(character) ? character
                                                                                    : -1;
    }
    return other < OTHERS_BELOW_127   ? other
           : other < OTHERS_BELOW_173 ? other - OTHERS_BELOW_127 + 127
                                      : 173;
}

ts_status ts_byte_append_piece(const char *piece, size_t len, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    size_t before = out->len;
    for (size_t at = 0, taken; at < len; at += taken) {
        int byte = ts_byte_of(ts_utf8_decode(piece + at, len - at, &taken));
        char c = (char)byte;
        if (byte < 0) {
            out->len = before;
            return ts_text_append(out, piece, len, err);
        }
        TS_TRY(ts_text_append(out, &c, 1, err));
    }
out:
    return status;
}

// How many bytes one U+FFFD replaces at the start of bytes[0..len), where no complete character
// starts: as many as could begin one, and at least one.
static size_t broken(const char *bytes, size_t len)
{
    unsigned char lead = (unsigned char)bytes[0], low = 0x80, high = 0xBF;
    size_t more = lead >= 0xC2 && lead <= 0xDF   ? 1
                  : lead >= 0xE0 && lead <= 0xEF ? 2
                  : lead >= 0xF0 && lead <= 0xF4 ? 3
                                                 : 0;
    low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : low;
    high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : high;
    size_t at = 1;
    while (at <= more && at < len && (unsigned char)bytes[at] >= low &&
           (unsigned char)bytes[at] <= high) {
        at++;
        low = 0x80;
        high = 0xBF;
    }
    return at;
}

ts_status ts_byte_append_text(const char *bytes, size_t len, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    while (len > 0) {
        size_t valid = ts_utf8_valid_prefix(bytes, len);
        TS_TRY(ts_text_append(out, bytes, valid, err));
        bytes += valid;
        len -= valid;
        if (len > 0) {
            size_t taken = broken(bytes, len);
            TS_TRY(ts_text_append(out, "\xEF\xBF\xBD", 3, err));
            bytes += taken;
            len -= taken;
        }
    }
out:
    return status;
}
