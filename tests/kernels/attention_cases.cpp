#include "kernels/attention_cases.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

namespace lowrank::attention_cases {
namespace {

AttentionShape shape_of(int64_t heads, int64_t kv_heads, int64_t head_dim) {
  return {heads, kv_heads, head_dim, 1.0 / std::sqrt(static_cast<double>(head_dim)), true, 0};
}

Case packed(std::string name, AttentionShape shape, const std::vector<int64_t>& offsets) {
  return {std::move(name), shape, offsets.back(), {}, {}, packed_plan(offsets)};
}

/// Sequences of `lengths` rows that all see `prefix` slots of source 1 before their own rows.
Case with_prefix(std::string name, AttentionShape shape, int64_t prefix,
                 const std::vector<int64_t>& lengths) {
  Case c{std::move(name), shape, 0, {prefix}, {true}, {}};
  for (const int64_t length : lengths) {
    c.plan.queries.push_back({c.rows, length, prefix, static_cast<int64_t>(c.plan.keys.size()), 2});
    c.plan.keys.push_back({1, 0, prefix, 0});
    c.plan.keys.push_back({0, c.rows, length, prefix});
    c.rows += length;
  }
  return c;
}

/// One row per sequence, against its own part of a cache without gradient and itself.
Case decode(std::string name, AttentionShape shape, const std::vector<int64_t>& cached) {
  Case c{std::move(name), shape, static_cast<int64_t>(cached.size()), {0}, {false}, {}};
  for (size_t i = 0; i < cached.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i);
    c.plan.queries.push_back({row, 1, cached[i], 2 * row, 2});
    c.plan.keys.push_back({1, c.extra_rows[0], cached[i], 0});
    c.plan.keys.push_back({0, row, 1, cached[i]});
    c.extra_rows[0] += cached[i];
  }
  return c;
}

void add_sizes(std::vector<Case>& cases) {
  const std::vector<int64_t> offsets{0, 1, 18, 18, 81, 94};
  for (const int64_t head_dim : {8, 16, 24, 32, 40, 64, 80, 96, 128})
    for (const auto& [heads, kv_heads] : {std::pair{9, 3}, {4, 4}, {5, 1}})
      cases.push_back(packed(
          "d" + std::to_string(head_dim) + " " + std::to_string(heads) + "/" + std::to_string(kv_heads),
          shape_of(heads, kv_heads, head_dim), offsets));
}

void add_masks(std::vector<Case>& cases, int64_t head_dim) {
  const std::vector<int64_t> offsets{0, 1, 18, 18, 81, 294};
  AttentionShape shape = shape_of(6, 2, head_dim);
  for (const int64_t window : {1, 5, 64, 1000}) {
    shape.window = window;
    cases.push_back(packed("window " + std::to_string(window), shape, offsets));
  }
  shape.causal = false;
  for (const int64_t window : {1, 5, 64, 1000}) {
    shape.window = window;
    cases.push_back(packed("encoder with window " + std::to_string(window), shape, offsets));
  }
  shape.window = 0;
  cases.push_back(packed("encoder", shape, offsets));
}

/// Scores are of the size of the smaller caps, so that these bend them.
void add_caps(std::vector<Case>& cases) {
  for (const double cap : {0.5, 2.0, 50.0}) {
    AttentionShape shape = shape_of(6, 2, cap == 2.0 ? 16 : 32);
    shape.softcap = cap;
    cases.push_back(packed("capped at " + std::to_string(cap), shape, {0, 1, 18, 18, 81, 294}));
    shape.window = 5;
    shape.causal = false;
    cases.push_back(packed("capped with window", shape, {0, 40}));
    shape = shape_of(9, 3, 64);
    shape.softcap = cap;
    cases.push_back(decode("capped decode", shape, {0, 1, 97, 300}));
    cases.push_back(with_prefix("capped prefix", shape, 20, {31, 1, 66}));
  }
}

void add_long(std::vector<Case>& cases) {
  for (const int64_t head_dim : {24, 32})
    cases.push_back(packed("odd lengths", shape_of(3, 1, head_dim), {0, 1, 4, 11, 28, 61, 126}));
  cases.push_back(packed("long", shape_of(3, 1, 64), {0, 701}));
  cases.push_back(packed("many", shape_of(3, 1, 16), [] {
    std::vector<int64_t> offsets{0};
    for (int64_t i = 0; i < 90; ++i) offsets.push_back(offsets.back() + 1 + i % 7);
    return offsets;
  }()));
}

void add_sources(std::vector<Case>& cases, int64_t head_dim) {
  cases.push_back(with_prefix("prefix", shape_of(9, 3, 64), 20, {31, 1, 66, 17, 90}));
  cases.push_back(decode("decode", shape_of(9, 3, 64), {0, 1, 97, 700, 33}));
  cases.push_back(decode("decode d80", shape_of(4, 4, 80), {5, 300}));
  Case gaps{"gaps and unseen keys", shape_of(4, 2, head_dim), 40, {9}, {true}, {}};
  gaps.plan.queries = {{20, 7, 3, 0, 2}, {5, 4, 0, 2, 1}, {12, 3, 0, 0, 0}, {30, 5, 1, 2, 1}};
  gaps.plan.keys = {{0, 18, 9, 1}, {1, 2, 4, 100}, {1, 1, 6, 2}};  // the second run is in every row's future
  cases.push_back(gaps);
  Case overlap{"overlapping key runs", shape_of(4, 2, head_dim), 60, {30}, {true}, {}};
  overlap.plan.queries = {{0, 20, 30, 0, 2}, {20, 20, 25, 2, 2}, {40, 20, 18, 4, 2}};
  overlap.plan.keys = {{1, 0, 30, 0},   {0, 0, 20, 30}, {1, 0, 25, 0},
                       {0, 20, 20, 25}, {1, 7, 18, 0},  {0, 40, 20, 18}};
  cases.push_back(overlap);
}

/// A prefix tree: the sequences continue others, with keys of all that come before; the deepest chain has
/// more keys than one block takes.
void add_tree(std::vector<Case>& cases, int64_t head_dim) {
  const std::vector<int64_t> counts{3, 1, 40, 17, 70, 5, 33}, parents{-1, 0, 1, 2, 2, 0, 4};
  for (const int64_t window : {0, 30}) {
    Case c{"prefix tree, window " + std::to_string(window), shape_of(6, 2, head_dim), 0, {}, {}, {}};
    c.shape.window = window;
    std::vector<KeyRun> own;
    for (size_t s = 0; s < counts.size(); ++s) {
      const auto first_key_run = static_cast<int64_t>(c.plan.keys.size());
      int64_t position = 0;
      std::vector<KeyRun> chain;
      for (int64_t at = parents[s]; at >= 0; at = parents[at]) chain.insert(chain.begin(), own[at]);
      for (const KeyRun& run : chain) position += run.count;
      own.push_back({0, c.rows, counts[s], position});
      chain.push_back(own.back());
      c.plan.keys.insert(c.plan.keys.end(), chain.begin(), chain.end());
      c.plan.queries.push_back({c.rows, counts[s], position, first_key_run, std::ssize(chain)});
      c.rows += counts[s];
    }
    cases.push_back(c);
  }
}

at::Tensor leaf(const at::Tensor& t, bool grad) {
  return t.detach().set_requires_grad(grad);
}

}  // namespace

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  add_sizes(cases);
  for (const int64_t head_dim : {16, 32}) add_masks(cases, head_dim);
  add_caps(cases);
  add_long(cases);
  for (const int64_t head_dim : {16, 32}) add_sources(cases, head_dim);
  for (const int64_t head_dim : {24, 32}) add_tree(cases, head_dim);
  return cases;
}

