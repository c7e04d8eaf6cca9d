#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_file.h"
#include "model/spec.h"
#include "model/stored/stacked_part.h"

namespace lowrank {

/// The files of a base model, as far as stacks of experts are looked for in them.
struct StackFiles {
  std::string path;  ///< for messages
  bool gguf = false;
  std::function<const StoredTensor*(std::string_view)> find;  ///< a tensor by its name, or nullptr
};

/// The matrices and biases of experts in the tensors that stack those of all (`TensorRef::expert`). GGUF
/// files and most folders stack them plainly, one part's rows below the other's; other folders, such as those
/// of gpt-oss, transposed, with rows in turn or as MXFP4.
class ExpertStacks {
 public:
  /// Notes the tensor's part of a stack, if the files have one. Errors: invalid for a stack of another shape
  /// or type; corrupt for MXFP4 without scales.
  void add(const TensorRef& tensor, const StackFiles& files);

  /// The tensor's part of a stack; nullptr if none was noted.
  const StackedPart* find(const TensorRef& tensor) const;

  /// Of a folder: true if a stack holds the tensor in another order or type.
  bool is_rearranged(const TensorRef& tensor) const;
  /// The tensors of the files that hold these, in the order of their names.
  std::vector<const StoredTensor*> rearranged_stacks() const;
  /// True for the name of one of them.
  bool is_rearranged_stack(std::string_view name) const { return rearranged_.contains(name); }

 private:
  /// The part of a stack whose `blocks` and scales are MXFP4.
  StackedPart part_of_blocks(const TensorRef& tensor, const StoredTensor& blocks, const StackFiles& files);
  /// The part of a stack that is transposed or has rows in turn.
  StackedPart part_of_layers(const TensorRef& tensor, const StoredTensor& stack, const StackFiles& files);

  std::map<std::string, StackedPart, std::less<>> parts_;               ///< by name of the TensorRef
  std::map<std::string, const StoredTensor*, std::less<>> rearranged_;  ///< by name in the files
};

}  // namespace lowrank
