#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "peft/core/method.h"
#include "peft/core/trained_tensors.h"
#include "peft/subspace/fastfood.h"

namespace lowrank {

/// Training in a random subspace (Li et al. 2018, arXiv 1804.08838; Aghajanyan et al. 2020, arXiv
/// 2012.13255):
///   theta_i = theta0_i + P_i v            (one vector for all tensors), or
///   theta_i = theta0_i + lambda_i P_i v   (structure-aware: a scale by tensor, one at the start)
/// with v initially zero and P_i the Fastfood transform with one seed per tensor. The tensors are generated
/// once per step; P_i^T maps their gradients back. The base is read from its file again in each step, so that
/// besides the tensors (f32) and their gradients only the random values of P_i are kept. A label head is
/// trained in full. Files are our own: `intrinsic_vector` [d], `said_lambda` [tensors], and in the
/// configuration the seed and the tensors' names.
class IntrinsicDimension : public Method, public AdapterForm {
 public:
  /// `type`: peft_type of the files.
  IntrinsicDimension(std::string type, bool scales) : type_(std::move(type)), scales_(scales) {}

  std::vector<Field> fields() override;
  TrainPlan plan(const ModelSpec& spec) override;
  void bind(const ParameterSet& parameters) override;
  void read_base(const Checkpoint& base) override;
  void initialise(const Checkpoint& base, uint64_t seed) override;

  void begin_step(const StepInfo& info) override;
  void end_backward() override;
  at::Tensor weight(const Context& context, const TensorRef& tensor) const override;

  bool merges(const TensorRef& tensor) const override {
    return saved_.holds(tensor) || index_.contains(tensor.name);
  }
  std::optional<at::Tensor> merged(const TensorRef& tensor, const at::Tensor& value) const override;
  std::optional<at::Tensor> unmerged(const TensorRef& tensor, const at::Tensor& merged) const override;
  bool keeps_tied_head() const override { return head_ != nullptr; }

  AdapterForm& form() override { return *this; }
  const AdapterForm& form() const override { return *this; }
  AdapterFileNames names() const override { return own_files; }
  nlohmann::json config() const override;
  void read_config(const nlohmann::json& config, const std::string& where) override;

 private:
  /// lambda_i P_i v in the tensor's shape.
  at::Tensor update(size_t index) const;
  void draw();

  std::string type_;
  bool scales_;
  int64_t dimension_ = 20000;
  std::string train_;
  uint64_t seed_ = 0;
  bool from_file_ = false;
  std::vector<std::string> names_;  ///< from a file

  const Checkpoint* base_ = nullptr;  ///< the model's; it outlives the method
  std::vector<const TensorRef*> tensors_;
  std::map<std::string, size_t, std::less<>> index_;  ///< by name, including a tied head's
  const TensorRef* head_ = nullptr;                   ///< a head tied to one of the tensors
  at::Tensor vector_, lambda_;                        ///< v [d], lambda [tensors]
  std::vector<std::unique_ptr<const Fastfood>> projections_;
  std::vector<at::Tensor> leaves_;
  TrainedTensors saved_;  ///< of a label head
};

}  // namespace lowrank
