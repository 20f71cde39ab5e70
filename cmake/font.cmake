# The pictures' typeface, carried inside the program: DejaVu Sans (Debian: fonts-dejavu-core; free
# licence, https://dejavu-fonts.github.io/License.html). src/eval/embedded.S takes the files' bytes,
# and those of the page for reviews.
set(font_folders /usr/share/fonts/truetype/dejavu /usr/share/fonts/TTF
    /usr/share/fonts/dejavu-sans-fonts /usr/share/fonts/dejavu /usr/local/share/fonts/dejavu)
find_file(TINYSFT_FONT_REGULAR DejaVuSans.ttf PATHS ${font_folders} NO_DEFAULT_PATH REQUIRED)
find_file(TINYSFT_FONT_BOLD DejaVuSans-Bold.ttf PATHS ${font_folders} NO_DEFAULT_PATH REQUIRED)

set(embedded ${PROJECT_SOURCE_DIR}/src/eval/embedded.S)
set(review_page ${PROJECT_SOURCE_DIR}/src/eval/review_page.html)
target_sources(ts_eval PRIVATE ${embedded})
set_source_files_properties(${embedded} PROPERTIES
    COMPILE_DEFINITIONS
        "TS_FONT_REGULAR=\"${TINYSFT_FONT_REGULAR}\";TS_FONT_BOLD=\"${TINYSFT_FONT_BOLD}\";TS_REVIEW_PAGE=\"${review_page}\""
    OBJECT_DEPENDS "${TINYSFT_FONT_REGULAR};${TINYSFT_FONT_BOLD};${review_page}")
