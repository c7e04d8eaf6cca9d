#include "model/checkpoint.h"

#include <algorithm>
#include <iterator>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/rng.h"
#include "kernels/products/nf4.h"
#include "model/checkpoint_fit.h"
#include "model/model_description.h"
#include "model/registry.h"
#include "model/stored/gguf_factors.h"
#include "model/stored/row_values.h"
#include "model/tensor_form.h"

namespace lowrank {
namespace {

/// True for a folder that `AutoModel` saves of a decoder whose head is its own: only the hidden states are
/// left.
bool is_headless(const ModelSpec& spec, bool gguf) {
  return !gguf && spec.task == Task::causal_lm && !spec.tied_head && spec.model_class().ends_with("Model");
}

/// The factor beside a matrix in a GGUF file; 1: none.
float factor_of(const GgufFile& file, const ModelSpec& spec, const TensorRef& tensor,
                const StoredTensor& stored) {
  const std::vector<float> factors = factors_beside(file, stored.name);
  if (factors.empty()) return 1;
  const std::string name = name_of_factors(stored.name);
  const bool other_use = std::ranges::any_of(spec.tensors, [&](const TensorRef& other) {
    return other.layer == tensor.layer && !other.expert && other.gguf_name == name;
  });
  if (other_use) return 1;
  const int64_t most = tensor.expert ? tensor.expert->count : 1;
  check(std::ssize(factors) == 1 || std::ssize(factors) == most, ErrorKind::invalid,
        "{}: {} has {} factors where {} are expected", file.path().string(), name, factors.size(), most);
  return factors.size() == 1 ? factors.front() : factors[tensor.expert->number];
}

}  // namespace

ModelSpec read_spec(const std::filesystem::path& path, const std::optional<LabelSet>& labels) {
  return open_description(path, labels).spec;
}

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::filesystem::path& path,
                                                   const std::optional<LabelSet>& labels) {
  ModelDescription opened = open_description(path, labels);
  std::shared_ptr<Checkpoint> checkpoint(new Checkpoint);
  checkpoint->path_ = path;
  checkpoint->family_ = opened.family;
  checkpoint->spec_ = std::move(opened.spec);
  checkpoint->gguf_ = std::move(opened.gguf);
  if (!checkpoint->gguf_) {
    checkpoint->safetensors_ = SafetensorsIndex::open(path);
    checkpoint->notes_ = checkpoint->safetensors_->notes();
    checkpoint->nf4_ = nf4_tensors(*checkpoint->safetensors_, path.string());
  }
  checkpoint->divide_stacks();
  checkpoint->untie_other_head();
  check_fit(*checkpoint);
  checkpoint->tell_other_towers();
  checkpoint->train_new_layers();
  return checkpoint;
}

const std::vector<StoredTensor>& Checkpoint::stored_tensors() const {
  return gguf_ ? gguf_->tensors() : safetensors_->tensors();
}

std::vector<StoredTensor> Checkpoint::other_tensors() const {
  std::vector<StoredTensor> others;
  if (gguf_) return others;
  std::ranges::copy_if(stored_tensors(), std::back_inserter(others),
                       [&](const StoredTensor& stored) { return is_of_other_part(spec_, stored); });
  return others;
}

void Checkpoint::tell_other_towers() {
  const auto count = std::ranges::count_if(
      stored_tensors(), [&](const StoredTensor& stored) { return is_of_other_part(spec_, stored); });
  if (count == 0) return;
  notes_.push_back(fmt::format(
      "{}: only the text part of this model is used; {} of its tensors belong to other parts ({})",
      path_.string(), count, fmt::join(spec_.other_towers, ", ")));
}

void Checkpoint::divide_stacks() {
  const StackFiles files{path_.string(), gguf_.has_value(), [this](std::string_view name) {
                           return gguf_ ? gguf_->find_tensor(name) : find_in_folder(name);
                         }};
  for (const TensorRef& tensor : spec_.tensors) {
    if (tensor.expert && !find(tensor)) stacks_.add(tensor, files);
  }
}

