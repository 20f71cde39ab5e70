# Run by CPack on the files of one package before it is made: puts into the .tar.gz the one library
# that few systems have. The .deb depends on its package instead.
if(CPACK_GENERATOR STREQUAL TGZ)
    file(REAL_PATH ${CPACK_TINYSFT_CJSON_LIBRARY} library)
    file(MAKE_DIRECTORY ${CPACK_TEMPORARY_DIRECTORY}/lib/tinysft-vk)
    file(COPY_FILE ${library} ${CPACK_TEMPORARY_DIRECTORY}/lib/tinysft-vk/libcjson.so.1)
endif()
