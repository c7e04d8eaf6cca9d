# cmake --install: the component `runtime` is the relocatable program with its libraries, `development` the headers, the
# static libraries and find_package(lowrank).
set(private_libraries ${CMAKE_INSTALL_LIBDIR}/lowrank)

# An old-style RPATH also serves the libraries' own dependencies.
target_link_options(lowrank PRIVATE -Wl,--disable-new-dtags)
set_target_properties(lowrank PROPERTIES INSTALL_RPATH "$ORIGIN/../${private_libraries}")
install(TARGETS lowrank RUNTIME_DEPENDENCY_SET dependencies RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
install(RUNTIME_DEPENDENCY_SET dependencies
  PRE_EXCLUDE_REGEXES "^(ld-linux.*|libc|libm|libdl|librt|libpthread|libutil)\\.so"
  LIBRARY DESTINATION ${private_libraries} COMPONENT runtime)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)

get_property(layers GLOBAL PROPERTY lowrank_layers)
list(REMOVE_ITEM layers cli)
set(targets lowrank_options)
foreach(layer IN LISTS layers)
  list(APPEND targets lowrank_${layer})
endforeach()
set_target_properties(lowrank_options PROPERTIES EXPORT_NAME options)
install(TARGETS ${targets} EXPORT lowrankTargets ARCHIVE DESTINATION ${private_libraries} COMPONENT development)
install(EXPORT lowrankTargets NAMESPACE lowrank:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lowrank COMPONENT development)
install(DIRECTORY src/ DESTINATION include/lowrank COMPONENT development
  FILES_MATCHING PATTERN "*.h" PATTERN cli EXCLUDE PATTERN cpu EXCLUDE)

include(CMakePackageConfigHelpers)
configure_package_config_file(cmake/lowrankConfig.cmake.in ${CMAKE_BINARY_DIR}/generated/lowrankConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lowrank)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/lowrankConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/lowrankConfig.cmake ${CMAKE_BINARY_DIR}/generated/lowrankConfigVersion.cmake
  cmake/FindLibtorch.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lowrank COMPONENT development)
