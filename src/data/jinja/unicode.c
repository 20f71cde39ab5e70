// The properties of characters that Python's str methods need. Case and classes are those of the C
// library's locale C.UTF-8. On a system without that locale, only ASCII letters have case.
#include "data/jinja/parts.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>

static locale_t locale;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_locale(void)
{
    locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static locale_t utf8_locale(void)
{
    pthread_once(&once, open_locale);
    return locale;
}

static bool is_class(int32_t cp, int (*test)(wint_t, locale_t), char first, char last)
{
    if (cp < 0x80) {
        return cp >= first && cp <= last;
    }
    locale_t l = utf8_locale();
    return l != (locale_t)0 && test((wint_t)cp, l) != 0;
}

bool ts_jinja_is_blank(int32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x20) || cp == 0x85 || cp == 0xA0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool ts_jinja_is_upper(int32_t cp)
{
    return is_class(cp, iswupper_l, 'A', 'Z');
}

bool ts_jinja_is_lower(int32_t cp)
{
    return is_class(cp, iswlower_l, 'a', 'z');
}

bool ts_jinja_is_letter(int32_t cp)
{
    return is_class(cp, iswalpha_l, 'A', 'Z') || (cp >= 'a' && cp <= 'z');
}

bool ts_jinja_is_digit(int32_t cp)
{
    return cp >= '0' && cp <= '9';
}

uint32_t ts_jinja_to_upper(uint32_t cp)
{
    if (cp < 0x80) {
        return cp >= 'a' && cp <= 'z' ? cp - 32 : cp;
    }
    locale_t l = utf8_locale();
    return l != (locale_t)0 ? towupper_l(cp, l) : cp;
}

uint32_t ts_jinja_to_lower(uint32_t cp)
{
    if (cp < 0x80) {
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    }
    locale_t l = utf8_locale();
    return l != (locale_t)0 ? towlower_l(cp, l) : cp;
}

bool ts_jinja_is_printable(int32_t cp)
{
    if (cp < 0x80) {
        return cp >= 0x20 && cp < 0x7F;
    }
    bool format = cp == 0xAD || (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E) ||
                  (cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF ||
                  (cp >= 0xE000 && cp <= 0xF8FF) || cp == 0x61C || cp == 0x180E ||
                  (cp >= 0xFFF9 && cp <= 0xFFFB) || cp >= 0xE0000;
    locale_t l = utf8_locale();
    return !format && !ts_jinja_is_blank(cp) && l != (locale_t)0 && iswprint_l((wint_t)cp, l) != 0;
}
