#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// SmolLM2-135M's sizes, and the rows of 8 pairs of E2E.
namespace smol {
inline constexpr int64_t rows = 496, hidden = 576, intermediate = 1536, vocabulary = 49152;
inline constexpr int64_t heads = 9, kv_heads = 3, head_dim = 64, qkv = (heads + 2 * kv_heads) * head_dim;
}  // namespace smol

/// What bounds an operation: the memory's bandwidth, or multiply-adds of a type.
enum class Resource { memory, f32_products, bf16_products };

/// What an operation must do at least: bytes that are read and written once, or FLOPs (2 a multiply-add).
struct Work {
  Resource resource = Resource::memory;
  double amount = 0;
};

/// Computes once and returns the results.
using Run = std::function<std::vector<at::Tensor>()>;

/// Our kernel and what it is measured against, on the same inputs.
struct Contenders {
  Run ours, reference;
  bool comparable = true;  ///< their first results are the same numbers, up to rounding
};

/// One line of the table.
struct KernelCase {
  std::string name;                     ///< kernel/size/direction/type
  Work work;                            ///< of our kernel
  std::function<Contenders()> prepare;  ///< makes inputs; they live as long as the contenders
};

/// An operation with a backward pass, ours and its reference, on leaves that may require gradients.
struct DifferentiableOp {
  using Function = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;
  std::vector<at::Tensor> inputs;
  Function ours, reference;
  bool comparable = true;  ///< they compute the same
};

/// Two cases, NAME/forward/TYPE and NAME/backward/TYPE: the forward pass as training runs it, and gradients
/// of all inputs that require one.
std::vector<KernelCase> both_directions(const std::string& name, at::ScalarType type, Work forward,
                                        Work backward, const std::function<DifferentiableOp()>& prepare);

/// Normal values of a fixed seed, in `type`.
at::Tensor random_values(at::IntArrayRef sizes, at::ScalarType type);
/// The same as a leaf that requires a gradient.
at::Tensor random_leaf(at::IntArrayRef sizes, at::ScalarType type);

/// The gradient of a scalar.
at::Tensor gradient(const at::Tensor& scalar, const at::Tensor& leaf);

/// "f32" or "bf16".
std::string type_name(at::ScalarType type);
/// Bytes of one value.
double width(at::ScalarType type);
/// FLOPs of products in this type.
Work products(at::ScalarType type, double flops);

inline constexpr at::ScalarType measured_types[] = {at::kFloat, at::kBFloat16};

/// The cases of each kernel.
std::vector<KernelCase> attention_cases();
std::vector<KernelCase> norm_cases();
std::vector<KernelCase> rope_cases();
std::vector<KernelCase> glu_cases();
std::vector<KernelCase> target_loss_cases();
std::vector<KernelCase> low_rank_linear_cases();
std::vector<KernelCase> frozen_product_cases();
std::vector<KernelCase> adamw_cases();
std::vector<KernelCase> dropout_cases();
std::vector<KernelCase> nf4_cases();
std::vector<KernelCase> walsh_hadamard_cases();
std::vector<KernelCase> recurrent_cases();
std::vector<KernelCase> gated_delta_net_cases();

}  // namespace lowrank
