# Every shaders/*.comp becomes SPIR-V and then words in a C array, so the program carries its
# shaders inside. The generated shaders.c defines ts_shader_table (see src/ops/shaders.h).
file(GLOB shader_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/shaders/*.comp)
file(GLOB shader_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/shaders/include/*)
set(shader_folder ${PROJECT_BINARY_DIR}/shaders)
file(MAKE_DIRECTORY ${shader_folder})

set(shader_words)
set(shader_code "#include \"ops/shaders.h\"\n\n")
set(shader_rows "")
foreach(file IN LISTS shader_files)
    get_filename_component(name ${file} NAME_WE)
    set(words ${shader_folder}/${name}.inc)
    add_custom_command(OUTPUT ${words} ${shader_folder}/${name}.spv
        COMMAND ${GLSLC} --target-env=vulkan1.2 -O -Werror -I ${PROJECT_SOURCE_DIR}/shaders/include
            -mfmt=num ${file} -o ${words}
        COMMAND ${GLSLC} --target-env=vulkan1.2 -O -Werror -I ${PROJECT_SOURCE_DIR}/shaders/include
            ${file} -o ${shader_folder}/${name}.spv
        DEPENDS ${file} ${shader_headers}
        COMMENT "GLSL to SPIR-V: ${name}.comp" VERBATIM)
    list(APPEND shader_words ${words})
    string(APPEND shader_code
        "static const uint32_t ${name}_words[] = {\n#include \"${words}\"\n};\n")
    string(APPEND shader_rows "    {\"${name}\", ${name}_words, sizeof ${name}_words},\n")
endforeach()
string(APPEND shader_code "\nconst struct ts_shader ts_shader_table[] = {\n${shader_rows}    {0},\n};\n")
file(CONFIGURE OUTPUT ${shader_folder}/shaders.c CONTENT "${shader_code}" @ONLY)

add_library(ts_shaders STATIC ${shader_folder}/shaders.c)
target_include_directories(ts_shaders PRIVATE ${PROJECT_SOURCE_DIR}/src)
set_source_files_properties(${shader_folder}/shaders.c PROPERTIES OBJECT_DEPENDS "${shader_words}")
