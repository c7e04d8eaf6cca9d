#include "model/nearest/tensor_match.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/ranges.h>

#include "model/tensor_form.h"

namespace lowrank {
namespace {

using Shape = std::vector<int64_t>;

/// A tensor of the model, under the names that files may give it, the usual one first.
struct Expected {
  std::vector<std::string> names;
  Shape shape;  ///< empty: any
  bool optional = false;
};

using Index = std::unordered_map<std::string_view, const StoredTensor*>;

/// The name with a star for each part that is a number.
std::string pattern_of(std::string_view name) {
  std::string pattern;
  while (!name.empty()) {
    const size_t end = std::min(name.find('.'), name.size());
    const std::string_view part = name.substr(0, end);
    const bool number =
        !part.empty() && std::ranges::all_of(part, [](unsigned char c) { return std::isdigit(c); });
    pattern += number ? "*" : part;
    if (end < name.size()) pattern += '.';
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return pattern;
}

/// Patterns in the order of their first tensor.
class PatternCounts {
 public:
  void add(std::string_view name, const std::string& shapes = "") {
    const std::string pattern = pattern_of(name) + shapes;
    const auto [place, fresh] = places_.emplace(pattern, patterns_.size());
    if (fresh) patterns_.push_back({pattern, 0});
    ++patterns_[place->second].count;
  }
  std::vector<TensorPattern> take() { return std::move(patterns_); }

 private:
  std::map<std::string, size_t> places_;
  std::vector<TensorPattern> patterns_;
};

/// What stands before the names of a layer's norms in the files, if that is not the model's own prefix.
std::string other_prefix(const ModelSpec& spec, const Index& stored) {
  const auto layer = std::ranges::find_if(spec.tensors, [&](const TensorRef& tensor) {
    return tensor.layer >= 0 && tensor.name.starts_with(spec.optional_prefix);
  });
  if (spec.optional_prefix.empty() || layer == spec.tensors.end()) return {};
  const std::string_view tail = std::string_view(layer->name).substr(spec.optional_prefix.size());
  if (stored.contains(layer->name) || stored.contains(tail) || stored.contains(layer->legacy_name)) return {};
  for (const auto& [name, tensor] : stored) {
    if (name.ends_with(tail) && name[name.size() - tail.size() - 1] == '.')
      return std::string(name.substr(0, name.size() - tail.size()));
  }
  return {};
}

Expected in_folder(const ModelSpec& spec, const TensorRef& tensor, const std::string& prefix) {
  Expected expected{{tensor.name}, folder_shape(tensor), tensor.optional || tensor.start_deviation};
  if (!tensor.legacy_name.empty()) expected.names.push_back(tensor.legacy_name);
  const std::string& own = spec.optional_prefix;
  if (own.empty() || !tensor.name.starts_with(own)) {
    // The head of a part of a model stands beside that part's prefix.
    for (size_t dot = prefix.find('.'); dot != std::string::npos; dot = prefix.find('.', dot + 1))
      expected.names.push_back(prefix.substr(0, dot + 1) + tensor.name);
    return expected;
  }
  expected.names.push_back(tensor.name.substr(own.size()));
  if (!prefix.empty()) expected.names.push_back(prefix + tensor.name.substr(own.size()));
  return expected;
}

/// The stack that holds an expert's tensor, if the file has it; its shape is not compared.
std::optional<Expected> stack_of(const TensorRef& tensor, const Index& stored) {
  for (const char* end : {"", "_blocks"}) {
    const std::string name = tensor.expert->stack_name + end;
    if (!stored.contains(name)) continue;
    return Expected{{name}, {}, false};
  }
  return std::nullopt;
}

std::vector<Expected> expected_tensors(const ModelSpec& spec, const Index& stored, const std::string& prefix,
                                       bool gguf) {
  std::vector<Expected> all;
  std::set<std::string> stacks;
  for (const TensorRef& tensor : spec.tensors) {
    if (gguf) {
      Expected expected{{tensor.gguf_name}, tensor.shape, tensor.optional};
      if (tensor.expert) expected.shape.insert(expected.shape.begin(), tensor.expert->count);
      if (!tensor.expert || tensor.expert->number == 0) all.push_back(std::move(expected));
      continue;
    }
    std::optional<Expected> stack = tensor.expert ? stack_of(tensor, stored) : std::nullopt;
    if (!stack) {
      all.push_back(in_folder(spec, tensor, prefix));
    } else if (stacks.insert(stack->names.front()).second) {
      all.push_back(std::move(*stack));
    }
  }
  return all;
}

const StoredTensor* find(const Index& stored, const Expected& expected) {
  for (const std::string& name : expected.names) {
    const auto found = stored.find(name);
    if (found != stored.end()) return found->second;
  }
  return nullptr;
}

}  // namespace

double TensorMatch::likeness() const {
  if (expected + stored == 0) return 0;
  int64_t others = 0;
  for (const TensorPattern& pattern : misshapen) others += pattern.count;
  const double together =
      static_cast<double>(placed) + 0.5 * static_cast<double>(renamed) + 0.25 * static_cast<double>(others);
  return 2 * together / static_cast<double>(expected + stored);
}

TensorMatch match_tensors(const ModelSpec& spec, std::span<const StoredTensor> tensors, bool gguf) {
  TensorMatch match;
  Index stored;
  for (const StoredTensor& tensor : tensors) {
    if (!is_recomputed(tensor.name)) stored.emplace(tensor.name, &tensor);
  }
  match.stored = std::ssize(stored);
  if (!gguf) match.prefix = other_prefix(spec, stored);
  PatternCounts misshapen, extra, missing;
  std::unordered_set<const StoredTensor*> known;
  std::map<Shape, int64_t> missing_shapes;
  for (const Expected& expected : expected_tensors(spec, stored, match.prefix, gguf)) {
    const StoredTensor* found = find(stored, expected);
    if (!found && expected.optional) continue;
    ++match.expected;
    if (!found) {
      missing.add(expected.names.front());
      ++missing_shapes[expected.shape];
      continue;
    }
    known.insert(found);
    if (expected.shape.empty() || found->shape == expected.shape)
      ++match.placed;
    else
      misshapen.add(found->name, fmt::format(" [{}], not [{}]", fmt::join(found->shape, ", "),
                                             fmt::join(expected.shape, ", ")));
  }
  for (const StoredTensor& tensor : tensors) {
    if (is_recomputed(tensor.name) || known.contains(&tensor)) continue;
    extra.add(tensor.name);
    const auto same = missing_shapes.find(tensor.shape);
    if (same == missing_shapes.end() || same->second == 0) continue;
    --same->second;
    ++match.renamed;
  }
  match.misshapen = misshapen.take();
  match.extra = extra.take();
  match.missing = missing.take();
  return match;
}

}  // namespace lowrank
