# lowrank_assets(OUT): the files of the server's page as a source that defines assets() (src/serve/page/assets.h).
function(lowrank_assets out)
  set(types_html "text/html; charset=utf-8")
  set(types_css "text/css; charset=utf-8")
  set(types_js "text/javascript; charset=utf-8")
  set(types_json "application/json")
  set(folder ${lowrank_SOURCE_DIR}/src/serve/page)
  file(GLOB files CONFIGURE_DEPENDS ${folder}/*.html ${folder}/*.css ${folder}/*.js ${folder}/*.json)
  set(arrays "")
  set(entries "")
  foreach(file IN LISTS files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    cmake_path(GET file FILENAME name)
    cmake_path(GET file EXTENSION LAST_ONLY extension)
    string(SUBSTRING ${extension} 1 -1 extension)
    string(MAKE_C_IDENTIFIER ${name} identifier)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${bytes}")
    # Seventeen bytes a line; compilers promise literals of 65,536 bytes in all.
    string(REGEX REPLACE "(....................................................................)" "\\1\"\n    \"" bytes "${bytes}")
    string(APPEND arrays "constexpr char ${identifier}[] =\n    \"${bytes}\";\n")
    set(path ${name})
    if(name STREQUAL "page.html")
      set(path "")
    endif()
    string(APPEND entries "    Asset{\"/${path}\", \"${types_${extension}}\", {${identifier}, sizeof ${identifier} - 1}},\n")
  endforeach()
  list(LENGTH files count)
  set(generated ${lowrank_BINARY_DIR}/generated/serve_assets.cpp)
  file(CONFIGURE OUTPUT ${generated} @ONLY CONTENT
"#include \"serve/page/assets.h\"\n
#include <array>\n
namespace lowrank::serve {
namespace {\n
${arrays}
constexpr std::array<Asset, ${count}> all{{
${entries}}};\n
}  // namespace\n
std::span<const Asset> assets() { return all; }\n
}  // namespace lowrank::serve
")
  set(${out} ${generated} PARENT_SCOPE)
endfunction()
