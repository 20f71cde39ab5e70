# What is installed, and `cmake --build --preset release --target package`: a .deb of the program,
# one of the library and one of what building with it takes (cmake/library.cmake), one for each MPI
# that was there (cmake/mpi.cmake), and a .tar.gz of all that runs from wherever it is unpacked. The program carries its shaders and its typeface inside
# and finds the rest (the demo's model and data) in ../share/tinysft-vk beside its own folder.
include(GNUInstallDirs)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME program)
set(share ${CMAKE_INSTALL_DATADIR}/tinysft-vk)
set(docs ${CMAKE_INSTALL_DATADIR}/doc/tinysft-vk)

# Where the .tar.gz brings a library along; the .deb has none there and takes the system's.
set_target_properties(tinysft-vk PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/tinysft-vk")
install(TARGETS tinysft-vk RUNTIME)
install(DIRECTORY assets/base DESTINATION ${share}/assets)
install(FILES data/dataset.json data/eval.json data/preferences.json DESTINATION ${share}/data)
install(PROGRAMS tools/demo.sh DESTINATION ${share}/tools)
install(DIRECTORY tools/colab DESTINATION ${share}/tools USE_SOURCE_PERMISSIONS)
install(FILES tools/tinysft_vk_colab.ipynb DESTINATION ${share}/tools)
install(FILES README.md DESTINATION ${docs})
install(FILES assets/evaluation_screenshot.png assets/sweep.png DESTINATION ${docs}/assets)

# The licences of the program and of all that is inside it, as Debian states them.
file(READ LICENSE copyright)
foreach(package fonts-dejavu-core libcjson-dev libmd-dev libstb-dev libutf8proc-dev
        libvulkan-volk-dev)
    if(EXISTS /usr/share/doc/${package}/copyright)
        file(READ /usr/share/doc/${package}/copyright text)
        string(APPEND copyright "\n\n---- Inside the program, from Debian's ${package}:\n\n${text}")
    endif()
endforeach()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/package/copyright CONTENT "${copyright}" @ONLY)
set(documented program:tinysft-vk library:libtinysft0 dev:libtinysft-dev) # COMPONENT:PACKAGE
foreach(mpi IN LISTS TINYSFT_MPIS)
    list(APPEND documented ${mpi}:tinysft-vk-${mpi})
endforeach()

set(TINYSFT_MAINTAINER "the tinysft-vk founders <tinysft-vk@localhost>" CACHE STRING
    "Who makes the packages, and an address")

# Debian's policy asks for a changelog; releases are told in the repository.
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${PROJECT_BINARY_DIR}/package/changelog
    "tinysft-vk (${PROJECT_VERSION}) unstable; urgency=medium\n\n  * Packaged by CPack.\n\n"
    " -- ${TINYSFT_MAINTAINER}  ${now}\n")
execute_process(COMMAND gzip -9nf ${PROJECT_BINARY_DIR}/package/changelog)
foreach(package IN LISTS documented)
    string(REGEX REPLACE ":.*" "" component ${package})
    string(REGEX REPLACE ".*:" "" package ${package})
    install(FILES ${PROJECT_BINARY_DIR}/package/copyright
        ${PROJECT_BINARY_DIR}/package/changelog.gz
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component})
endforeach()

if(NOT TINYSFT_SANITIZE)
    set(manual ${PROJECT_BINARY_DIR}/package/tinysft-vk.1.gz)
    add_custom_command(OUTPUT ${manual}
        COMMAND ${PROJECT_SOURCE_DIR}/tools/make_manual.sh $<TARGET_FILE:tinysft-vk> ${manual}
        DEPENDS tinysft-vk ${PROJECT_SOURCE_DIR}/tools/make_manual.sh VERBATIM)
    add_custom_target(manual ALL DEPENDS ${manual})
    install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

    # Completion of commands and flags, where Debian's shells look for what packages bring.
    set(completions ${PROJECT_BINARY_DIR}/package/completions)
    file(MAKE_DIRECTORY ${completions})
    foreach(place bash:bash-completion/completions:tinysft-vk zsh:zsh/vendor-completions:_tinysft-vk
            fish:fish/vendor_completions.d:tinysft-vk.fish)
        string(REPLACE ":" ";" place ${place})
        list(GET place 0 shell)
        list(GET place 1 folder)
        list(GET place 2 name)
        add_custom_command(OUTPUT ${completions}/${name}
            COMMAND tinysft-vk completion ${shell} > ${completions}/${name}
            DEPENDS tinysft-vk VERBATIM)
        list(APPEND completion_files ${completions}/${name})
        install(FILES ${completions}/${name} DESTINATION ${CMAKE_INSTALL_DATADIR}/${folder})
    endforeach()
    add_custom_target(completions ALL DEPENDS ${completion_files})
