#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/checkpoint.h"
#include "peft/core/method.h"

namespace lowrank {

/// Base tensors trained beside an adapter, starting from their own values (PEFT's `modules_to_save` and
/// `bias`).
class TrainedTensors {
 public:
  /// `key`: name in the adapter file. A tensor that was already added is left unchanged.
  void add(const TensorRef& tensor, std::string key);
  /// The tensor has the value of another that is trained, and is also written, under `key`.
  void add_copy(const TensorRef& tensor, const TensorRef& of, std::string key);
  /// If the embedding is among the tensors, a head tied to it has its value and is not written.
  void keep_tie(const ModelSpec& spec);
  /// True when `keep_tie` tied a head.
  bool keeps_tie() const;

  /// Adds parameters, uses and copies.
  void plan(TrainPlan& plan) const;
  void bind(const ParameterSet& parameters);
  /// Sets the base's values; those of a new head are drawn from the seed.
  void initialise(const Checkpoint& base, uint64_t seed) const;

  /// The trained value; nothing for other tensors.
  std::optional<at::Tensor> value(const TensorRef& tensor) const;
  bool holds(const TensorRef& tensor) const { return entries_.contains(tensor.name); }
  /// The tensors' names.
  std::vector<std::string> names() const;

 private:
  struct Entry {
    const TensorRef* tensor = nullptr;
    std::string key;
    const TensorRef* copy_of = nullptr;  ///< with an empty key: not written
    at::Tensor value;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

/// `names` and those of modules trained in full for the model's task (a label head's), without duplicates.
std::vector<std::string> with_head(const ModelSpec& spec, std::vector<std::string> names);

/// The tensors of the modules that `names` selects as PEFT's modules_to_save: any part of the model whose
/// dotted path ends with one of the names. Errors: invalid when a name matches nothing, unless it is a label
/// head's.
std::vector<const TensorRef*> tensors_to_save(const ModelSpec& spec, const std::vector<std::string>& names);

/// The embedding and the head that share one matrix; nullptr if the head is not tied.
std::pair<const TensorRef*, const TensorRef*> tied_pair(const ModelSpec& spec);

/// The tensors whose name `expression` matches anywhere, in the model's order; a tied head counts as its
/// embedding, under either name, and constants never count. Errors: invalid when it matches nothing or is not
/// a regular expression.
std::vector<const TensorRef*> tensors_found(const ModelSpec& spec, const std::string& expression);

/// True when PEFT excludes the module from target_modules because it is (part of) a module to save.
bool is_saved_whole(const std::string& module, const std::vector<std::string>& names);

/// The biases selected by PEFT's `bias`: `none`, `all`, or `lora_only`, those of `adapted` modules.
std::vector<const TensorRef*> biases_to_train(const ModelSpec& spec, const std::string& which,
                                              const std::vector<const Module*>& adapted);

/// The key of a base tensor in the adapter file; `adapted`: its module is wrapped by the adapter.
std::string saved_key(const TensorRef& tensor, bool adapted);

}  // namespace lowrank
