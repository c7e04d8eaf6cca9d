#include "session/convert_model.h"

#include <algorithm>
#include <filesystem>

#include <ATen/ops/empty.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "formats/gguf_writer.h"
#include "formats/hub_cache.h"
#include "formats/k_quantise.h"
#include "formats/quantise.h"
#include "kernels/core/parallel.h"
#include "model/gguf/decoder_gguf.h"
#include "model/tensor_form.h"
#include "session/places.h"
#include "session/session.h"
#include "tokenizer/files/tokenizer_gguf.h"
#include "tokenizer/files/tokenizer_json.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

/// A type that users choose.
struct FileType {
  std::string_view name;
  DType matrices, ends;  ///< of the layers' matrices; of embedding and head
  uint32_t number;       ///< general.file_type, llama.cpp's LLAMA_FTYPE
  double most_lost;      ///< largest difference of the logits that rounding explains, as a share of them
};

constexpr FileType file_types[] = {
    {"f32", DType::f32, DType::f32, 0, 1e-3},    {"f16", DType::f16, DType::f16, 1, 0.05},
    {"bf16", DType::bf16, DType::bf16, 32, 0.1}, {"q8_0", DType::q8_0, DType::q8_0, 7, 0.2},
    {"q4_k", DType::q4_k, DType::q6_k, 14, 0.6},
};

const FileType& file_type(const std::string& name) {
  const auto* found = std::ranges::find(file_types, name, &FileType::name);
  check(found != std::end(file_types), ErrorKind::invalid, "`type`: '{}' is not known", name);
  return *found;
}

/// The wanted type, or the one that takes its place where rows do not fill its blocks.
DType fitting(DType wanted, int64_t columns) {
  if (columns % info_of(wanted).block == 0) return wanted;
  const DType smaller = wanted == DType::q4_k   ? DType::q5_0
                        : wanted == DType::q6_k ? DType::q8_0
                                                : DType::f16;
  return columns % info_of(smaller).block == 0 ? smaller : DType::f16;
}

DType type_of(const TensorRef& tensor, const FileType& type) {
  if (tensor.shape.size() != 2 || tensor.role == Role::position || tensor.role == Role::norm ||
      tensor.role == Role::recurrence || tensor.role == Role::router)
    return DType::f32;
  const bool end = tensor.role == Role::embedding || tensor.role == Role::head;
  return fitting(end ? type.ends : type.matrices, tensor.shape.back());
}

/// The tensors of the file that hold weights, in the model's order: a tied head is the embedding.
std::vector<const TensorRef*> written_tensors(const Checkpoint& checkpoint) {
  std::vector<const TensorRef*> tensors;
  for (const TensorRef& tensor : checkpoint.spec().tensors) {
    if (&checkpoint.source(tensor) == &tensor) tensors.push_back(&tensor);
  }
  return tensors;
}

/// True for an expert's matrix that follows another's in the tensor of all experts.
bool continues_stack(const TensorRef& tensor) {
  return tensor.expert && tensor.expert->number > 0;
}

/// The tensors as the file has them, those of experts stacked.
std::vector<StoredTensor> declared(const std::vector<const TensorRef*>& tensors, const FileType& type,
                                   const GgufDescription& description) {
  std::vector<StoredTensor> all;
  for (const TensorRef* tensor : tensors) {
    if (continues_stack(*tensor)) continue;
    all.push_back({tensor->gguf_name, type_of(*tensor, type), tensor->shape, {}});
    if (tensor->expert) all.back().shape.insert(all.back().shape.begin(), tensor->expert->count);
  }
  for (const GgufDescription::Table& table : description.tables)
    all.push_back({table.name, DType::f32, {std::ssize(table.values)}, {}});
  return all;
}

/// Rounds rows of `columns` values, several threads at a time.
void round_rows(DType type, std::span<const float> values, int64_t columns, std::span<std::byte> out) {
  const int64_t row_bytes = *byte_count(type, columns);
  const int64_t rows = std::ssize(values) / columns;
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 14) / columns);
  parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    const auto part = values.subspan(begin * columns, (end - begin) * columns);
    const auto bytes = out.subspan(begin * row_bytes, (end - begin) * row_bytes);
    can_quantise_k(type) ? quantise_k(type, part, bytes) : quantise(type, part, bytes);
  });
}

/// Writes one tensor in the file's row order, in pieces where that is the folder's order.
void write_tensor(const Checkpoint& checkpoint, const TensorRef& tensor, DType type, GgufWriter& writer) {
  constexpr int64_t piece_values = int64_t{1} << 24;
  const int64_t rows = tensor.shape[0];
  const int64_t columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
  const int64_t piece = tensor.gguf_differs() ? rows : std::clamp<int64_t>(piece_values / columns, 1, rows);
  std::vector<std::byte> bytes;
  for (int64_t begin = 0; begin < rows; begin += piece) {
    throw_if_interrupted();
    const int64_t count = std::min(piece, rows - begin);
    at::Tensor values =
        tensor.shape.size() == 2 ? at::empty({count, columns}, at::kFloat) : at::empty({count}, at::kFloat);
    checkpoint.read_rows(tensor, begin, begin + count, values);
    values = in_gguf_form(values, tensor).contiguous();
    bytes.resize(*byte_count(type, values.numel()));
    try {
      round_rows(type, {values.const_data_ptr<float>(), static_cast<size_t>(values.numel())}, columns, bytes);
    } catch (const Error& error) {
      throw Error(error.kind(),
                  fmt::format("{}: {}: {}", checkpoint.path().string(), tensor.name, error.what()),
                  error.hint());
    }
    writer.append(bytes);
  }
}

