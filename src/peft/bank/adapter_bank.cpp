#include "peft/bank/adapter_bank.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest_name.h"
#include "data/batch_parts.h"
#include "peft/core/from_patches.h"

namespace lowrank {
namespace {

constexpr std::string_view base_name = "base";

/// A place restricted to one part of a batch.
class PartPlace {
 public:
  PartPlace(const Place& place, int64_t begin, int64_t end)
      : batch_(part_of(*place.context.batch, begin, end)),
        context_(place.context),
        layout_(part_of(place.layout, begin, end, place.context.batch->offsets[begin],
                        place.context.batch->offsets[end])),
        layer_(place.layer) {
    context_.batch = &batch_;
  }

  Place get() const { return {context_, layout_, layer_}; }

 private:
  Batch batch_;
  Context context_;
  SequenceLayout layout_;
  int layer_;
};

/// The rows of sequences [begin, end); undefined if `all` is.
at::Tensor rows_of(const at::Tensor& all, const SequenceLayout& layout, int64_t begin, int64_t end) {
  if (!all.defined()) return all;
  return all.narrow(0, layout.offsets[begin], layout.offsets[end] - layout.offsets[begin]);
}

/// Stores A and s B^T of all patches contiguously, in the order in which passes read them.
void lay_out_factors(std::map<const Module*, std::vector<Patch>>& patches,
                     const std::vector<const Module*>& order) {
  int64_t count = 0;
  for (const auto& [module, own] : patches) {
    for (const Patch& patch : own) count += patch.A.defined() ? patch.A.numel() + patch.B.numel() : 0;
  }
  at::Tensor all;
  int64_t next = 0;
  const auto place = [&](const at::Tensor& values) {
    if (!all.defined()) all = at::empty({count}, values.options().requires_grad(false));
    const at::Tensor view = all.narrow(0, next, values.numel()).view(values.sizes());
    next += values.numel();
    return view.copy_(values);
  };
  for (const Module* module : order) {
    for (Patch& patch : patches.at(module)) {
      if (!patch.A.defined()) continue;
      patch.A = place(patch.A);
      patch.scaled_b = place((patch.B * patch.scale).t());
    }
  }
}

}  // namespace

int64_t AdapterBank::add(std::string name, Adapter adapter) {
  check(!name.empty() && name != base_name, ErrorKind::invalid,
        "an adapter is called '{}', which stands for the base alone; give it another name", base_name);
  check(std::ranges::find(entries_, name, &Entry::name) == entries_.end(), ErrorKind::invalid,
        "two adapters are called {}", name);
  const auto replaced = std::ranges::find_if(adapter.plan.uses,
                                             [](const auto& use) { return use.second != TensorUse::frozen; });
  check(
      replaced == adapter.plan.uses.end(), ErrorKind::unsupported,
      "the adapter {} ({}) replaces tensors of the base ({}), which all sequences of a batch share; merge it "
      "into a model of its own, or use it alone",
      name, adapter.info->name, replaced == adapter.plan.uses.end() ? "" : replaced->first);
  const at::NoGradGuard no_grad;
  adapter.method->begin_step({});
  acts_between_layers_ |= adapter.method->acts_between_layers();
  entries_.push_back({std::move(name), std::make_shared<Adapter>(std::move(adapter)), {}});
  Entry& entry = entries_.back();
  for (const Module* module : entry.adapter->method->adapted())
    entry.patches.emplace(module, plain_patches(*entry.adapter->method, *module));
  lay_out_factors(entry.patches, entry.adapter->method->adapted());
  return size() - 1;
}

int64_t AdapterBank::number_of(std::string_view name) const {
  if (name == base_name) return no_adapter;
  const auto found = std::ranges::find(entries_, name, &Entry::name);
  if (found != entries_.end()) return found - entries_.begin();
  std::vector<std::string> names{std::string(base_name)};
  for (const Entry& entry : entries_) names.push_back(entry.name);
  const auto near = nearest_name(name, names);
  fail(ErrorKind::invalid, "there is no adapter '{}'{}; there are {}", name,
       near ? fmt::format(" (did you mean {}?)", *near) : "", fmt::join(names, ", "));
}

int64_t AdapterBank::context_rows() const {
  int64_t most = 0;
  for (const Entry& entry : entries_) most = std::max(most, entry.adapter->plan.context_rows);
  return most;
}

std::vector<AdapterBank::Part> AdapterBank::parts_of(const Batch& batch) const {
  std::vector<Part> parts;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    const int64_t number = batch.adapters.empty() ? no_adapter : batch.adapters[s];
    const Entry* entry = number == no_adapter ? nullptr : &entries_.at(number);
    if (parts.empty() || parts.back().entry != entry) parts.push_back({entry, s, s});
    parts.back().end = s + 1;
  }
  return parts;
}

void AdapterBank::layout(Batch& batch) const {
  if (batch.adapters.empty()) return;
  check(std::ssize(batch.adapters) == batch.sequences(), ErrorKind::invalid,
        "a batch of {} sequences names {} adapters", batch.sequences(), batch.adapters.size());
  const Batch sorted = sorted_by_adapter(batch);
  Batch laid_out;
  for (const Part& part : parts_of(sorted)) {
    Batch own = part_of(sorted, part.begin, part.end);
    if (part.entry) part.entry->adapter->method->layout(own);
    append(laid_out, own);
  }
  batch = std::move(laid_out);
}

