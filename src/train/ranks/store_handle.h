#pragma once

#include <string>

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "train/ranks/rank_store.h"

namespace lowrank {

/// The store itself, for the sources that use c10d.
struct RankStore::Handle {
  c10::intrusive_ptr<c10d::TCPStore> store;
  std::string prefix;  ///< of all keys
};

/// The first line of what libtorch says of a failure; what follows are addresses of its code.
inline std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

}  // namespace lowrank
