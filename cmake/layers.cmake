# lowrank_layer(NAME [LIGHT] [USES layer...] [LINKS target...] [SOURCES file...] [PLUGINS folder] [PRECOMPILED kind])
# One static library from all sources below src/NAME, except those of modules that are loaded at run time (*_module/), and from generated SOURCES. With PLUGINS, also a table of src/NAME/<folder>/*.cpp made from their file names.
# A LIGHT layer computes little itself and is compiled with -O1, which takes less time.
add_library(lowrank_options INTERFACE)
target_include_directories(lowrank_options INTERFACE $<BUILD_INTERFACE:${lowrank_SOURCE_DIR}/src>
  $<BUILD_INTERFACE:${lowrank_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:include/lowrank/detail> $<INSTALL_INTERFACE:include>)
target_compile_features(lowrank_options INTERFACE cxx_std_20)
# In a shared library, functions of one file are otherwise not inlined into each other.
target_compile_options(lowrank_options INTERFACE $<BUILD_INTERFACE:-fno-semantic-interposition>)
target_compile_options(lowrank_options INTERFACE $<BUILD_INTERFACE:-Wall$<SEMICOLON>-Wextra$<SEMICOLON>-Wpedantic>
  $<BUILD_INTERFACE:$<$<BOOL:${LOWRANK_WERROR}>:-Werror>>)
if(LOWRANK_FUZZ AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "LOWRANK_FUZZ needs clang: -DCMAKE_CXX_COMPILER=clang++, or `make fuzz`.")
endif()
if(LOWRANK_SANITIZE OR LOWRANK_FUZZ)
  # vptr and function compare type information across libraries, and libtorch hides its own.
  set(sanitizers -fsanitize=address,undefined -fno-sanitize=vptr $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=function>
      -fno-sanitize-recover=all $<$<BOOL:${LOWRANK_FUZZ}>:-fsanitize=fuzzer-no-link>)
  target_compile_options(lowrank_options INTERFACE ${sanitizers} -fno-omit-frame-pointer)
  target_compile_definitions(lowrank_options INTERFACE _GLIBCXX_ASSERTIONS)
  target_link_options(lowrank_options INTERFACE ${sanitizers})
endif()

# lowrank_precompile(TARGET plain|tensors|kernels|plain_tests|tests): one precompiled header for all targets of a kind.
# It belongs to a target of its own and is included by an option of the whole target: CMake's own REUSE_FROM lists it for each
# source in the target's flags, so that with Makefiles a new file compiles all others again.
function(lowrank_precompile target kind)
  if(CMAKE_DISABLE_PRECOMPILE_HEADERS)
    return()
  endif()
  if(NOT TARGET lowrank_precompiled_${kind})
    lowrank_precompiled_header(${kind})
  endif()
  get_target_property(folder lowrank_precompiled_${kind} BINARY_DIR)
  add_dependencies(${target} lowrank_precompiled_${kind})
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess> $<$<CXX_COMPILER_ID:GNU>:-Winvalid-pch>
    "SHELL:-include ${folder}/CMakeFiles/lowrank_precompiled_${kind}.dir/cmake_pch.hxx")
endfunction()