bool AdapterBank::can_cache() const {
  return std::ranges::all_of(entries_, [](const Entry& entry) { return entry.adapter->method->can_cache(); });
}

at::Tensor AdapterBank::embed(const Place& place, const Embedding& embedding, at::Tensor rows) const {
  std::vector<at::Tensor> pieces;
  for (const Part& part : parts_of(*place.context.batch)) {
    at::Tensor own = rows_of(rows, place.layout, part.begin, part.end);
    if (part.entry) {
      const PartPlace inner(place, part.begin, part.end);
      own = part.entry->adapter->method->embed(inner.get(), embedding, std::move(own));
    }
    pieces.push_back(std::move(own));
  }
  return pieces.size() == 1 ? pieces.front() : at::cat(pieces);
}

std::vector<Patch> AdapterBank::patches(const Place& place, const Module& module) const {
  const std::vector<Part> parts = parts_of(*place.context.batch);
  std::vector<Patch> all;
  all.reserve(parts.size());
  for (const Part& part : parts) {
    if (!part.entry) continue;
    check(!place.layout.offsets.empty(), ErrorKind::invalid,
          "rows of several adapters are read in ascending order only");
    const int64_t first = place.layout.offsets[part.begin], end = place.layout.offsets[part.end];
    if (first == end) continue;
    const auto take = [&](const std::vector<Patch>& own) {
      for (const Patch& patch : own) {
        Patch& next = all.emplace_back(patch);
        next.first_token = first;
        next.end_token = end;
      }
    };
    const auto known = part.entry->patches.find(&module);
    known != part.entry->patches.end() ? take(known->second)
                                       : take(part.entry->adapter->method->patches(place, module));
  }
  return all;
}

std::optional<Prefix> AdapterBank::prefix(const Place& place) const {
  if (!acts_between_layers_) return std::nullopt;
  const std::vector<Part> parts = parts_of(*place.context.batch);
  Prefix all;
  std::vector<at::Tensor> keys, values;
  int64_t rows = 0;
  for (const Part& part : parts) {
    std::optional<Prefix> own;
    if (part.entry) own = part.entry->adapter->method->prefix(PartPlace(place, part.begin, part.end).get());
    if (!own) {
      all.runs.insert(all.runs.end(), part.end - part.begin, KeyRun{});
      continue;
    }
    for (KeyRun run : own->runs) {
      run.begin += rows;
      all.runs.push_back(run);
    }
    rows += own->rows.k.size(0);
    keys.push_back(own->rows.k);
    values.push_back(own->rows.v);
  }
  if (keys.empty()) return std::nullopt;
  all.rows = {at::cat(keys), at::cat(values)};
  return all;
}

at::Tensor AdapterBank::branch_end(const Place& place, const Site& site, const at::Tensor& in,
                                   const at::Tensor& out) const {
  if (!acts_between_layers_) return out;
  const std::vector<Part> parts = parts_of(*place.context.batch);
  std::vector<at::Tensor> pieces;
  for (const Part& part : parts) {
    at::Tensor own = rows_of(out, place.layout, part.begin, part.end);
    if (part.entry) {
      const PartPlace inner(place, part.begin, part.end);
      own = part.entry->adapter->method->branch_end(inner.get(), site,
                                                    rows_of(in, place.layout, part.begin, part.end), own);
    }
    pieces.push_back(std::move(own));
  }
  return pieces.size() == 1 ? pieces.front() : at::cat(pieces);
}

HiddenState AdapterBank::layer_end(const Place& place, HiddenState hidden) const {
  if (!acts_between_layers_) return hidden;
  const std::vector<Part> parts = parts_of(*place.context.batch);
  std::vector<at::Tensor> streams, branches;
  std::vector<SequenceLayout> layouts;
  bool same_rows = true, any_branch = false;
  for (const Part& part : parts) {
    const PartPlace inner(place, part.begin, part.end);
    HiddenState own{rows_of(hidden.stream, place.layout, part.begin, part.end),
                    rows_of(hidden.branch, place.layout, part.begin, part.end), inner.get().layout};
    const int64_t rows = own.layout.rows();
    if (part.entry) own = part.entry->adapter->method->layer_end(inner.get(), std::move(own));
    same_rows &= own.layout.rows() == rows;
    any_branch |= own.branch.defined();
    streams.push_back(own.stream);
    branches.push_back(own.branch);
    layouts.push_back(std::move(own.layout));
  }
  for (size_t i = 0; any_branch && i < parts.size(); ++i) {
    if (!branches[i].defined()) branches[i] = at::zeros_like(streams[i]);
  }
  // Unchanged rows keep the layout, with a cache's plan.
  return {at::cat(streams), any_branch ? at::cat(branches) : at::Tensor(),
          same_rows ? std::move(hidden.layout) : joined(layouts)};
}

}  // namespace lowrank
