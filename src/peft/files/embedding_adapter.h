#pragma once

#include <filesystem>
#include <string>

#include "peft/files/adapter_file.h"

namespace lowrank {

/// write_adapter for an adapter that was trained on embeddings: where the files are PEFT's, their task type
/// is FEATURE_EXTRACTION, and tensors have the names that they have in a model without its head, as
/// `AutoModel` opens it. Errors: as write_adapter.
void write_embedding_adapter(const std::filesystem::path& folder, const Adapter& adapter,
                             const std::string& base);

/// The same in place of an adapter that `folder` may hold, as save_adapter. Errors: as save_adapter.
void save_embedding_adapter(const std::filesystem::path& folder, const Adapter& adapter,
                            const std::string& base);

}  // namespace lowrank
