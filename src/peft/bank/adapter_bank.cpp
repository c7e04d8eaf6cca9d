#include "peft/bank/adapter_bank.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
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

}  // namespace

int64_t AdapterBank::add(std::string name, Adapter adapter, double factor) {
  check(!name.empty() && name != base_name, ErrorKind::invalid,
        "an adapter is called '{}', which stands for the base alone; give it another name", base_name);
  check(!numbers_.contains(name), ErrorKind::invalid, "two adapters are called {}", name);
  check_shares_base(name, *adapter.info, adapter.plan);
  const at::NoGradGuard no_grad;
  adapter.method->begin_step({});
  Entry entry{name, std::make_shared<Adapter>(std::move(adapter)), {}};
  entry.patches = adapter_patches(*entry.adapter, factor, name);
  if (entry.adapter->method->acts_between_layers()) ++between_layers_;
  const auto free = std::ranges::find(entries_, nullptr, &Entry::adapter);
  const int64_t number = free - entries_.begin();
  free == entries_.end() ? entries_.push_back(std::move(entry)) : void(*free = std::move(entry));
  numbers_.emplace(std::move(name), number);
  return number;
}

void AdapterBank::remove(int64_t number) {
  Entry& entry = entries_.at(number);
  if (entry.adapter->method->acts_between_layers()) --between_layers_;
  numbers_.erase(entry.name);
  entry = {};
}

int64_t AdapterBank::number_of(std::string_view name) const {
  if (name == base_name) return no_adapter;
  const auto found = numbers_.find(name);
  if (found != numbers_.end()) return found->second;
  std::vector<std::string> names{std::string(base_name)};
  for (const Entry& entry : entries_) {
    if (entry.adapter) names.push_back(entry.name);
  }
  const auto near = nearest_name(name, names);
  fail(ErrorKind::invalid, "there is no adapter '{}'{}; there are {}", name,
       near ? fmt::format(" (did you mean {}?)", *near) : "", fmt::join(names, ", "));
}

int64_t AdapterBank::context_rows() const {
  int64_t most = 0;
  for (const auto& [name, number] : numbers_) most = std::max(most, adapter(number).plan.context_rows);
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
  return std::ranges::all_of(numbers_,
                             [&](const auto& one) { return adapter(one.second).method->can_cache(); });
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
  if (between_layers_ == 0) return std::nullopt;
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
  if (between_layers_ == 0) return out;
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
  if (between_layers_ == 0) return hidden;
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
