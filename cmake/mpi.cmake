# A small library for each MPI whose headers are here (src/mpi/shim.c): the program loads the one that
# fits its launcher and needs none otherwise. Debian: libopenmpi-dev, libmpich-dev.
set(TINYSFT_MPIS "")
foreach(mpi openmpi:ompi-c mpich:mpich) # NAME:its pkg-config file
    string(REGEX REPLACE ":.*" "" name ${mpi})
    string(REGEX REPLACE ".*:" "" config ${mpi})
    pkg_check_modules(MPI_${name} QUIET IMPORTED_TARGET ${config})
    if(MPI_${name}_FOUND)
        add_library(tinysft-mpi-${name} MODULE src/mpi/shim.c)
        target_include_directories(tinysft-mpi-${name} PRIVATE src)
        target_link_libraries(tinysft-mpi-${name} PRIVATE PkgConfig::MPI_${name})
        install(TARGETS tinysft-mpi-${name}
            LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/tinysft-vk COMPONENT ${name})
        list(APPEND TINYSFT_MPIS ${name})
    endif()
endforeach()