std::string name_of(const fs::path& model) {
  const auto repository = repository_of(fs::absolute(model).lexically_normal());
  if (repository) return repository->substr(repository->find('/') + 1);
  fs::path whole = fs::absolute(model).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  return whole.filename().string();
}

/// All keys; adds to `notes` what they cannot say.
GgufDescription described(const Checkpoint& checkpoint, const FileType& type) {
  const ModelSpec& spec = checkpoint.spec();
  GgufDescription description;
  try {
    description = checkpoint.family().describe_gguf(spec.config);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}: {}", checkpoint.path().string(), error.what()), error.hint());
  }
  GgufMetadata& keys = description.keys;
  keys.set_string("general.type", "model");
  keys.set_string("general.name", name_of(checkpoint.path()));
  keys.set_number("general.file_type", type.number);
  keys.set_number("general.quantization_version", uint32_t{2});
  if (!fs::exists(checkpoint.path() / "tokenizer.json")) {
    // As llama.cpp's files without one.
    keys.set_string("tokenizer.ggml.model", "none");
    description.notes.emplace_back(
        "the folder has no tokenizer.json, so the file has no tokenizer: programs can only give it token "
        "ids");
    return description;
  }
  const TokenizerSpec tokenizer = tokenizer_spec_from_folder(checkpoint.path());
  for (std::string& note :
       write_tokenizer_keys(tokenizer, spec.vocabulary_size, description.merges_from_vocabulary,
                            checkpoint.path().string(), keys))
    description.notes.push_back(std::move(note));
  return description;
}

void check_convertible(const ConvertOptions& options, const Checkpoint& checkpoint) {
  check(!checkpoint.gguf(), ErrorKind::unsupported,
        "{}: the model is a GGUF file already; a folder becomes one", options.model);
  check(checkpoint.family().describe_gguf != nullptr, ErrorKind::unsupported,
        "{}: models of the family {} are not written as GGUF files; decoders are", options.model,
        checkpoint.family().name);
}

/// Compares the written file with the folder. On any error, the file is removed.
ModelDifference compared(const ConvertOptions& options, const FileType& type) {
  try {
    const ModelDifference difference = compare_models(options.model, options.output);
    check(difference.share() <= type.most_lost, ErrorKind::invalid,
          "{}: the file's logits differ from the folder's by {:.3g} of their size, more than {} explains; it "
          "is "
          "not kept",
          options.output, difference.share(), type.name);
    return difference;
  } catch (...) {
    std::error_code ignored;
    fs::remove(options.output, ignored);
    throw;
  }
}

}  // namespace

std::vector<Field> ConvertOptions::fields() {
  std::vector<std::string> names;
  for (const FileType& known : file_types) names.emplace_back(known.name);
  return {
      one_of(field("type", type,
                   "type of the matrices; norms and vectors are f32; with q4_k embedding and head are q6_k"),
             names),
      field("output", output, "FILE.gguf; it must not exist"),
      field("check", check, "compare the file's logits with the folder's")};
}

ConvertResult convert_model(const ConvertOptions& options) {
  check_model_place(options.model);
  check(options.output.ends_with(".gguf"), ErrorKind::invalid, "`output` {}: the file's name ends in .gguf",
        options.output);
  check(!fs::exists(fs::symlink_status(options.output)), ErrorKind::invalid,
        "{}: exists already; converting writes a new file; give another `output`", options.output);
  const FileType& type = file_type(options.type);
  const auto checkpoint = open_told(options.model);
  check_convertible(options, *checkpoint);
  const GgufDescription description = described(*checkpoint, type);
  const std::vector<const TensorRef*> tensors = written_tensors(*checkpoint);
  const std::vector<StoredTensor> all = declared(tensors, type, description);
  ConvertResult result{.tensors = std::ssize(all), .notes = description.notes};
  GgufWriter writer(options.output, all, description.keys, Existing::kept);
  size_t turn = 0;
  for (const TensorRef* tensor : tensors) {
    turn += tensor != tensors.front() && !continues_stack(*tensor) ? 1 : 0;
    write_tensor(*checkpoint, *tensor, all[turn].dtype, writer);
    checkpoint->forget_pages();
  }
  for (const GgufDescription::Table& table : description.tables)
    writer.append(std::as_bytes(std::span(table.values)));
  for (const StoredTensor& tensor : all) ++result.types[std::string(info_of(tensor.dtype).name)];
  checkpoint->check_unchanged();
  writer.commit();
  result.bytes = static_cast<int64_t>(fs::file_size(options.output));
  if (options.check) result.difference = compared(options, type);
  return result;
}

}  // namespace lowrank
