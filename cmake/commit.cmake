# The commit that `lowrank --version` names; empty outside a repository. A new commit configures anew.
find_package(Git QUIET)
set(commit "")
if(GIT_FOUND AND EXISTS ${lowrank_SOURCE_DIR}/.git)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${lowrank_SOURCE_DIR} rev-parse --short HEAD OUTPUT_VARIABLE commit
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${lowrank_SOURCE_DIR} rev-parse --git-path logs/HEAD OUTPUT_VARIABLE head_log
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  cmake_path(ABSOLUTE_PATH head_log BASE_DIRECTORY ${lowrank_SOURCE_DIR})
  if(EXISTS ${head_log})
    set_property(DIRECTORY ${lowrank_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${head_log})
  endif()
endif()
set_source_files_properties(src/cli/main.cpp PROPERTIES COMPILE_DEFINITIONS LOWRANK_COMMIT="${commit}")
