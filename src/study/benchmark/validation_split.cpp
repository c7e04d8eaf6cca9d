// The rule by which validation rows are taken from training rows.
#include <algorithm>

#include "base/error.h"
#include "base/rng.h"
#include "study/benchmark/rows.h"

namespace lowrank {
namespace {

/// FNV-1a of 64 bits, mixed so that neighbouring texts lie apart.
uint64_t group_hash(std::string_view group) {
  uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : group) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3U;
  }
  return derive_seed(hash, 0);
}

/// The highest hash of a validation row.
uint64_t last_validation_hash(std::vector<uint64_t> hashes) {
  constexpr size_t share = 20, most = 1000;
  const size_t wanted = std::min((hashes.size() + share - 1) / share, most);
  std::ranges::sort(hashes);
  check(!hashes.empty(), ErrorKind::invalid, "there are no training rows");
  check(hashes.front() != hashes.back(), ErrorKind::invalid,
        "all training rows have the same prompt, so that no validation rows can be taken from them; give a "
        "file of them (`validation`)");
  uint64_t last = hashes[wanted - 1];
  // Something must be left to train on.
  if (last == hashes.back()) last = *(std::ranges::lower_bound(hashes, last) - 1);
  return last;
}

}  // namespace

void write_training_rows(const BenchmarkRows& train, const BenchmarkRows& validation,
                         const std::filesystem::path& folder) {
  RowFile train_file(folder / "train.jsonl"), validation_file(folder / "validation.jsonl");
  int64_t rows = 0;
  const auto to_train = [&](const BenchmarkRow& row) {
    train_file.write(row.fields);
    ++rows;
  };
  if (validation) {
    train(to_train);
    check(std::exchange(rows, 0) > 0, ErrorKind::invalid, "there are no training rows");
    validation([&](const BenchmarkRow& row) {
      validation_file.write(row.fields);
      ++rows;
    });
    check(rows > 0, ErrorKind::invalid, "there are no validation rows");
  } else {
    std::vector<uint64_t> hashes;
    train([&](const BenchmarkRow& row) { hashes.push_back(group_hash(row.group)); });
    const uint64_t last = last_validation_hash(std::move(hashes));
    train([&](const BenchmarkRow& row) {
      if (group_hash(row.group) <= last) {
        validation_file.write(row.fields);
      } else {
        to_train(row);
      }
    });
  }
  train_file.commit();
  validation_file.commit();
}

}  // namespace lowrank
