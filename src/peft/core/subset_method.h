#pragma once

#include <string>
#include <vector>

#include "peft/core/method.h"
#include "peft/core/trained_tensors.h"

namespace lowrank {

/// What methods share that train base tensors in full and add nothing: each only chooses the tensors.
/// Products run in the compute type on a rounded copy of the f32 values, made once per pass. A tied head is
/// trained with its embedding, as one tensor; a label head is always trained.
class SubsetMethod : public Method, public AdapterForm {
 public:
  TrainPlan plan(const ModelSpec& spec) override;
  void bind(const ParameterSet& parameters) override { trained_.bind(parameters); }
  void initialise(const Checkpoint& base, uint64_t seed) override { trained_.initialise(base, seed); }

  at::Tensor weight(const Context& context, const TensorRef& tensor) const override;

  bool merges(const TensorRef& tensor) const override { return trained_.holds(tensor); }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor&) const override {
    return trained_.value(tensor);
  }
  bool keeps_tied_head() const override { return trained_.keeps_tie(); }
  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  Output output() const override { return Output::adapter_and_model; }
  AdapterFileNames names() const override { return own_files; }

 protected:
  /// The tensors to train, without a tied head. Errors: invalid or unsupported if there are none.
  virtual std::vector<const TensorRef*> chosen(const ModelSpec& spec) = 0;
  /// The tensor's key in the adapter file.
  virtual std::string key(const TensorRef& tensor) const { return tensor.name; }

 private:
  TrainedTensors trained_;
};

}  // namespace lowrank
