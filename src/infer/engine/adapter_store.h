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

/// An adapter that an AdapterStore knows; requests hold it, so that it outlives its removal.
struct KnownAdapter;

/// A resident adapter in use.
struct ResidentAdapter {
  int64_t number = no_adapter;  ///< in the bank
  uint64_t identity = 0;        ///< that no other adapter, factor or version of its files has; 0: the base
  bool can_cache = true;        ///< as Hooks::can_cache
  bool shares_prefix = true;    ///< keys of a text depend on its tokens and the adapter alone
};

/// Adapters of one base by name: many on disk, the most recently used ones resident in an AdapterBank. An
/// adapter's files are read when it becomes resident; changes to them have no effect before it does so again.
class AdapterStore {
 public:
  /// At most `most_resident` adapters, at least 1, are in memory, on the device; one that is used with
  /// several factors counts once for each.
  AdapterStore(std::shared_ptr<const Checkpoint> base, int64_t most_resident, at::Device device);
  ~AdapterStore();

  /// Makes an adapter known; reads its configuration and the names in its tensor file. All that it adds is
  /// multiplied by `scale`. Errors: invalid for a name that is taken, empty, `base`, or has control
  /// characters; those of reading the configuration.
  void add(const std::string& name, const std::filesystem::path& path, double scale = 1);
  /// Forgets an adapter; requests that were submitted finish with it, and read its files if it is not
  /// resident when their turn comes. Errors: not_found.
  void remove(const std::string& name);

  struct Entry {
    std::string name;
    std::filesystem::path path;
    double scale = 1;
    std::string method;
    int64_t rank = 0;       ///< 0: the method has none
    bool resident = false;  ///< in memory
    std::string problem;    ///< why it cannot be used; empty: no reason is known
  };
  /// All adapters, by name.
  std::vector<Entry> entries() const;
  bool contains(std::string_view name) const { return known_.contains(name); }

  // The engine's side.

  /// The adapter of this name, for use with a factor on its scale; the first time, it is planned from its
  /// configuration. Errors: not_found, with the nearest name; what makes it unusable, as far as that is
  /// known; unsupported for an adapter that replaces tensors of the base, and for a factor other than 1 on
  /// one without a scale.
  std::shared_ptr<KnownAdapter> find(std::string_view name, double factor);
  /// Context positions that the virtual tokens of a found adapter take.
  static int64_t context_rows(const KnownAdapter& known);

  bool is_resident(const KnownAdapter& known, double factor) const;
  /// True if it is resident, or there is room for it or an adapter that is not in use.
  bool has_room(const KnownAdapter& known, double factor) const;
  /// Begins a use of an adapter, which is loaded if it is not resident; of those that are not in use, the one
  /// whose last use is longest ago makes room. Errors: those of loading, which become its problem; invalid
  /// unless `has_room`.
  ResidentAdapter acquire(KnownAdapter& known, double factor);
  /// Ends a use.
  void release(const ResidentAdapter& resident);

  const AdapterBank& bank() const { return bank_; }
  int64_t loads() const { return loads_; }
  int64_t evictions() const { return evictions_; }

 private:
  /// A resident adapter.
  struct Held {
    std::shared_ptr<KnownAdapter> known;
    double factor = 1;
    int64_t uses = 0;
    uint64_t last_use = 0;
    ResidentAdapter resident = {};
  };

  Held load(KnownAdapter& known, double factor);
  void evict(int64_t number);
  void make_room();

  std::shared_ptr<const Checkpoint> base_;
  int64_t most_resident_;
  at::Device device_;
  AdapterBank bank_;
  std::map<std::string, std::shared_ptr<KnownAdapter>, std::less<>> known_;
  std::map<int64_t, Held> held_;  ///< by number in the bank
  uint64_t clock_ = 0, last_identity_ = 0, last_serial_ = 0;
  int64_t loads_ = 0, evictions_ = 0;
};

}  // namespace lowrank
