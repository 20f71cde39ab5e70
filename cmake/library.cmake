# libtinysft.so: the floors once more, of which only what include/tinysft/tinysft.h declares is to
# be seen. The program takes the static floors instead, so that its one file runs by itself and no
# installed library of another version can come between.
file(WRITE ${PROJECT_BINARY_DIR}/library.c
    "// The floors are static libraries: they are linked whole, and a library needs a source.\n"
    "typedef int ts_library;\n")
add_library(tinysft SHARED ${PROJECT_BINARY_DIR}/library.c)
set(version_script ${PROJECT_SOURCE_DIR}/cmake/tinysft.map)
target_link_libraries(tinysft PRIVATE -Wl,--whole-archive ts_api -Wl,--no-whole-archive m)
target_link_options(tinysft PRIVATE -Wl,--version-script=${version_script} -Wl,--no-undefined
    -Wl,--gc-sections)
set_target_properties(tinysft PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0
    LINK_DEPENDS ${version_script} INSTALL_RPATH "$ORIGIN/tinysft-vk")
