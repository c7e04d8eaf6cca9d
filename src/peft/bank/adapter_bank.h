#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/hooks.h"
#include "peft/bank/adapter_patches.h"
#include "peft/files/adapter_file.h"

namespace lowrank {

/// Any number of adapters of one base, each applied to its own sequences of a batch (`Batch::adapters`):
/// hooks for inference. `layout` sorts a batch's sequences by adapter, so that each adapter has one range of
/// tokens; the factors of all adapters are then applied in one pass beside the base's product
/// (kernels/products/low_rank_terms.h).
class AdapterBank final : public Hooks {
 public:
  /// Takes a loaded adapter and prepares it; returns its number, the lowest free one. `factor`: on all that
  /// it adds. Errors: invalid for a duplicate name; unsupported for an adapter that replaces tensors of the
  /// base, with advice, and for a factor other than 1 on one that does more than add products of factors.
  int64_t add(std::string name, Adapter adapter, double factor = 1);
  /// Forgets an adapter; its number becomes free. No batch may name it any more.
  void remove(int64_t number);

  /// The number of an adapter, `no_adapter` for "base". Errors: invalid, with the nearest name.
  int64_t number_of(std::string_view name) const;
  /// How many adapters there are; without removals they have the numbers 0, 1, …
  int64_t size() const { return static_cast<int64_t>(numbers_.size()); }
  const std::string& name(int64_t number) const { return entries_[number].name; }
  const Adapter& adapter(int64_t number) const { return *entries_[number].adapter; }
  /// Context positions that virtual tokens take in a sequence; the maximum over the adapters.
  int64_t context_rows() const;

  void layout(Batch& batch) const override;
  bool can_cache() const override;
  at::Tensor embed(const Place& place, const Embedding& embedding, at::Tensor rows) const override;
  std::vector<Patch> patches(const Place& place, const Module& module) const override;
  std::optional<Prefix> prefix(const Place& place) const override;
  at::Tensor branch_end(const Place& place, const Site& site, const at::Tensor& in,
                        const at::Tensor& out) const override;
  HiddenState layer_end(const Place& place, HiddenState hidden) const override;

 private:
  struct Entry {
    std::string name;
    std::shared_ptr<Adapter> adapter;
    /// The patches of its adapted modules, computed once, with s B^T beside them.
    AdapterPatches patches;
  };
  /// Consecutive sequences of one adapter in a batch.
  struct Part {
    const Entry* entry = nullptr;  ///< nullptr: the base alone
    int64_t begin = 0, end = 0;    ///< sequences
  };

  std::vector<Part> parts_of(const Batch& batch) const;

  std::vector<Entry> entries_;                           ///< by number; free ones have no adapter
  std::map<std::string, int64_t, std::less<>> numbers_;  ///< by name
  int64_t between_layers_ = 0;                           ///< adapters that act between layers
};

}  // namespace lowrank
