# liblowrank_cuda.so, the kernels for NVIDIA GPUs, which the program loads with the first GPU (kernels/core/cuda_library). Built where
# nvcc is found. It takes CUDA's run time from the process, where libtorch has loaded it.
find_program(LOWRANK_NVCC nvcc PATHS /usr/local/cuda/bin)
set(found OFF)
if(LOWRANK_NVCC)
  set(found ON)
endif()
option(LOWRANK_CUDA "liblowrank_cuda.so, the kernels for NVIDIA GPUs (needs nvcc of CUDA 13)" ${found})
file(GLOB_RECURSE lowrank_cuda_sources CONFIGURE_DEPENDS ${lowrank_SOURCE_DIR}/src/kernels/*.cu)
if(NOT LOWRANK_CUDA)
  return()
endif()
# Ampere, Ada, Hopper and Blackwell, and code that newer ones translate.
set(LOWRANK_CUDA_ARCHITECTURES 80-real 89-real 90-real 100 CACHE STRING "As CMAKE_CUDA_ARCHITECTURES")
set(CMAKE_CUDA_COMPILER ${LOWRANK_NVCC})
set(CMAKE_CUDA_ARCHITECTURES ${LOWRANK_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
enable_language(CUDA)
# CMake 3.25 does not know that nvcc has C++20.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
# Blocks are expanded with each operation rounded, as the reference does.
set(lowrank_unfused_cuda_sources ${lowrank_cuda_sources})
list(FILTER lowrank_unfused_cuda_sources INCLUDE REGEX "/blocks/cuda/")
set_source_files_properties(${lowrank_unfused_cuda_sources} PROPERTIES COMPILE_OPTIONS -fmad=false)
add_library(lowrank_cuda MODULE ${lowrank_cuda_sources})
target_include_directories(lowrank_cuda PRIVATE ${lowrank_SOURCE_DIR}/src)
target_compile_definitions(lowrank_cuda PRIVATE LOWRANK_VERSION="${PROJECT_VERSION}")
target_compile_options(lowrank_cuda PRIVATE --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra
  $<$<BOOL:${LOWRANK_WERROR}>:-Werror=all-warnings> $<$<BOOL:${LOWRANK_WERROR}>:-Xcompiler=-Werror>)
set_target_properties(lowrank_cuda PROPERTIES CUDA_STANDARD 20 CUDA_EXTENSIONS OFF CUDA_RUNTIME_LIBRARY Shared CUDA_VISIBILITY_PRESET hidden
  LIBRARY_OUTPUT_DIRECTORY ${lowrank_BINARY_DIR} BUILD_RPATH_USE_ORIGIN ON SKIP_BUILD_RPATH ON)
install(TARGETS lowrank_cuda LIBRARY DESTINATION ${private_libraries} COMPONENT cuda EXCLUDE_FROM_ALL)
