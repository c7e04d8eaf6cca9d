# cmake --install: the component `runtime` is the relocatable program with its libraries, `development` the headers, the
# libraries and find_package(lowrank).
set(private_libraries ${CMAKE_INSTALL_LIBDIR}/lowrank)

if(TARGET lowrank)
  # An old-style RPATH also serves the libraries' own dependencies.
  target_link_options(lowrank PRIVATE -Wl,--disable-new-dtags)
  set_target_properties(lowrank PROPERTIES INSTALL_RPATH "$ORIGIN/../${private_libraries}")
  install(TARGETS lowrank RUNTIME_DEPENDENCY_SET dependencies RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
  install(RUNTIME_DEPENDENCY_SET dependencies
    PRE_EXCLUDE_REGEXES "^(ld-linux.*|libc|libm|libdl|librt|libpthread|libutil)\\.so"
    LIBRARY DESTINATION ${private_libraries} COMPONENT runtime)
  set(shell_scripts ${lowrank_BINARY_DIR}/generated/shell)
  file(MAKE_DIRECTORY ${shell_scripts})
  add_custom_command(TARGET lowrank POST_BUILD WORKING_DIRECTORY ${shell_scripts}
    COMMAND lowrank completion bash > lowrank COMMAND lowrank completion zsh > _lowrank COMMAND lowrank completion fish > lowrank.fish
    COMMAND lowrank manual > lowrank.1 VERBATIM)
  install(FILES ${shell_scripts}/lowrank DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT runtime)
  install(FILES ${shell_scripts}/_lowrank DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT runtime)
  install(FILES ${shell_scripts}/lowrank.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT runtime)
  install(FILES ${shell_scripts}/lowrank.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT runtime)
  install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
endif()

get_property(layers GLOBAL PROPERTY lowrank_layers)
list(REMOVE_ITEM layers cli serve)
set(targets lowrank_options lowrank_static)
foreach(layer IN LISTS layers)
  list(APPEND targets lowrank_${layer})
endforeach()
target_link_options(lowrank_shared PRIVATE -Wl,--disable-new-dtags)
set_target_properties(lowrank_shared PROPERTIES EXPORT_NAME shared INSTALL_RPATH "$ORIGIN/lowrank")
if(BUILD_SHARED_LIBS)
  list(APPEND targets lowrank_shared)
endif()
# What tools/make_wheel adds to the component `runtime`.
install(TARGETS lowrank_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT python EXCLUDE_FROM_ALL OPTIONAL)
configure_file(python/pyproject.toml.in ${lowrank_BINARY_DIR}/generated/pyproject.toml @ONLY)
set_target_properties(lowrank_options PROPERTIES EXPORT_NAME options)
set_target_properties(lowrank_static PROPERTIES EXPORT_NAME static)
install(TARGETS ${targets} EXPORT lowrankTargets ARCHIVE DESTINATION ${private_libraries} COMPONENT development
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT lowrankTargets NAMESPACE lowrank:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lowrank COMPONENT development)
install(DIRECTORY include/ DESTINATION include COMPONENT development)
install(DIRECTORY src/ DESTINATION include/lowrank/detail COMPONENT development
  FILES_MATCHING PATTERN "*.h" PATTERN cli EXCLUDE PATTERN serve EXCLUDE PATTERN library EXCLUDE)

include(CMakePackageConfigHelpers)
configure_package_config_file(cmake/lowrankConfig.cmake.in ${lowrank_BINARY_DIR}/generated/lowrankConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lowrank)
write_basic_package_version_file(${lowrank_BINARY_DIR}/generated/lowrankConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${lowrank_BINARY_DIR}/generated/lowrankConfig.cmake ${lowrank_BINARY_DIR}/generated/lowrankConfigVersion.cmake
  cmake/FindLibtorch.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lowrank COMPONENT development)
