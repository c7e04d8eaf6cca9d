# What the sources of src/train/ranks need of libtorch's c10d besides: its C++ API's headers, and names that a header expects from Gloo's own
# headers (see gloo_names.h).
set(libtorch_gloo ${CMAKE_CURRENT_BINARY_DIR}/generated/gloo_names)
foreach(header algorithm common/error context rendezvous/store transport/device)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/gloo_names.h ${libtorch_gloo}/gloo/${header}.h COPYONLY)
endforeach()
set(LIBTORCH_C10D_OPTIONS -DUSE_C10D_GLOO -isystem${LIBTORCH_INCLUDE}/torch/csrc/api/include -isystem${libtorch_gloo})
