// The bytes of files that the program carries: two fonts (cmake/font.cmake says which, font.c reads
// them) and the page that review_page.c fills in.
#if defined(__APPLE__)
#define SYMBOL(name) _##name
    .section __TEXT,__const
#elif defined(_WIN32)
#define SYMBOL(name) name
    .section .rdata,"dr"
#else
#define SYMBOL(name) name
    .section .rodata
#endif

    .globl SYMBOL(ts_font_regular)
    .globl SYMBOL(ts_font_regular_end)
    .globl SYMBOL(ts_font_bold)
    .globl SYMBOL(ts_font_bold_end)
    .globl SYMBOL(ts_review_page)
    .globl SYMBOL(ts_review_page_end)

    .balign 16
SYMBOL(ts_font_regular):
    .incbin TS_FONT_REGULAR
SYMBOL(ts_font_regular_end):
    .byte 0

    .balign 16
SYMBOL(ts_font_bold):
    .incbin TS_FONT_BOLD
SYMBOL(ts_font_bold_end):
    .byte 0

SYMBOL(ts_review_page):
    .incbin TS_REVIEW_PAGE
SYMBOL(ts_review_page_end):
    .byte 0

#if defined(__ELF__)
    .section .note.GNU-stack,"",%progbits
#endif
