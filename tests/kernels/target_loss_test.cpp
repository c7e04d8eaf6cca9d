// The chunked loss of targets: each target's own loss is differentiable, whatever its incoming gradient, with
// a frozen head and with a trained one.
#include "kernels/losses/target_loss.h"

#include <tuple>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "kernels/tensor_error.h"

namespace lowrank {
namespace {

/// 210 targets at 9 rows, with a vocabulary for which a chunk holds 209.
struct Chunked {
  static constexpr int64_t count = 210, vocabulary = 40000, width = 16;
  at::Tensor x = at::randn({9, width}), w = at::randn({vocabulary, width}) * 0.3;
  at::Tensor rows = at::randint(9, {count}, at::kLong);
  at::Tensor targets = at::randint(vocabulary, {count}, at::kLong);
  /// Both signs, and zeros.
  at::Tensor incoming = at::linspace(-1, 1, count).clamp_min(-0.5);
  double cap = 0;  ///< of the logits
  double smoothing = 0;

  double loss_in_f64(const at::Tensor& hidden, const at::Tensor& head) const {
    const at::NoGradGuard no_grad;
    const at::Tensor weights = at::ones({count});
    const at::Tensor nll =
        target_loss_reference(hidden, rows, targets, weights, head, {}, {cap, smoothing}).nll;
    return at::dot(nll, incoming.to(at::kDouble)).item<double>();
  }

  /// Central difference in f64 at value `i` of the hidden state or of the head.
  double slope(bool of_head, int64_t i) const {
    constexpr double step = 1e-4;
    double sides[2];
    for (const int side : {0, 1}) {
      at::Tensor hidden = x.to(at::kDouble), head = w.to(at::kDouble);
      (of_head ? head : hidden).view({-1})[i] += side == 0 ? step : -step;
      sides[side] = loss_in_f64(hidden, head);
    }
    return (sides[0] - sides[1]) / (2 * step);
  }

