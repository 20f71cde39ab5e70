# tinysft_floor(NAME LOWER...): the static library ts_NAME from src/NAME, which may use the floors
# it names. tools/check_floors.sh holds the #include lines against the same order.
function(tinysft_floor name)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS src/${name}/*.c)
    if(NOT sources)
        set(sources ${PROJECT_BINARY_DIR}/empty.c)
        file(WRITE ${sources} "typedef int ts_empty;\n")
    endif()
    add_library(ts_${name} STATIC ${sources})
    set_target_properties(ts_${name} PROPERTIES C_VISIBILITY_PRESET hidden) # of libtinysft.so
    target_include_directories(ts_${name} PUBLIC
        ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    foreach(lower IN LISTS ARGN)
        target_link_libraries(ts_${name} PUBLIC ts_${lower})
    endforeach()
endfunction()
