#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "formats/gguf.h"
#include "formats/safetensors_index.h"
#include "model/expert_stacks.h"
#include "model/spec.h"
#include "model/stored/bitsandbytes.h"

namespace lowrank {

struct FamilyInfo;

/// A base model on disk: a Hugging Face folder or a GGUF file, mapped and checked against its family's weight
/// table. Nothing is expanded until it is read. Models keep it alive: their names and mapped rows point into
/// it.
class Checkpoint : public std::enable_shared_from_this<Checkpoint> {
 public:
  /// Opens a folder with config.json and safetensors, or a GGUF file. Errors: not_found, corrupt; unsupported
  /// for an architecture without a family (the message lists the known ones); invalid when tensors are
  /// missing, unexpected or misshapen (all named at once).
  /// `labels`: those of the label head that the model is to have. Errors: also unsupported for a family
  /// without one. As in transformers, a head that the configuration ties to the embedding is not tied if the
  /// files store a different one, and either of a tied pair may be stored.
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& path,
                                                const std::optional<LabelSet>& labels = std::nullopt);

  const std::filesystem::path& path() const { return path_; }
  const FamilyInfo& family() const { return *family_; }
  /// Where the files contradict each other, and what was used; sentences for users.
  const std::vector<std::string>& notes() const { return notes_; }
  const ModelSpec& spec() const { return spec_; }
  /// The GGUF file, or nullptr for a folder.
  const GgufFile* gguf() const { return gguf_ ? &*gguf_ : nullptr; }

  /// All tensors of the files.
  const std::vector<StoredTensor>& stored_tensors() const;
  /// The tensors of a multimodal folder's other parts, as they are stored.
  std::vector<StoredTensor> other_tensors() const;

  /// The tensor as it is stored; nullptr if it is optional and the checkpoint lacks it.
  const StoredTensor* find(const TensorRef& tensor) const;

  /// True if a folder stores the tensor among those of all experts in another order or type; what `find`
  /// returns then holds more than this tensor.
  bool is_rearranged(const TensorRef& tensor) const { return !gguf_ && stacks_.is_rearranged(tensor); }
  /// The tensors that hold these.
  std::vector<const StoredTensor*> rearranged_stacks() const { return stacks_.rearranged_stacks(); }

  /// True for a stored tensor that is none of the weight table's but holds some of them or belongs to one:
  /// the rearranged stacks, and what bitsandbytes and GGUF files store beside a matrix. Errors: invalid for
  /// factors of a GGUF file that cannot be.
  bool is_part_of_others(const StoredTensor& stored) const;

  /// The tensor's values if bitsandbytes stored them in 4 bits, else nullptr.
  const StoredNf4* nf4(const TensorRef& tensor) const;

  /// The tensor that stores this one's values: the embedding for a tied head, else itself.
  const TensorRef& source(const TensorRef& tensor) const;

  /// Writes rows [begin, end) of a matrix or vector (a vector's rows are its values), in Hugging Face's row
  /// order, to `out` as f32, f64 or bf16 (rounded once, to nearest even). `out` is contiguous, [end-begin,
  /// ...].
  void read_rows(const TensorRef& tensor, int64_t begin, int64_t end, at::Tensor& out) const;

  /// The file's bytes that the tensor consists of; nullopt if they lie in several places, as what is
  /// rearranged and what bitsandbytes stores in 4 bits do, or the files lack it.
  std::optional<std::span<const std::byte>> bytes_of(const TensorRef& tensor) const;
  /// `read_rows` from a copy of `bytes_of`.
  void read_rows_of(const TensorRef& tensor, std::span<const std::byte> bytes, int64_t begin, int64_t end,
                    at::Tensor& out) const;

  /// The whole tensor, in its shape, on the device.
  at::Tensor read(const TensorRef& tensor, at::ScalarType type, at::Device device = at::kCPU) const;

  /// The value from which training of a tensor starts, f32 in its shape: that of its source, or for a new
  /// head that the files lack N(0, start_deviation^2), or for its norms 1 and 0, a function of the seed and
  /// the tensor.
  at::Tensor start(const TensorRef& tensor, uint64_t seed) const;

  /// Releases the memory of the file pages that were read; to be called after loading, when the weights are
  /// packed.
  void forget_pages() const;
  /// To be called after the last use of the files. Errors: io if one was written to since it was opened.
  void check_unchanged() const;

 private:
  Checkpoint() = default;
  /// The tensor of a folder of that name, with or without the optional prefix; nullptr if there is none.
  const StoredTensor* find_in_folder(std::string_view name) const;
  /// Rows of a tensor that lies in one place.
  void read_stored(const TensorRef& tensor, const StoredTensor& stored, int64_t begin, int64_t end,
                   at::Tensor& out) const;
  /// Notes which tensors belong to other parts of a multimodal model.
  void tell_other_towers();
  /// Finds the matrices of experts in the tensors that stack them. Errors: invalid for stacks of another
  /// shape.
  void divide_stacks();
  /// Makes the head a matrix of its own if the files store one that differs from the embedding.
  void untie_other_head();
  /// Adds label head layers that the folder lacks to the modules that are trained whole.
  void train_new_layers();

  std::filesystem::path path_;
  const FamilyInfo* family_ = nullptr;
  ModelSpec spec_;
  std::optional<GgufFile> gguf_;
  std::optional<SafetensorsIndex> safetensors_;
  std::map<std::string, StoredNf4, std::less<>> nf4_;  ///< by name in the files
  ExpertStacks stacks_;
  std::vector<std::string> notes_;
};

/// The configuration alone (config.json of a folder, or the metadata of a GGUF file), for runs that need no
/// weights.
ModelSpec read_spec(const std::filesystem::path& path, const std::optional<LabelSet>& labels = std::nullopt);

}  // namespace lowrank
