#include "model/checkpoint.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/one_line.h"
#include "base/rng.h"
#include "formats/block_formats.h"
#include "kernels/products/nf4.h"
#include "model/model_description.h"
#include "model/registry.h"
#include "model/stored/gguf_factors.h"
#include "model/stored/row_values.h"
#include "model/tensor_form.h"

namespace lowrank {
namespace {

/// Whether two stored matrices have the same values; compares row by row.
bool same_values(const StoredTensor& a, const StoredTensor& b) {
  if (a.shape != b.shape || !can_expand(a.dtype) || !can_expand(b.dtype)) return false;
  if (a.dtype == b.dtype) return std::ranges::equal(a.bytes, b.bytes);
  const int64_t rows = a.shape.front();
  const int64_t columns = *element_count(a.shape) / std::max<int64_t>(rows, 1);
  std::vector<float> left(columns), right(columns);
  const auto row_of = [&](const StoredTensor& tensor, int64_t row, std::vector<float>& out) {
    const auto size = static_cast<int64_t>(tensor.bytes.size()) / rows;
    expand(tensor.dtype, tensor.bytes.subspan(row * size, size), out);
  };
  for (int64_t row = 0; row < rows; ++row) {
    row_of(a, row, left);
    row_of(b, row, right);
    if (left != right) return false;
  }
  return true;
}

bool begins_like(std::string_view name, const std::vector<std::string>& prefixes) {
  return std::ranges::any_of(prefixes, [&](const std::string& prefix) { return name.starts_with(prefix); });
}

/// The quantisation method that the configuration gives, for messages; empty: none.
std::string other_quantisation(const nlohmann::json& config) {
  const auto given = config.find("quantization_config");
  if (given == config.end() || !given->is_object()) return {};
  const auto method = given->find("quant_method");
  const bool named = method != given->end() && method->is_string();
  return named ? in_quotes(method->get<std::string>()) : "none that it names";
}

/// True for a folder that `AutoModel` saves of a decoder whose head is its own: only the hidden states are
/// left.
bool is_headless(const ModelSpec& spec, bool gguf) {
  return !gguf && spec.task == Task::causal_lm && !spec.tied_head && spec.model_class().ends_with("Model");
}

/// What a stack holds of one expert.
StoredTensor layer_of(const StoredTensor& stack, const ExpertPart& part, std::vector<int64_t> shape) {
  const size_t size = stack.bytes.size() / static_cast<size_t>(part.count);
  return {stack.name, stack.dtype, std::move(shape),
          stack.bytes.subspan(static_cast<size_t>(part.number) * size, size)};
}

/// Whether a tensor of a GGUF file holds factors of a matrix. Errors: invalid for factors that cannot be.
bool holds_factors(const GgufFile& file, const std::string& name) {
  const std::string matrix = matrix_of_factors(file, name);
  if (!matrix.empty()) factors_beside(file, matrix);
  return !matrix.empty();
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
  checkpoint->check_tensors();
  checkpoint->tell_other_towers();
  checkpoint->train_new_layers();
  return checkpoint;
}

void Checkpoint::check_tensors() const {
  std::vector<std::string> problems;
  std::unordered_set<std::string_view> known;
  for (const TensorRef& tensor : spec_.tensors) {
    const StoredTensor* stored = find(tensor);
    if (stored) known.insert(stored->name);
    if (!stored && !tensor.optional)
      problems.push_back("missing " + (gguf_ ? tensor.gguf_name : tensor.name));
    const std::vector<int64_t> shape = gguf_ ? tensor.shape : folder_shape(tensor);
    const StoredNf4* four_bit = nf4(tensor);
    const std::vector<int64_t>& own = four_bit ? four_bit->shape : stored ? stored->shape : shape;
    if (own != shape && !is_rearranged(tensor)) {
      problems.push_back(fmt::format("{} has shape [{}] where [{}] is expected", stored->name,
                                     fmt::join(own, ", "), fmt::join(shape, ", ")));
    }
  }
  for (const StoredTensor& stored : gguf_ ? gguf_->tensors() : safetensors_->tensors()) {
    const bool beside =
        (!nf4_.empty() && is_nf4_part(stored.name)) || (gguf_ && holds_factors(*gguf_, stored.name));
    const bool ignored =
        begins_like(stored.name, spec_.ignored) || begins_like(stored.name, spec_.other_towers);
    if (!known.contains(stored.name) && !stacks_.contains(stored.name) && !is_recomputed(stored.name) &&
        !beside && !ignored)
      problems.push_back("unexpected " + stored.name);
  }
  if (problems.empty()) return;
  const size_t shown = std::min<size_t>(problems.size(), 8);
  const std::string more =
      problems.size() > shown ? fmt::format(" and {} more", problems.size() - shown) : "";
  problems.resize(shown);
  if (const std::string method = gguf_ ? "" : other_quantisation(spec_.config); !method.empty()) {
    throw Error(
        ErrorKind::unsupported,
        fmt::format("{}: the folder is quantised (config.json: quantization_config, quant_method {}), "
                    "and of its kind only bitsandbytes' nf4 is read: {}{}",
                    path_.string(), method, problems.front(), problems.size() > 1 ? ", and others" : ""),
        "give the model that was quantised, or a GGUF file of it; `base_format` nf4 rounds it to 4 bits");
  }
  fail(ErrorKind::invalid, "{}: the tensors do not fit a {} model: {}{}", path_.string(), spec_.family,
       fmt::join(problems, "; "), more);
}

std::vector<StoredTensor> Checkpoint::other_tensors() const {
  std::vector<StoredTensor> others;
  if (gguf_ || spec_.other_towers.empty()) return others;
  std::ranges::copy_if(safetensors_->tensors(), std::back_inserter(others), [&](const StoredTensor& stored) {
    return begins_like(stored.name, spec_.other_towers);
  });
  return others;
}

void Checkpoint::tell_other_towers() {
  const auto count = std::ranges::count_if(
      gguf_ ? gguf_->tensors() : safetensors_->tensors(),
      [&](const StoredTensor& stored) { return begins_like(stored.name, spec_.other_towers); });
  if (count == 0) return;
  notes_.push_back(fmt::format(
      "{}: only the text part of this model is used; {} of its tensors belong to other parts ({})",
      path_.string(), count, fmt::join(spec_.other_towers, ", ")));
}

void Checkpoint::check_stack(const StoredTensor& stack, const std::vector<int64_t>& shape) const {
  check(stack.shape == shape, ErrorKind::invalid, "{}: {} has shape [{}] where [{}] is expected",
        path_.string(), stack.name, fmt::join(stack.shape, ", "), fmt::join(shape, ", "));
}

void Checkpoint::divide_stacks() {
  for (const TensorRef& tensor : spec_.tensors) {
    if (!tensor.expert || find(tensor)) continue;
    const bool plain = gguf_ || (tensor.expert->step == 1 && !tensor.expert->transposed);
    std::optional<StackedPart> part = plain ? plain_part(tensor) : rearranged_part(tensor);
    if (part) stacked_[tensor.name] = std::move(*part);
  }
}

std::optional<StackedPart> Checkpoint::plain_part(const TensorRef& tensor) const {
  const ExpertPart& part = *tensor.expert;
  const StoredTensor* stack = gguf_ ? gguf_->find_tensor(tensor.gguf_name) : find_in_folder(part.stack_name);
  const bool fused = gguf_ && !stack && tensor.shape.size() == 2 && tensor.role != Role::down;
  if (fused) stack = gguf_->find_tensor(fmt::format("blk.{}.ffn_gate_up_exps.weight", tensor.layer));
  if (!stack) return std::nullopt;
  const bool with_others = !gguf_ || fused;
  std::vector<int64_t> shape = tensor.shape;
  if (with_others) shape[0] = part.rows;
  const int64_t rows = shape[0];
  shape.insert(shape.begin(), part.count);
  check_stack(*stack, shape);
  StoredTensor own = layer_of(*stack, part, tensor.shape);
  const size_t row_bytes = own.bytes.size() / static_cast<size_t>(rows);
  const auto first = static_cast<size_t>(with_others ? part.first_row : 0);
  own.bytes = own.bytes.subspan(first * row_bytes, static_cast<size_t>(tensor.shape[0]) * row_bytes);
  return StackedPart{std::move(own)};
}

std::optional<StackedPart> Checkpoint::rearranged_part(const TensorRef& tensor) {
  const ExpertPart& part = *tensor.expert;
  const bool matrix = tensor.shape.size() == 2;
  StackedPart own{{}, {}, part.first_row, part.step, matrix};
  if (const StoredTensor* blocks = matrix ? find_in_folder(part.stack_name + "_blocks") : nullptr) {
    const StoredTensor* scales = find_in_folder(part.stack_name + "_scales");
    check(scales != nullptr, ErrorKind::corrupt, "{}: {} has no {}_scales", path_.string(), blocks->name,
          part.stack_name);
    const int64_t columns = tensor.shape[1];
    check(columns % 32 == 0 && blocks->dtype == DType::u8 && scales->dtype == DType::u8, ErrorKind::invalid,
          "{}: {} is no MXFP4: rows must hold multiples of 32 values, in U8", path_.string(), blocks->name);
    check_stack(*blocks, {part.count, part.rows, columns / 32, 16});
    check_stack(*scales, {part.count, part.rows, columns / 32});
    own.layer = layer_of(*blocks, part, {part.rows, columns});
    own.scales = layer_of(*scales, part, {}).bytes;
    own.transposed = false;
    stacks_[blocks->name] = blocks;
    stacks_[scales->name] = scales;
    return own;
  }
  const StoredTensor* stack = find_in_folder(part.stack_name);
  if (!stack) return std::nullopt;
  std::vector<int64_t> layer{part.rows};
  if (matrix) layer.insert(layer.begin(), tensor.shape[1]);
  std::vector<int64_t> whole = layer;
  whole.insert(whole.begin(), part.count);
  check_stack(*stack, whole);
  own.layer = layer_of(*stack, part, std::move(layer));
  stacks_[stack->name] = stack;
  return own;
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

bool Checkpoint::is_rearranged(const TensorRef& tensor) const {
  if (gguf_ || !tensor.expert) return false;
  const auto part = stacked_.find(tensor.name);
  // A bias may lie there as it is, but its stack is copied with the others.
  return part != stacked_.end() && (tensor.expert->transposed || !part->second.is_plain());
}

std::vector<const StoredTensor*> Checkpoint::rearranged_stacks() const {
  std::vector<const StoredTensor*> stacks;
  for (const auto& [name, stack] : stacks_) stacks.push_back(stack);
  return stacks;
}

const StoredTensor* Checkpoint::find(const TensorRef& tensor) const {
  if (tensor.expert) {
    const auto part = stacked_.find(tensor.name);
    if (part != stacked_.end()) return &part->second.layer;
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
  if (is_rearranged(tensor)) return stacked_.find(tensor.name)->second.read(begin, end, out);
  const int64_t rows = tensor.shape[0];
  const int64_t columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
  if (const StoredNf4* four_bit = nf4(tensor)) {
    check(!tensor.transposed, ErrorKind::unsupported,
          "{}: {} is a Conv1D weight in 4 bits, which is not read", path_.string(), tensor.name);
    return expand_nf4(four_bit->packed, four_bit->scales, four_bit->block, begin * columns, out);
  }
  if (tensor.transposed && !gguf_) return copy_columns(*stored, begin, end, out);
  const float factor = gguf_ ? factor_of(*gguf_, spec_, tensor, *stored) : 1;
  // bf16 is rounded once, behind the factor.
  at::Tensor values =
      factor != 1 && out.scalar_type() == at::kBFloat16 ? at::empty(out.sizes(), at::kFloat) : out;
  auto* target = static_cast<std::byte*>(values.mutable_data_ptr());
  const int64_t stride = columns * static_cast<int64_t>(values.element_size());
  for (int64_t row = begin; row < end; ++row, target += stride) {
    const int64_t source = gguf_ ? gguf_row(row, rows, tensor) : row;
    copy_values(*stored, source, 0, columns, values.scalar_type(), target);
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

at::Tensor Checkpoint::read(const TensorRef& tensor, at::ScalarType type) const {
  at::Tensor out = at::empty(tensor.shape, type);
  read_rows(tensor, 0, tensor.shape[0], out);
  return out;
}

}  // namespace lowrank