void Checkpoint::untie_other_head() {
  if (is_headless(spec_, gguf_.has_value())) {
    if (find(*std::ranges::find(spec_.tensors, Role::head, &TensorRef::role))) return;
    const nlohmann::json own = spec_.config;
    nlohmann::json config = own;
    config["tie_word_embeddings"] = true;
    spec_ = family_->spec(config);
    spec_.config = own;  // what is merged is such a folder again
    spec_.task = Task::embedding;
    return;
  }
  if (!spec_.tied_head) return;
  const TensorRef& embedding = *std::ranges::find(spec_.tensors, Role::embedding, &TensorRef::role);
  const TensorRef& head = *std::ranges::find(spec_.tensors, Role::head, &TensorRef::role);
  const StoredTensor* table = find(embedding);
  const StoredTensor* own = find(head);
  if (!table || !own || table == own) return;
  const bool scaled =
      gguf_ && factor_of(*gguf_, spec_, embedding, *table) != factor_of(*gguf_, spec_, head, *own);
  if (!scaled && same_values(*table, *own)) return;
  notes_.push_back(
      fmt::format("{}: tie_word_embeddings is true, but {} and {} differ; the head is taken as it is stored",
                  path_.string(), own->name, table->name));
  nlohmann::json config = spec_.config;
  config["tie_word_embeddings"] = false;
  const std::string architecture = spec_.gguf_architecture;
  spec_ = family_->spec(config);
  spec_.gguf_architecture = architecture;
}

void Checkpoint::train_new_layers() {
  for (const TensorRef& tensor : spec_.tensors) {
    if (!tensor.start_deviation || !tensor.is_weight() || find(tensor)) continue;
    const std::string path = fmt::format(".{}.", tensor.module_name());
    const bool trains = std::ranges::any_of(spec_.head_modules, [&](const std::string& name) {
      return path.find("." + name + ".") != std::string::npos;
    });
    if (!trains) spec_.head_modules.emplace_back(tensor.module_name());
  }
}

const StoredTensor* Checkpoint::find_in_folder(std::string_view name) const {
  if (name.empty()) return nullptr;
  const StoredTensor* stored = safetensors_->find(name);
  const bool prefixed = !spec_.optional_prefix.empty() && name.starts_with(spec_.optional_prefix);
  return stored || !prefixed ? stored : safetensors_->find(name.substr(spec_.optional_prefix.size()));
}

bool Checkpoint::is_part_of_others(const StoredTensor& stored) const {
  const bool nf4_part = !nf4_.empty() && is_nf4_part(stored.name);
  return nf4_part || stacks_.is_rearranged_stack(stored.name) ||
         (gguf_ && holds_factors(*gguf_, stored.name));
}

const StoredTensor* Checkpoint::find(const TensorRef& tensor) const {
  if (tensor.expert) {
    if (const StackedPart* part = stacks_.find(tensor)) return &part->layer;
    if (gguf_) return nullptr;
  }
  if (gguf_) return gguf_->find_tensor(tensor.gguf_name);
  for (const std::string_view name : {std::string_view(tensor.name), std::string_view(tensor.legacy_name)}) {
    if (const StoredTensor* stored = find_in_folder(name)) return stored;
  }
  // Some folders store only the head of a tied pair.
  const bool tied = spec_.tied_head && tensor.role == Role::embedding;
  return tied ? find(*std::ranges::find(spec_.tensors, Role::head, &TensorRef::role)) : nullptr;
}

const StoredNf4* Checkpoint::nf4(const TensorRef& tensor) const {
  if (nf4_.empty()) return nullptr;
  const StoredTensor* stored = find(tensor);
  const auto found = stored ? nf4_.find(stored->name) : nf4_.end();
  return found == nf4_.end() ? nullptr : &found->second;
}

const TensorRef& Checkpoint::source(const TensorRef& tensor) const {
  if (tensor.role != Role::head || !spec_.tied_head) return tensor;
  return *std::ranges::find(spec_.tensors, Role::embedding, &TensorRef::role);
}

