#pragma once

#include <filesystem>
#include <memory>

#include "peft/files/adapter_file.h"

// A method whose files are another method's (LoRA+ trains a plain LORA adapter) records its name and options
// beside them in `lowrank.json`, so that a later run continues with it. Other programs do not read this file.
namespace lowrank {

inline constexpr const char* method_record_name = "lowrank.json";

/// Writes the record if the adapter's method needs one.
void write_method_record(const std::filesystem::path& folder, const Adapter& adapter);

/// The method in the record of an adapter's folder, which replaces `info`, the method that its configuration
/// names; `info` if there is no record. Creates `method` with the record's options. Errors: corrupt for a
/// malformed record, invalid for one that names a method with its own files or options that the method does
/// not have.
const MethodInfo& recorded_method(const std::filesystem::path& folder, const MethodInfo& info,
                                  std::unique_ptr<Method>& method);

}  // namespace lowrank
