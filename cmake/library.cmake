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

# The linker finds it by libtinysft.so, a program by its soname; the .pc file knows where it lies by
# where it lies itself, so that an unpacked archive can be used where it is.
include(GNUInstallDirs)
set(prefix_below_pkgconfig ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH prefix_below_pkgconfig ${prefix_below_pkgconfig} ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" prefix_below_pkgconfig ${prefix_below_pkgconfig})
configure_file(cmake/tinysft.pc.in ${PROJECT_BINARY_DIR}/package/tinysft.pc @ONLY)
install(TARGETS tinysft LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
    NAMELINK_COMPONENT dev)
install(DIRECTORY include/tinysft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
install(FILES ${PROJECT_BINARY_DIR}/package/tinysft.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
install(FILES tests/library/example.c
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libtinysft-dev/examples COMPONENT dev)

set(library_manual ${PROJECT_BINARY_DIR}/package/tinysft.3.gz)
set(headers ${PROJECT_SOURCE_DIR}/include/tinysft/tinysft.h
    ${PROJECT_SOURCE_DIR}/include/tinysft/status.h)
set(make_manual ${PROJECT_SOURCE_DIR}/tools/make_library_manual.sh)
add_custom_command(OUTPUT ${library_manual}
    COMMAND ${make_manual} ${PROJECT_VERSION} ${library_manual} ${headers}
    DEPENDS ${headers} ${make_manual} VERBATIM)
add_custom_target(library_manual ALL DEPENDS ${library_manual})
install(FILES ${library_manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT dev)