endif()

set(CPACK_PACKAGE_NAME tinysft-vk)
set(CPACK_PACKAGE_VENDOR "the tinysft-vk founders")
set(CPACK_PACKAGE_CONTACT "${TINYSFT_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
string(TOLOWER "${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}" platform)
set(CPACK_PACKAGE_FILE_NAME tinysft-vk-${PROJECT_VERSION}-${platform})
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_GENERATOR TGZ)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/package_libraries.cmake)
set(CPACK_TINYSFT_CJSON_LIBRARY ${CJSON_LINK_LIBRARIES})

find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
if(DPKG_SHLIBDEPS)
    list(APPEND CPACK_GENERATOR DEB)
    set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
    set(CPACK_DEB_COMPONENT_INSTALL ON)
    set(CPACK_COMPONENTS_ALL program library dev ${TINYSFT_MPIS})
    set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
    set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON) # so that who links with the library depends on it
    set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
    foreach(component PROGRAM LIBRARY)
        # shlibdeps names libc and libcjson. The Vulkan loader and libcurl are found at run time;
        # libcurl4 has another package's name since 64-bit time_t (Debian 13, Ubuntu 24.04).
        set(CPACK_DEBIAN_${component}_PACKAGE_SHLIBDEPS ON)
        set(CPACK_DEBIAN_${component}_PACKAGE_DEPENDS "libvulkan1, libcurl4t64 | libcurl4")
        set(CPACK_DEBIAN_${component}_PACKAGE_RECOMMENDS
            "mesa-vulkan-drivers | nvidia-vulkan-icd, ca-certificates")
    endforeach()
    set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME tinysft-vk)
    set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
    set(CPACK_DEBIAN_PROGRAM_DESCRIPTION
"${PROJECT_DESCRIPTION}
 One program for any GPU that has a Vulkan driver, without CUDA or Python:
 it tunes a Llama and shows side by side what the tuning changed.")
    set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libtinysft0)
    set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
    set(CPACK_DEBIAN_LIBRARY_DESCRIPTION
"${PROJECT_DESCRIPTION} - library
 What tinysft-vk does, for programs that tune and ask a Llama themselves.")
    foreach(mpi IN LISTS TINYSFT_MPIS) # its shlibdeps name the MPI's library
        string(TOUPPER ${mpi} component)
        set(CPACK_DEBIAN_${component}_PACKAGE_NAME tinysft-vk-${mpi})
        set(CPACK_DEBIAN_${component}_PACKAGE_SECTION science)
        set(CPACK_DEBIAN_${component}_PACKAGE_SHLIBDEPS ON)
        set(CPACK_DEBIAN_${component}_PACKAGE_DEPENDS "tinysft-vk (= ${PROJECT_VERSION})")
        set(CPACK_DEBIAN_${component}_DESCRIPTION
"${PROJECT_DESCRIPTION} - ranks by ${mpi}
 What lets several of tinysft-vk, started by the mpirun of ${mpi}, train one model together.")
    endforeach()
    set(CPACK_DEBIAN_DEV_PACKAGE_NAME libtinysft-dev)
    set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
    set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libtinysft0 (= ${PROJECT_VERSION})")
    set(CPACK_DEBIAN_DEV_DESCRIPTION
"${PROJECT_DESCRIPTION} - headers
 Headers, manual page, pkg-config file and an example of libtinysft.")
endif()
include(CPack)
