# lowrank::lowrank: the library with the headers of include/ alone, so that none of ours can stand in the way of a host's.
# It is lowrank_static or, with BUILD_SHARED_LIBS, lowrank_shared (liblowrank.so; also built for the Python package).
set(public_headers $<BUILD_INTERFACE:${lowrank_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)

add_library(lowrank_static INTERFACE)
target_include_directories(lowrank_static INTERFACE ${public_headers})
target_compile_features(lowrank_static INTERFACE cxx_std_20)
target_link_libraries(lowrank_static INTERFACE $<LINK_ONLY:lowrank_library>)

set(exported_symbols ${lowrank_SOURCE_DIR}/cmake/exported_symbols.map)
add_library(lowrank_shared SHARED $<TARGET_OBJECTS:lowrank_library>)
target_include_directories(lowrank_shared INTERFACE ${public_headers})
target_compile_features(lowrank_shared INTERFACE cxx_std_20)
target_link_libraries(lowrank_shared PRIVATE lowrank_session)
target_link_options(lowrank_shared PRIVATE -Wl,--exclude-libs,ALL -Wl,--version-script=${exported_symbols})
set_target_properties(lowrank_shared PROPERTIES OUTPUT_NAME lowrank VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LINK_DEPENDS ${exported_symbols}
  LIBRARY_OUTPUT_DIRECTORY ${lowrank_BINARY_DIR})

if(BUILD_SHARED_LIBS)
  add_library(lowrank::lowrank ALIAS lowrank_shared)
else()
  set_target_properties(lowrank_shared PROPERTIES EXCLUDE_FROM_ALL ON)
  add_library(lowrank::lowrank ALIAS lowrank_static)
endif()
