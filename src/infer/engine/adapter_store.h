#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint.h"
#include "peft/bank/adapter_bank.h"

namespace lowrank {

/// Adapters of one base by name: many on disk, the most recently used ones resident in an AdapterBank.
class AdapterStore {
 public:
  /// At most `most_resident` adapters are in memory, at least 1.
  AdapterStore(std::shared_ptr<const Checkpoint> base, int64_t most_resident);
  ~AdapterStore();

  /// Makes an adapter known; reads only its configuration. Its factor on the adapter's own scale is `scale`.
  /// Errors: invalid for a taken or impossible name; those of the configuration.
  void add(const std::string& name, const std::filesystem::path& path, double scale = 1);

  /// Forgets an adapter; requests that were submitted finish with it. Errors: not_found.
  void remove(const std::string& name);

  /// What is known of an adapter.
  struct Entry {
    std::string name;
    std::filesystem::path path;
    double scale = 1;
    std::string method;
    int64_t rank = 0;       ///< 0: the method has none
    bool resident = false;  ///< in memory
    std::string problem;    ///< why it cannot be used; empty: nothing is known
  };

  /// All adapters, by name.
  std::vector<Entry> entries() const;
  bool contains(std::string_view name) const;

  // What the engine needs.

  /// A known adapter; requests keep it, so that it outlives its removal.
  struct Known;
  /// The adapter of this name. Errors: not_found, with the nearest name; its problem, if one is known;
  /// unsupported for a factor other than 1 on a method that has no scale.
  std::shared_ptr<Known> find(std::string_view name, double factor) const;
  /// Context positions that its virtual tokens take, from the configuration alone. Errors: as its plan.
  int64_t context_rows(Known& known) const;

  /// A resident adapter in use: its number in the bank, and who it is: a number that no other adapter,
  /// factor or version of its files has.
  struct Resident {
    int64_t number = 0;
    uint64_t identity = 0;
    bool can_cache = true;       ///< as Hooks::can_cache
    bool shares_prefix = false;  ///< keys of a text depend on its tokens and the adapter alone
  };
  /// True if `acquire` would not have to load the adapter.
  bool is_resident(const Known& known, double factor) const;
  /// True if it is resident, or there is or can be made room for it.
  bool has_room(const Known& known, double factor) const;
  /// Counts a use of the adapter, which is loaded if it is not resident; the one that was not used for the
  /// longest time then leaves if there are too many. Errors: those of loading, which become its problem;
  /// invalid where all are in use.
  Resident acquire(Known& known, double factor);
  /// Ends a use.
  void release(const Resident& resident);

  const AdapterBank& bank() const { return bank_; }
  int64_t resident() const { return bank_.size(); }
  int64_t loads() const { return loads_; }
  int64_t evictions() const { return evictions_; }

 private:
  struct Held;

  std::shared_ptr<const Checkpoint> base_;
  int64_t most_resident_;
  AdapterBank bank_;
  std::map<std::string, std::shared_ptr<Known>, std::less<>> known_;
  std::map<int64_t, Held> held_;  ///< by number in the bank
  uint64_t clock_ = 0, last_identity_ = 0;
  int64_t loads_ = 0, evictions_ = 0;
};

}  // namespace lowrank
