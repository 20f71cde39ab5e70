# The pictures' typeface, carried inside the program: DejaVu Sans (Debian: fonts-dejavu-core; free
# licence, https://dejavu-fonts.github.io/License.html). src/eval/fonts.S takes the files' bytes.
set(font_folders /usr/share/fonts/truetype/dejavu /usr/share/fonts/TTF
    /usr/share/fonts/dejavu-sans-fonts /usr/share/fonts/dejavu /usr/local/share/fonts/dejavu)
find_file(TINYSFT_FONT_REGULAR DejaVuSans.ttf PATHS ${font_folders} NO_DEFAULT_PATH REQUIRED)
find_file(TINYSFT_FONT_BOLD DejaVuSans-Bold.ttf PATHS ${font_folders} NO_DEFAULT_PATH REQUIRED)

set(font_source ${PROJECT_SOURCE_DIR}/src/eval/fonts.S)
target_sources(ts_eval PRIVATE ${font_source})
set_source_files_properties(${font_source} PROPERTIES
    COMPILE_DEFINITIONS
        "TS_FONT_REGULAR=\"${TINYSFT_FONT_REGULAR}\";TS_FONT_BOLD=\"${TINYSFT_FONT_BOLD}\""
    OBJECT_DEPENDS "${TINYSFT_FONT_REGULAR};${TINYSFT_FONT_BOLD}")
