#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace lowrank::test {

/// SmolLM2-135M-Instruct (LOWRANK_MODEL, which `make test` sets); nullopt if it is missing.
inline std::optional<std::filesystem::path> real_model() {
  const char* path = std::getenv("LOWRANK_MODEL");
  if (!path || !std::filesystem::exists(path)) return std::nullopt;
  return path;
}

/// all-MiniLM-L6-v2 (LOWRANK_MINILM, which `make test` sets); nullopt if it is missing.
inline std::optional<std::filesystem::path> minilm() {
  const char* path = std::getenv("LOWRANK_MINILM");
  if (!path || !std::filesystem::exists(path)) return std::nullopt;
  return path;
}

/// The folder with the data sets E2E and GSM8K (`data/`), which have no package: LOWRANK_SHARED, else
/// `shared` next to the source tree. nullopt if it is missing.
inline std::optional<std::filesystem::path> shared_folder() {
  const char* named = std::getenv("LOWRANK_SHARED");
  const std::filesystem::path path =
      named ? named : std::filesystem::path(LOWRANK_SOURCE).parent_path() / "shared";
  if (!std::filesystem::exists(path / "data")) return std::nullopt;
  return path;
}

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(LOWRANK_FIXTURES) / name;
}

}  // namespace lowrank::test
