#pragma once

#include <filesystem>
#include <memory>

#include "peft/adapter_file.h"

// A method whose files are another method's (LoRA+ trains a plain LORA adapter) writes down beside them which
// it was and with which options, `lowrank.json`, so that a later run goes on with it. Other programs do not
// read it.
namespace lowrank {

inline constexpr const char* method_record_name = "lowrank.json";

/// Writes the record where the adapter's method needs one.
void write_method_record(const std::filesystem::path& folder, const Adapter& adapter);

/// The method of the record in an adapter's folder, instead of `info` that its configuration names, and its
/// own options set in `method`; `info` where there is none. Errors: corrupt for a record that is none,
/// invalid for one that names a method with files of its own or options that it has not.
const MethodInfo& recorded_method(const std::filesystem::path& folder, const MethodInfo& info,
                                  std::unique_ptr<Method>& method);

}  // namespace lowrank
