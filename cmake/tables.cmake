# A plug-in folder's table, made from its file names: src/peft/methods/lora.cpp must define `lora_method`, and is listed.
# A file without its entry is a link error, and no central list exists.
function(lowrank_table layer folder out)
  set(singular_families family)
  set(singular_methods method)
  set(singular_commands command)
  set(singular_benchmarks benchmark)
  set(singular ${singular_${folder}})
  string(SUBSTRING ${singular} 0 1 first)
  string(TOUPPER ${first} first)
  string(SUBSTRING ${singular} 1 -1 rest)
  set(type ${first}${rest}Info)
  set(declarations "")
  set(entries "")
  foreach(file IN LISTS ARGN)
    get_filename_component(entry ${file} NAME_WE)
    string(APPEND declarations "extern const ${type} ${entry}_${singular};\n")
    string(APPEND entries "      &${entry}_${singular},\n")
  endforeach()
  file(GLOB_RECURSE registry RELATIVE ${lowrank_SOURCE_DIR}/src ${lowrank_SOURCE_DIR}/src/${layer}/registry.h)
  set(path ${lowrank_BINARY_DIR}/generated/${folder}_table.cpp)
  file(CONFIGURE OUTPUT ${path} CONTENT
"#include \"${registry}\"\n
namespace lowrank {
${declarations}
std::span<const ${type}* const> ${folder}() {
  static constexpr const ${type}* table[] = {
${entries}  };
  return table;
}
}  // namespace lowrank
")
  set(${out} ${path} PARENT_SCOPE)
endfunction()