void Checkpoint::read_rows(const TensorRef& tensor, int64_t begin, int64_t end, at::Tensor& out) const {
  const StoredTensor* stored = find(tensor);
  check(stored != nullptr, ErrorKind::invalid, "{}: no tensor {}{}", path_.string(), tensor.name,
        tensor.start_deviation
            ? "; a head that is new must be trained (`modules_to_save`), or come with an `adapter`"
            : "");
  if (is_rearranged(tensor)) return stacks_.find(tensor)->read(begin, end, out);
  if (const StoredNf4* four_bit = nf4(tensor)) {
    const int64_t columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
    check(!tensor.transposed, ErrorKind::unsupported,
          "{}: {} is a Conv1D weight in 4 bits, which is not read", path_.string(), tensor.name);
    return expand_nf4(four_bit->packed, four_bit->scales, four_bit->block, begin * columns, out);
  }
  read_stored(tensor, *stored, begin, end, out);
}

std::optional<std::span<const std::byte>> Checkpoint::bytes_of(const TensorRef& tensor) const {
  const StoredTensor* stored = find(tensor);
  if (!stored || is_rearranged(tensor) || nf4(tensor)) return std::nullopt;
  return stored->bytes;
}

void Checkpoint::read_rows_of(const TensorRef& tensor, std::span<const std::byte> bytes, int64_t begin,
                              int64_t end, at::Tensor& out) const {
  StoredTensor copy = *find(tensor);
  copy.bytes = bytes;
  read_stored(tensor, copy, begin, end, out);
}

void Checkpoint::read_stored(const TensorRef& tensor, const StoredTensor& stored, int64_t begin, int64_t end,
                             at::Tensor& out) const {
  const int64_t rows = tensor.shape[0];
  const int64_t columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
  if (tensor.transposed && !gguf_) return copy_columns(stored, begin, end, out);
  const float factor = gguf_ ? factor_of(*gguf_, spec_, tensor, stored) : 1;
  // bf16 is rounded once, behind the factor.
  at::Tensor values =
      factor != 1 && out.scalar_type() == at::kBFloat16 ? at::empty(out.sizes(), at::kFloat) : out;
  auto* target = static_cast<std::byte*>(values.mutable_data_ptr());
  const int64_t stride = columns * static_cast<int64_t>(values.element_size());
  for (int64_t row = begin; row < end; ++row, target += stride) {
    const int64_t source = gguf_ ? gguf_row(row, rows, tensor) : row;
    copy_values(stored, source, 0, columns, values.scalar_type(), target);
  }
  if (!gguf_) return;
  if (factor != 1) values.mul_(factor);
  if (!values.is_same(out)) out.copy_(values);
  if (tensor.gguf_offset != 0) out.sub_(tensor.gguf_offset);
  if (tensor.gguf_negative_exp) out.copy_(at::log(-out));
  if (moves_columns(tensor)) out.copy_(from_gguf_column_order(out, tensor));
}

void Checkpoint::forget_pages() const {
  if (gguf_) gguf_->forget_pages();
  if (safetensors_) safetensors_->forget_pages();
}

void Checkpoint::check_unchanged() const {
  if (gguf_) gguf_->check_unchanged();
  if (safetensors_) safetensors_->check_unchanged();
}

at::Tensor Checkpoint::start(const TensorRef& tensor, uint64_t seed) const {
  const TensorRef& from = source(tensor);
  if (find(from) || !from.start_deviation) return read(from, at::kFloat);
  at::Tensor values = at::empty(from.shape, at::kFloat);
  Philox random(derive_seed(seed, static_cast<uint64_t>(&from - spec_.tensors.data())));
  const auto deviation = static_cast<float>(*from.start_deviation);
  const float mean = from.role == Role::norm && from.is_weight() ? 1 : 0;
  auto* out = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) out[i] = mean + deviation * random.normal();
  return values;
}

at::Tensor Checkpoint::read(const TensorRef& tensor, at::ScalarType type, at::Device device) const {
  at::Tensor out = at::empty(tensor.shape, type);
  read_rows(tensor, 0, tensor.shape[0], out);
  return out.to(device);
}

}  // namespace lowrank
