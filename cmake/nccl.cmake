# liblowrank_nccl.so, which connects the GPUs of several processes and is loaded with the first tensor on a GPU that they sum
# (train/ranks/nccl_backend). Built where CUDA's and NCCL's headers are found. It is linked with neither: libtorch's CUDA side, with its NCCL,
# is in the process by then. nccl.h must be of the version of that NCCL, or the module is refused.
find_path(LOWRANK_CUDA_INCLUDE cuda_runtime_api.h PATHS /usr/local/cuda/include)
find_path(LOWRANK_NCCL_INCLUDE nccl.h PATHS /usr/local/cuda/include)
if(NOT LOWRANK_CUDA_INCLUDE OR NOT LOWRANK_NCCL_INCLUDE OR LOWRANK_SANITIZE OR LOWRANK_FUZZ)
  return()
endif()
file(GLOB nccl_sources CONFIGURE_DEPENDS ${lowrank_SOURCE_DIR}/src/train/ranks/nccl_module/*.cpp)
add_library(lowrank_nccl MODULE ${nccl_sources})
target_include_directories(lowrank_nccl SYSTEM BEFORE PRIVATE ${LOWRANK_NCCL_INCLUDE} ${LOWRANK_CUDA_INCLUDE})
target_link_libraries(lowrank_nccl PRIVATE lowrank_options libtorch::cpu fmt::fmt)
target_compile_definitions(lowrank_nccl PRIVATE LOWRANK_VERSION="${PROJECT_VERSION}" USE_C10D_NCCL)
target_compile_options(lowrank_nccl PRIVATE ${LIBTORCH_C10D_OPTIONS})
set_target_properties(lowrank_nccl PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${lowrank_BINARY_DIR} CXX_VISIBILITY_PRESET hidden
  SKIP_BUILD_RPATH ON)
install(TARGETS lowrank_nccl LIBRARY DESTINATION ${private_libraries} COMPONENT cuda EXCLUDE_FROM_ALL)
