#include "model/activation.h"

#include <algorithm>
#include <array>

#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>

namespace lowrank {
namespace {

struct Named {
  std::string_view name;
  Activation activation;
};

constexpr std::array<Named, 5> known{{{"silu", Activation::silu},
                                      {"gelu", Activation::gelu},
                                      {"gelu_new", Activation::gelu_tanh},
                                      {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                      {"relu", Activation::relu}}};

}  // namespace

Activation read_activation(const ConfigReader& read, std::string_view key, std::string_view fallback) {
  const std::string name = read.text(key, fallback);
  const auto* const found = std::ranges::find(known, name, &Named::name);
  read.require(found != known.end(), key, "must be silu, gelu, gelu_new, gelu_pytorch_tanh or relu");
  return found->activation;
}

at::Tensor activated(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      return at::silu(x);
    case Activation::relu:
      return at::relu(x);
    default:
      return at::gelu(x, activation == Activation::gelu ? "none" : "tanh");
  }
}

}  // namespace lowrank
