# liblowrank_parquet.so, which the program loads when it is given a Parquet table: neither its start nor its package pays for
# libarrow's 60 MB. Built where LOWRANK_ARROW is set (`tools/setup arrow` and `make` do it). The component `parquet` of
# cmake --install adds it, with libarrow and libparquet, to an installed program.
if(NOT LOWRANK_ARROW)
  return()
endif()
file(GLOB arrow_libraries ${LOWRANK_ARROW}/libarrow.so.* ${LOWRANK_ARROW}/libparquet.so.*)
if(NOT arrow_libraries OR NOT EXISTS ${LOWRANK_ARROW}/include/parquet/arrow/reader.h)
  message(FATAL_ERROR "No Arrow in LOWRANK_ARROW='${LOWRANK_ARROW}': run `tools/setup arrow`, or name the folder `pyarrow` of an "
                      "installed pyarrow, or leave it empty.")
endif()
file(GLOB parquet_sources CONFIGURE_DEPENDS ${lowrank_SOURCE_DIR}/src/data/sources/parquet_module/*.cpp)
add_library(lowrank_parquet MODULE ${parquet_sources})
target_include_directories(lowrank_parquet SYSTEM PRIVATE ${LOWRANK_ARROW}/include)
target_link_libraries(lowrank_parquet PRIVATE lowrank_options ${arrow_libraries})
set_target_properties(lowrank_parquet PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${lowrank_BINARY_DIR} CXX_VISIBILITY_PRESET hidden
  INSTALL_RPATH "$ORIGIN")
if(TARGET lowrank)
  add_dependencies(lowrank lowrank_parquet)
endif()
install(TARGETS lowrank_parquet LIBRARY DESTINATION ${private_libraries} COMPONENT parquet EXCLUDE_FROM_ALL)
install(FILES ${arrow_libraries} DESTINATION ${private_libraries} COMPONENT parquet EXCLUDE_FROM_ALL)
