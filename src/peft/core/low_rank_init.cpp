#include "peft/core/low_rank_init.h"

#include <cmath>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

namespace lowrank {
namespace {

void orthogonal(const at::Tensor& a, const at::Tensor& b, at::Generator& generator) {
  const int64_t rank = a.size(0);
  const at::Tensor q = std::get<0>(at::linalg_qr(at::randn({rank, rank}, generator)));
  const at::Tensor even = q.slice(0, 0, rank, 2);
  const at::Tensor odd = q.slice(0, 1, rank, 2);
  a.copy_(at::mm(at::randn({a.size(1), rank / 2}, generator), even).t().div_(10));
  b.copy_(at::mm(at::randn({rank / 2, b.size(0)}, generator).t(), odd).div_(10));
}

}  // namespace

void uniform_by_columns(const at::Tensor& tensor, at::Generator& generator) {
  const at::NoGradGuard no_grad;
  const double bound = 1 / std::sqrt(static_cast<double>(tensor.size(1)));
  tensor.uniform_(-bound, bound, generator);
}

at::Generator seeded_generator(uint64_t seed) {
  return at::detail::createCPUGenerator(seed);
}

void initialise_factors(const at::Tensor& a, const at::Tensor& b, std::string_view init,
                        at::Generator& generator) {
  const at::NoGradGuard no_grad;
  uniform_by_columns(a, generator);
  uniform_by_columns(b, generator);
  if (init == "true") uniform_by_columns(a, generator);
  if (init == "gaussian") a.normal_(0, 1 / static_cast<double>(a.size(0)), generator);
  if (init == "orthogonal") return orthogonal(a, b, generator);
  if (init != "false") b.zero_();
}

void initialise_embedding_factors(const at::Tensor& a, const at::Tensor& b, std::string_view init,
                                  at::Generator& generator) {
  const at::NoGradGuard no_grad;
  a.normal_(0, 1, generator);
  b.normal_(0, 1, generator);
  if (init == "false") return;
  a.zero_();
  b.normal_(0, 1, generator);
}

}  // namespace lowrank
