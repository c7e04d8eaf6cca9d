#include "peft/low_rank_init.h"

#include <cmath>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

namespace lowrank {
namespace {

void uniform_by_columns(at::Tensor tensor, at::Generator& generator) {
  const double bound = 1 / std::sqrt(static_cast<double>(tensor.size(1)));
  tensor.uniform_(-bound, bound, generator);
}

}  // namespace

at::Generator seeded_generator(uint64_t seed) {
  return at::detail::createCPUGenerator(seed);
}

void initialise_factors(const at::Tensor& a, const at::Tensor& b, std::string_view init,
                        at::Generator& generator) {
  const at::NoGradGuard no_grad;
  at::Tensor first = a;
  at::Tensor second = b;
  uniform_by_columns(first, generator);
  uniform_by_columns(second, generator);
  if (init == "true") uniform_by_columns(first, generator);
  if (init == "gaussian") first.normal_(0, 1 / static_cast<double>(a.size(0)), generator);
  if (init != "false") second.zero_();
}

}  // namespace lowrank