function(lowrank_precompiled_header kind)
  set(headers <algorithm> <cmath> <filesystem> <fmt/ranges.h> <functional> <map> <memory> <nlohmann/json.hpp> <optional> <span> <string>
      <vector>)
  set(libraries lowrank_options fmt::fmt spdlog::spdlog nlohmann_json::nlohmann_json Threads::Threads)
  if(NOT kind MATCHES "plain")
    list(APPEND headers <ATen/TensorOperators.h> <ATen/core/Tensor.h> <ATen/core/grad_mode.h>)
    list(APPEND libraries libtorch::cpu PkgConfig::HWY)
  endif()
  if(kind MATCHES "tests")
    list(APPEND headers <fstream> <gtest/gtest.h>)
    list(APPEND libraries GTest::gtest)
  elseif(kind STREQUAL "kernels")
    list(APPEND headers <ATen/Parallel.h> <torch/csrc/autograd/function.h> <torch/csrc/autograd/variable.h>
         <torch/csrc/autograd/functions/utils.h>)
  endif()
  set(source ${lowrank_BINARY_DIR}/generated/precompiled_${kind}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "")
  add_library(lowrank_precompiled_${kind} OBJECT ${source})
  target_link_libraries(lowrank_precompiled_${kind} PRIVATE ${libraries})
  target_compile_options(lowrank_precompiled_${kind} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>
    $<$<BOOL:$<FILTER:${kind},INCLUDE,tests>>:-O0>)
  # Programs are compiled as such, libraries for either kind: a header serves one of them.
  if(kind MATCHES "tests")
    set_target_properties(lowrank_precompiled_${kind} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  endif()
  target_precompile_headers(lowrank_precompiled_${kind} PRIVATE ${headers})
endfunction()

# lowrank_compile_together(TARGET FILE...): files of a target that are compiled several at a time. Alone, an almost empty file takes 1.5
# seconds of a core, since inline functions of libtorch's and nlohmann's headers instantiate hundreds of templates in each compilation,
# which GCC does not keep in precompiled headers.
function(lowrank_compile_together target)
  if(NOT LOWRANK_UNITY OR NOT Python3_Interpreter_FOUND)
    return()
  endif()
  execute_process(COMMAND ${Python3_EXECUTABLE} ${lowrank_SOURCE_DIR}/tools/group_sources 14 ${ARGN} OUTPUT_VARIABLE lines
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" ";" lines "${lines}")
  foreach(line IN LISTS lines)
    string(REGEX MATCH "^([0-9]+) (.*)$" line "${line}")
    set_source_files_properties(${CMAKE_MATCH_2} PROPERTIES UNITY_GROUP ${CMAKE_MATCH_1})
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  # GCC warns of members of a file's own types where that file is included.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  # A name that is new in one file may be another's.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ARGN})
endfunction()

function(lowrank_layer name)
  cmake_parse_arguments(layer "LIGHT" "PLUGINS;PRECOMPILED" "USES;LINKS;SOURCES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${lowrank_SOURCE_DIR}/src/${name}/*.cpp)
  list(REMOVE_ITEM sources ${lowrank_SOURCE_DIR}/src/cli/main.cpp)
  list(FILTER sources EXCLUDE REGEX "_module/")
  list(APPEND sources ${layer_SOURCES})
  if(layer_PLUGINS)
    file(GLOB plugins CONFIGURE_DEPENDS ${lowrank_SOURCE_DIR}/src/${name}/${layer_PLUGINS}/*.cpp)
    lowrank_table(${name} ${layer_PLUGINS} table ${plugins})
    list(APPEND sources ${table})
  endif()
  # Files with flags of their own do without the precompiled header, which is made with other flags.
  set(special ${sources})
  set(own ${sources})
  list(FILTER own INCLUDE REGEX "^${lowrank_SOURCE_DIR}/src/")
  list(FILTER own EXCLUDE REGEX ${LOWRANK_SPECIAL_SOURCES})
  list(FILTER special INCLUDE REGEX ${LOWRANK_SPECIAL_SOURCES})
  list(FILTER sources EXCLUDE REGEX ${LOWRANK_SPECIAL_SOURCES})
  set(links lowrank_options ${layer_LINKS})
  foreach(used IN LISTS layer_USES)
    list(APPEND links lowrank_${used})
  endforeach()
  add_library(lowrank_${name} STATIC ${sources})
  lowrank_compile_together(lowrank_${name} ${own})
  target_link_libraries(lowrank_${name} PUBLIC ${links})
  if(special)
    add_library(lowrank_${name}_special OBJECT ${special})
    target_link_libraries(lowrank_${name}_special PRIVATE ${links})
    foreach(source IN LISTS special)
      lowrank_source_flags(${source})
    endforeach()
    target_sources(lowrank_${name} PRIVATE $<TARGET_OBJECTS:lowrank_${name}_special>)
  endif()
  if(layer_LIGHT)
    target_compile_options(lowrank_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
  set_property(GLOBAL APPEND PROPERTY lowrank_layers ${name})
  set_target_properties(lowrank_${name} PROPERTIES EXPORT_NAME ${name})
  lowrank_precompile(lowrank_${name} ${layer_PRECOMPILED})
endfunction()

# Flags that a file's name asks for.
set(LOWRANK_SPECIAL_SOURCES "/cpu/|/formats/blocks/|/(block_formats|block_decode|quantise|parallel|thread_waits)\\.cpp$|/ranks/(gloo_group|rank_exchange|rank_group|rank_store|nccl_backend|gpu_sums)\\.cpp$")
function(lowrank_source_flags source)
  if(source MATCHES "_(avx512[a-z0-9]+|amx)\\.cpp$")
    # GCC warns of the undefined registers in its own intrinsics.
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-O3;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>")
  elseif(source MATCHES "/(parallel|thread_waits)\\.cpp$")
    # at::parallel_for is silently serial in a file compiled without OpenMP.
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${OpenMP_CXX_FLAGS}")
  elseif(source MATCHES "/(gloo_group|rank_exchange|rank_group|rank_store|nccl_backend|gpu_sums)\\.cpp$")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${LIBTORCH_C10D_OPTIONS}")
  elseif(source MATCHES "/cpu/")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-O3")
  else()
    # GCC would contract d*q+m into one rounding where the reference rounds twice.
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-ffp-contract=off;-O3")
  endif()
endfunction()
