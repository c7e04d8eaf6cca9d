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

# lowrank_comparison_assets(OUT): the files of the page that `compare` writes, and Chart.js (Debian's libjs-chart.js), as a source that defines
# comparison_asset() (src/study/compare/comparison_page.h).
function(lowrank_comparison_assets out)
  find_file(LOWRANK_CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js /usr/share/nodejs/chart.js/dist NO_DEFAULT_PATH REQUIRED
            DOC "Chart.js 3 (Debian: libjs-chart.js)")
  set(folder ${lowrank_SOURCE_DIR}/src/study/compare/page)
  set(arrays "")
  set(entries "")
  foreach(file ${folder}/comparison.html ${folder}/comparison.css ${folder}/comparison.js ${folder}/charts.js ${LOWRANK_CHART_JS})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    cmake_path(GET file FILENAME name)
    string(MAKE_C_IDENTIFIER ${name} identifier)
    file(READ ${file} bytes HEX)
    string(LENGTH "${bytes}" length)
    # In pieces, since compilers promise literals of 65,536 bytes.
    set(pieces "")
    foreach(begin RANGE 0 ${length} 100000)
      string(SUBSTRING "${bytes}" ${begin} 100000 piece)
      string(REGEX REPLACE "(..)" "\\\\x\\1" piece "${piece}")
      string(REGEX REPLACE "(....................................................................)" "\\1\"\n    \"" piece "${piece}")
      string(APPEND pieces "    std::string_view(\"${piece}\"),\n")
    endforeach()
    string(APPEND arrays "constexpr std::string_view ${identifier}[] = {\n${pieces}};\n")
    string(APPEND entries "  if (name == \"${name}\") return joined(${identifier});\n")
  endforeach()
  set(generated ${lowrank_BINARY_DIR}/generated/comparison_assets.cpp)
  file(CONFIGURE OUTPUT ${generated} @ONLY CONTENT
"#include <span>
#include <string>\n
#include \"base/error.h\"
#include \"study/compare/comparison_page.h\"\n
namespace lowrank {
namespace {\n
${arrays}
std::string joined(std::span<const std::string_view> pieces) {
  std::string whole;
  for (const std::string_view piece : pieces) whole += piece;
  return whole;
}\n
}  // namespace\n
std::string comparison_asset(std::string_view name) {
${entries}  fail(ErrorKind::not_found, \"there is no file {} of the page\", name);
}\n
}  // namespace lowrank
")
  set(${out} ${generated} PARENT_SCOPE)
endfunction()
