# Finds libtorch without its own CMake package (which demands a CUDA toolkit when the wheel was built with CUDA).
#   LOWRANK_LIBTORCH   folder that holds include/ and lib/; a torch wheel's `torch` folder or an unpacked libtorch
# Gives the imported target libtorch::cpu and LOWRANK_LIBTORCH_VERSION.
find_path(LIBTORCH_INCLUDE ATen/ATen.h PATHS ${LOWRANK_LIBTORCH}/include NO_DEFAULT_PATH NO_CACHE)
find_library(LIBTORCH_CPU torch_cpu PATHS ${LOWRANK_LIBTORCH}/lib NO_DEFAULT_PATH NO_CACHE)
find_library(LIBTORCH_C10 c10 PATHS ${LOWRANK_LIBTORCH}/lib NO_DEFAULT_PATH NO_CACHE)
if(NOT LIBTORCH_INCLUDE OR NOT LIBTORCH_CPU OR NOT LIBTORCH_C10)
  message(FATAL_ERROR "No libtorch in '${LOWRANK_LIBTORCH}': run `make deps`, or give -DLOWRANK_LIBTORCH=DIR with "
                      "DIR/include and DIR/lib of libtorch 2.11 to 2.15.")
endif()
file(STRINGS ${LIBTORCH_INCLUDE}/torch/headeronly/version.h version_lines REGEX "define TORCH_VERSION_M(AJOR|INOR)")
string(REGEX MATCH "MAJOR ([0-9]+)" _ "${version_lines}")
set(version_major ${CMAKE_MATCH_1})
string(REGEX MATCH "MINOR ([0-9]+)" _ "${version_lines}")
set(LOWRANK_LIBTORCH_VERSION ${version_major}.${CMAKE_MATCH_1})
if(LOWRANK_LIBTORCH_VERSION VERSION_LESS 2.11 OR LOWRANK_LIBTORCH_VERSION VERSION_GREATER 2.15)
  message(WARNING "libtorch ${LOWRANK_LIBTORCH_VERSION} is outside 2.11 to 2.15, the versions that were tried.")
endif()

# The wheel keeps its own OpenMP run time beside libtorch; a second one would be a second thread pool.
file(GLOB libtorch_gomp ${LOWRANK_LIBTORCH}/lib/libgomp*.so*)
file(GLOB libtorch_nvidia ${LOWRANK_LIBTORCH}/../nvidia/*/lib)
# It also ships headers of a library that we take from the system (fmt); a folder of links that comes first in the
# search keeps ours in front.
set(libtorch_shadowed ${CMAKE_CURRENT_BINARY_DIR}/generated/system_headers)
file(MAKE_DIRECTORY ${libtorch_shadowed})
foreach(library fmt)
  find_path(system_${library} ${library} PATHS /usr/local/include /usr/include NO_DEFAULT_PATH NO_CACHE)
  if(system_${library} AND EXISTS ${LIBTORCH_INCLUDE}/${library})
    file(CREATE_LINK ${system_${library}}/${library} ${libtorch_shadowed}/${library} SYMBOLIC)
  endif()
endforeach()
add_library(libtorch::cpu INTERFACE IMPORTED)
set_target_properties(libtorch::cpu PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES "${libtorch_shadowed};${LIBTORCH_INCLUDE}"
  INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${libtorch_shadowed};${LIBTORCH_INCLUDE}"
  INTERFACE_LINK_LIBRARIES "${LIBTORCH_CPU};${LIBTORCH_C10};${libtorch_gomp}")
set(rpath_link ${LOWRANK_LIBTORCH}/lib ${libtorch_nvidia})
list(JOIN rpath_link ":" rpath_link)
# NDEBUG: libtorch is built with it, and without it classes in its headers have further members.
target_compile_definitions(libtorch::cpu INTERFACE AT_PER_OPERATOR_HEADERS NDEBUG)
target_link_options(libtorch::cpu INTERFACE "-Wl,-rpath-link,${rpath_link}")