  /// Compares the gradients with slopes at some values, including those of targets.
  void expect_slopes(const at::Tensor& of_hidden, const at::Tensor& of_head, double close) const {
    for (int64_t i = 0; of_hidden.defined() && i < x.numel(); i += 11)
      EXPECT_NEAR(of_hidden.view({-1})[i].item<double>(), slope(false, i), close) << "hidden " << i;
    for (int64_t n = 0; of_head.defined() && n < count; n += 41) {
      const int64_t i = targets[n].item<int64_t>() * width + n % width;
      EXPECT_NEAR(of_head.view({-1})[i].item<double>(), slope(true, i), close) << "head " << i;
    }
  }
};

/// Whether the hidden state needs a gradient, the logits' cap, and the smoothing of the targets.
const std::vector<std::tuple<bool, double, double>> loss_forms = {
    {true, 0, 0}, {false, 0, 0}, {true, 2, 0}, {true, 0, 0.1}, {false, 0, 0.4}, {true, 2, 0.1}};

TEST(TargetLoss, UnevenGradientsReachTheHiddenState) {
  Chunked in;
  for (const double smoothing : {0.0, 0.1, 0.9}) {
    in.smoothing = smoothing;
    const at::Tensor a = leaf(in.x);
    const TargetLoss found =
        target_loss(a, in.rows, in.targets, at::ones({Chunked::count}), in.w, {}, {0, smoothing});
    found.nll.backward(in.incoming);
    in.expect_slopes(a.grad(), {}, 1e-4);
  }
}

/// The definition that torch and transformers share: (1 - e) times the negative log-likelihood of the target,
/// and e times the mean of those of all tokens.
TEST(TargetLoss, SmoothingMixesTheTargetWithAllTokens) {
  const at::Tensor x = at::randn({5, 8}), w = at::randn({37, 8});
  const at::Tensor rows = at::arange(5, at::kLong), targets = at::randint(37, {5}, at::kLong);
  const at::Tensor log_p = at::log_softmax(at::mm(x, w.t()).to(at::kDouble), 1);
  const at::Tensor expected =
      0.7 * -at::gather(log_p, 1, targets.unsqueeze(1)).squeeze(1) - 0.3 * log_p.mean(1);
  const at::Tensor weights = at::rand({5});
  const TargetLoss found = target_loss(x, rows, targets, weights, w, {}, {0, 0.3});
  EXPECT_LT(relative(found.nll, expected), 1e-6);
  EXPECT_NEAR(found.loss.item<double>(), at::dot(expected, weights.to(at::kDouble)).item<double>(), 1e-5);
}

TEST(TargetLoss, UnevenGradientsReachAHeadThatTrains) {
  Chunked in;
  for (const auto& [moves_hidden, cap, smoothing] : loss_forms) {
    in.cap = cap;
    in.smoothing = smoothing;
    at::Tensor a = leaf(in.x);
    const at::Tensor head = leaf(in.w);
    a.set_requires_grad(moves_hidden);
    const TargetLoss found =
        target_loss(a, in.rows, in.targets, at::ones({Chunked::count}), head, {}, {cap, smoothing});
    found.nll.backward(in.incoming);
    in.expect_slopes(moves_hidden ? a.grad() : at::Tensor(), head.grad(), 1e-4);
  }
}

TEST(TargetLoss, UnevenGradientsInBf16AreThoseOfF32) {
  const Chunked in;
  const at::Tensor rounded = in.x.to(at::kBFloat16), head = in.w.to(at::kBFloat16).to(at::kFloat);
  const at::Tensor a = leaf(rounded), h = leaf(head), b = leaf(rounded.to(at::kFloat)), g = leaf(head);
  const at::Tensor ones = at::ones({Chunked::count});
  target_loss(a, in.rows, in.targets, ones, h, {}).nll.backward(in.incoming);
  target_loss(b, in.rows, in.targets, ones, g, {}).nll.backward(in.incoming);
  EXPECT_LT(relative(a.grad(), b.grad()), 3e-2);
  EXPECT_LT(relative(h.grad(), g.grad()), 3e-2);
}

TEST(TargetLoss, AHeadThatTrainsHasAGradientToo) {
  for (const bool moves_hidden : {true, false}) {
    const at::Tensor x = at::randn({9, 16});
    const at::Tensor w = at::randn({40000, 16}) * 0.3;  // of 210 targets, a chunk holds 209
    const at::Tensor chosen = at::randint(9, {210}, at::kLong);
    const at::Tensor targets = at::randint(40000, {210}, at::kLong);
    const at::Tensor weights = at::rand({210});
    at::Tensor a = leaf(x), b = leaf(x), head = leaf(w), other = leaf(w);
    a.set_requires_grad(moves_hidden);
    (target_loss(a, chosen, targets, weights, head, {}).loss * 0.25).backward();
    (target_loss_reference(b, chosen, targets, weights, other, {}).loss * 0.25).backward();
    EXPECT_LT(relative(head.grad(), other.grad()), 2e-5);
    if (moves_hidden) {
      EXPECT_LT(relative(a.grad(), b.grad()), 2e-5);
    }
  }
}

/// Two low-rank patches on a head of 40,000 rows, each for its own tokens, of which a chunk holds 209.
std::vector<Patch> token_patches(const at::Tensor& a, const at::Tensor& b) {
  Patch first;
  first.A = a;
  first.B = b;
  first.scale = 0.7;
  first.end = b.size(0);
  first.end_token = 100;
  Patch second = first;
  second.scale = -1.3;
  second.first_token = 205;
  second.end_token = Patch::all_tokens;
  return {first, second};
}

TEST(TargetLoss, AHeadThatIsPatchedIsComputedInChunks) {
  for (const auto& [moves_hidden, cap, smoothing] : loss_forms) {
    const at::Tensor x = at::randn({9, 16}), w = at::randn({40000, 16}) * 0.3;
    const at::Tensor down = at::randn({3, 16}), up = at::randn({40000, 3});
    const at::Tensor chosen = at::randint(9, {430}, at::kLong);
    const at::Tensor targets = at::randint(40000, {430}, at::kLong);
    const at::Tensor weights = at::rand({430});
    at::Tensor h = leaf(x), a = leaf(down), b = leaf(up), h2 = leaf(x), a2 = leaf(down), b2 = leaf(up);
    h.set_requires_grad(moves_hidden);
    const TargetLoss found =
        target_loss(h, chosen, targets, weights, w, token_patches(a, b), {cap, smoothing});
    const TargetLoss expected =
        target_loss_reference(h2, chosen, targets, weights, w, token_patches(a2, b2), {cap, smoothing});
    EXPECT_LT(relative(found.nll.detach(), expected.nll.detach()), 1e-6);
    found.loss.backward();
    expected.loss.backward();
    EXPECT_LT(relative(a.grad(), a2.grad()), 1e-5);
    EXPECT_LT(relative(b.grad(), b2.grad()), 1e-5);
    if (moves_hidden) {
      EXPECT_LT(relative(h.grad(), h2.grad()), 1e-5);
    }
  }
}

}  // namespace
}  // namespace lowrank