Inputs make_inputs(const Case& c, at::ScalarType type) {
  at::Generator generator = at::detail::createCPUGenerator(17);
  const auto random = [&](int64_t rows, int64_t columns) {
    return at::randn({rows, columns}, generator, at::TensorOptions().dtype(at::kFloat)).to(type);
  };
  const AttentionShape& s = c.shape;
  Inputs inputs{leaf(random(c.rows, (s.heads + 2 * s.kv_heads) * s.head_dim), true), {}, {}};
  for (size_t i = 0; i < c.extra_rows.size(); ++i) {
    const int64_t width = s.kv_heads * s.head_dim;
    inputs.extra.push_back({leaf(random(c.extra_rows[i], width), c.extra_grad[i]),
                            leaf(random(c.extra_rows[i], width), c.extra_grad[i])});
  }
  inputs.dout = random(c.rows, s.heads * s.head_dim);
  return inputs;
}

Inputs to_type(const Inputs& inputs, at::ScalarType type) {
  const auto copy = [&](const at::Tensor& t) {
    return leaf(t.detach().to(type, false, true), t.requires_grad());
  };
  Inputs result{copy(inputs.qkv), {}, copy(inputs.dout)};
  for (const KeyValue& source : inputs.extra) result.extra.push_back({copy(source.k), copy(source.v)});
  return result;
}

Result run(Attention attention, const Inputs& inputs, const Case& c) {
  Result result;
  result.out = attention(inputs.qkv, inputs.extra, std::make_shared<AttentionPlan>(c.plan), c.shape);
  std::vector<at::Tensor> leaves{inputs.qkv};
  for (const KeyValue& source : inputs.extra)
    if (source.k.requires_grad()) leaves.insert(leaves.end(), {source.k, source.v});
  result.grads = torch::autograd::grad({result.out}, leaves, {inputs.dout}, true, false, true);
  return result;
}

}  // namespace lowrank::attention_cases
