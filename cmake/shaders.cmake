# Every .comp of shaders and of shaders/cpu, those for CPU drivers, becomes SPIR-V and then words in a
# C array, so the program carries its shaders inside. The generated shaders.c defines ts_shader_table
# (see src/ops/shaders.h).
file(GLOB shader_files CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/shaders/*.comp ${PROJECT_SOURCE_DIR}/shaders/cpu/*.comp)
file(GLOB shader_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/shaders/include/*
    ${PROJECT_SOURCE_DIR}/src/base/weights.def)
set(shader_folder ${PROJECT_BINARY_DIR}/shaders)
set(shader_flags --target-env=vulkan1.2 -O -Werror -I ${PROJECT_SOURCE_DIR}/shaders/include
    -I ${PROJECT_SOURCE_DIR}/src)
file(MAKE_DIRECTORY ${shader_folder})

set(shader_words)
set(shader_code "#include \"ops/shaders.h\"\n\n")
set(shader_rows "")

# The table's entry NAME, whose words the file WORDS holds.
macro(tinysft_shader_row name words)
    list(APPEND shader_words ${words})
    string(APPEND shader_code
        "static const uint32_t ${name}_words[] = {\n#include \"${words}\"\n};\n")
    string(APPEND shader_rows "    {\"${name}\", ${name}_words, sizeof ${name}_words},\n")
endmacro()

# The entry NAME, compiled from FILE with further flags.
macro(tinysft_shader name file)
    set(words ${shader_folder}/${name}.inc)
    add_custom_command(OUTPUT ${words} ${shader_folder}/${name}.spv
        COMMAND ${GLSLC} ${shader_flags} ${ARGN} -mfmt=num ${file} -o ${words}
        COMMAND ${GLSLC} ${shader_flags} ${ARGN} ${file} -o ${shader_folder}/${name}.spv
        DEPENDS ${file} ${shader_headers}
        COMMENT "GLSL to SPIR-V: ${name}" VERBATIM)
    tinysft_shader_row(${name} ${words})
endmacro()

# The same, but a glslc that is too old for it (Debian 12's knows no cooperative matrices, and few
# know bfloat16) does not take the shader from the user: then the words come from shaders/compiled,
# where tools/compile_shaders.sh puts them and a test holds them to their source.
macro(tinysft_shader_of_new_compilers name file)
    execute_process(COMMAND ${GLSLC} ${shader_flags} ${ARGN} ${file} -o ${shader_folder}/probe.spv
        RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    if(failed)
        message(STATUS "${GLSLC} cannot compile ${name}; taking shaders/compiled/${name}.inc")
        tinysft_shader_row(${name} ${PROJECT_SOURCE_DIR}/shaders/compiled/${name}.inc)
    else()
        tinysft_shader(${name} ${file} ${ARGN})
    endif()
endmacro()

# The shaders made of a file with a macro defined, as "NAME, FILE, MACRO": those that kernels.def tells
# of, and of the benchmark's probes this one.
set(registry ${PROJECT_SOURCE_DIR}/src/ops/kernels.def)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${registry})
file(READ ${registry} rows)
string(REGEX MATCHALL "VARIANT\\([a-z0-9_]+, [a-z0-9_]+, [A-Z0-9_=]+" variants "${rows}")
list(APPEND variants "VARIANT(probe_matrix_f16, probe_matrix, OPERANDS_F16"
    "VARIANT(probe_matrix_bf16, probe_matrix, OPERANDS_BF16")

# The entry NAME; where shaders/compiled has its words, compilers may be too old for it.
macro(tinysft_any_shader name file)
    if(EXISTS ${PROJECT_SOURCE_DIR}/shaders/compiled/${name}.inc)
        tinysft_shader_of_new_compilers(${name} ${file} ${ARGN})
    else()
        tinysft_shader(${name} ${file} ${ARGN})
    endif()
endmacro()

foreach(file IN LISTS shader_files)
    get_filename_component(source ${file} NAME_WE)
    set(made_of_it ${variants})
    list(FILTER made_of_it INCLUDE REGEX ", ${source}, ")
    if(NOT made_of_it OR rows MATCHES "SHADER\\(${source},")
        tinysft_any_shader(${source} ${file})
    endif()
    foreach(variant IN LISTS made_of_it)
        string(REGEX REPLACE "VARIANT\\(([a-z0-9_]+), .*" "\\1" name "${variant}")
        string(REGEX REPLACE ".*, " "" definition "${variant}")
        tinysft_any_shader(${name} ${file} -D${definition})
    endforeach()
endforeach()
string(APPEND shader_code "\nconst struct ts_shader ts_shader_table[] = {\n${shader_rows}    {0},\n};\n")
file(CONFIGURE OUTPUT ${shader_folder}/shaders.c CONTENT "${shader_code}" @ONLY)

add_library(ts_shaders STATIC ${shader_folder}/shaders.c)
target_include_directories(ts_shaders PRIVATE ${PROJECT_SOURCE_DIR}/src)
set_source_files_properties(${shader_folder}/shaders.c PROPERTIES OBJECT_DEPENDS "${shader_words}")
