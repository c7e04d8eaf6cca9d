#include "peft/bottleneck/bottleneck_activation.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <fmt/ranges.h>

#include "base/error.h"

namespace lowrank {
namespace {

struct Entry {
  std::string_view name;
  Activation function;
};

constexpr Entry entries[] = {
    {"relu", [](const at::Tensor& x) { return at::relu(x); }},
    {"swish", [](const at::Tensor& x) { return at::silu(x); }},
    {"silu", [](const at::Tensor& x) { return at::silu(x); }},
    {"gelu", [](const at::Tensor& x) { return at::gelu(x, "none"); }},
    {"gelu_new", [](const at::Tensor& x) { return at::gelu(x, "tanh"); }},
    {"tanh", [](const at::Tensor& x) { return at::tanh(x); }},
    {"sigmoid", [](const at::Tensor& x) { return at::sigmoid(x); }},
    {"leakyrelu", [](const at::Tensor& x) { return at::leaky_relu(x, 0.01); }},
    {"linear", [](const at::Tensor& x) { return x; }},
};

}  // namespace

std::vector<std::string> activation_names() {
  std::vector<std::string> names;
  for (const Entry& entry : entries) names.emplace_back(entry.name);
  return names;
}

Activation activation_named(std::string_view name) {
  for (const Entry& entry : entries) {
    if (entry.name == name) return entry.function;
  }
  fail(ErrorKind::unsupported, "the non-linearity '{}' is not known; known are {}", name,
       fmt::join(activation_names(), ", "));
}

}  // namespace lowrank
