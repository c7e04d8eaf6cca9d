// Models with experts in fixtures: texts with a cache as transformers continues them, and the forms of their
// GGUF files: gate and up in one tensor, NVFP4 with factors beside the matrices.
#include <algorithm>
#include <array>
#include <atomic>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/max.h>
#include <gtest/gtest.h>

#include "formats/gguf_writer.h"
#include "formats/safetensors.h"
#include "model/checkpoint.h"
#include "model/experts.h"
#include "model/registry.h"
#include "support/expect_error.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

at::Tensor stored_values(const SafetensorsFile& file, const std::string& name, at::ScalarType type) {
  const StoredTensor& tensor = *file.find(name);
  return at::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.shape, type).clone();
}

class ExpertFixture : public testing::TestWithParam<const char*> {};

TEST_P(ExpertFixture, GreedyTextWithACacheIsTransformers) {
  const std::filesystem::path folder = test::fixture("families") / GetParam();
  const SafetensorsFile expected = SafetensorsFile::open(folder / "expected.safetensors");
  const at::Tensor text = stored_values(expected, "greedy", at::kLong);
  const auto checkpoint = Checkpoint::open(folder);
  const auto model = checkpoint->family().load(checkpoint, test::in_f32());
  KvCache cache(1, 64);
  constexpr int64_t prompt = 6;
  const auto* tokens = text.const_data_ptr<int64_t>();
  for (int64_t at = prompt, first = 0; at < text.numel(); first = at++) {
    const std::vector<int64_t> next(tokens + first, tokens + at);
    Batch batch = test::batch_of({{next, next}});
    for (int64_t& position : batch.positions) position += first;
    const at::Tensor logits =
        batch_logits(*model, {&batch}, Hooks(), std::vector<int64_t>{batch.token_count() - 1}, &cache);
    EXPECT_EQ(at::argmax(logits[0]).item<int64_t>(), tokens[at]) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, ExpertFixture, testing::Values("qwen3_5_moe", "gemma4_moe"),
                         [](const auto& info) { return std::string(info.param); });

/// llama.cpp's file of the fixture has them in one tensor.
TEST(ExpertFiles, GateAndUpInOneTensorOfAGgufFileAreThoseOfTheFolder) {
  const auto folder = Checkpoint::open(test::fixture("families/gemma4_moe"));
  const auto file = Checkpoint::open(test::fixture("families/gemma4_moe.gguf"));
  EXPECT_TRUE(file->gguf()->find_tensor("blk.0.ffn_gate_up_exps.weight"));
  for (const TensorRef& tensor : folder->spec().tensors) {
    if (tensor.optional) continue;
    EXPECT_TRUE(at::equal(folder->read(tensor, at::kFloat),
                          file->read(*file->spec().find_tensor(tensor.name), at::kFloat)))
        << tensor.name;
  }
}

/// The matrices of NVIDIA's form, as llama.cpp's converter wrote them; what they are is the gguf package's.
TEST(Nvfp4Factors, MatricesAreTheirBlocksTimesTheirFactors) {
  const auto checkpoint = Checkpoint::open(test::fixture("nvfp4_factors/model.gguf"));
  const SafetensorsFile expected = SafetensorsFile::open(test::fixture("nvfp4_factors/expected.safetensors"));
  size_t compared = 0;
  for (const TensorRef& tensor : checkpoint->spec().tensors) {
    if (!expected.find(tensor.gguf_name)) continue;
    at::Tensor values = stored_values(expected, tensor.gguf_name, at::kFloat);
    if (tensor.expert) values = values[tensor.expert->number];
    EXPECT_TRUE(at::equal(checkpoint->read(tensor, at::kFloat), values)) << tensor.name;
    EXPECT_TRUE(at::equal(checkpoint->read(tensor, at::kBFloat16), values.to(at::kBFloat16))) << tensor.name;
    ++compared;
  }
  EXPECT_EQ(compared, 4 + 3 * 2U);
}

/// The fixture with one tensor in another form.
void write_changed(const std::filesystem::path& path, const std::string& name, const StoredTensor& other) {
  const GgufFile file = GgufFile::open(test::fixture("nvfp4_factors/model.gguf"));
  std::vector<StoredTensor> tensors = file.tensors();
  *std::ranges::find(tensors, name, &StoredTensor::name) = other;
  write_gguf(path, tensors, GgufMetadata(file));
}

TEST(Nvfp4Factors, BadFactorsAreNamed) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "bad.gguf";
  const std::array<float, 3> values{1, 2, std::numeric_limits<float>::quiet_NaN()};
  const auto bytes = std::as_bytes(std::span(values));
  const std::string name = "blk.0.ffn_up_exps.scale";
  write_changed(path, name, {name, DType::f32, {3}, bytes});
  test::expect_error(ErrorKind::invalid, name, "not finite", [&] { Checkpoint::open(path); });
  write_changed(path, name, {name, DType::f32, {1, 2}, bytes.first(8)});
  test::expect_error(ErrorKind::invalid, name, "as F32 values", [&] { Checkpoint::open(path); });
  const std::string one = "blk.0.attn_q.scale";
  write_changed(path, one, {one, DType::f32, {2}, bytes.first(8)});
  const auto checkpoint = Checkpoint::open(path);
  test::expect_error(ErrorKind::invalid, one.c_str(), "2 factors where 1 are", [&] {
    checkpoint->read(*checkpoint->spec().find_tensor("model.layers.0.self_attn.q_proj.weight"), at::kFloat);
  });
  // A factor of nothing is an unknown tensor.
  write_changed(path, one, {"blk.0.attn_x.scale", DType::f32, {1}, bytes.first(4)});
  test::expect_error(ErrorKind::invalid, "blk.0.attn_x.scale", "unexpected", [&] { Checkpoint::open(path); });
}

/// Experts in block formats stay in the file. Products of those that no token of the batch uses do not
/// happen, so their rows are not expanded.
TEST(ExpertFiles, OnlyTheExpertsInUseAreExpanded) {
  const auto checkpoint = Checkpoint::open(test::fixture("nvfp4_factors/model.gguf"));
  LoadOptions options;
  options.compute = at::kFloat;
  ExpertsConfig config;
  config.count = 2;
  config.used = 1;
  config.ff = 64;
  Experts experts = load_experts(*checkpoint, options, config, 0);
  std::array<std::atomic<int64_t>, 2> rows_read{};
  for (size_t e = 0; e < experts.experts.size(); ++e) {
    for (Linear* linear : {&experts.experts[e].gate_up, &experts.experts[e].down}) {
      ASSERT_EQ(linear->runs.size(), 1U);
      std::shared_ptr<const PreparedWeight>& weight = linear->runs.front().weight;
      EXPECT_EQ(weight->bytes(), 0);
      const RowSource counted = [&rows_read, e, inner = weight](int64_t begin, int64_t end, at::Tensor& out) {
        rows_read[e] += end - begin;
        out.copy_(inner->rows(begin, end, out.scalar_type()));
      };
      weight = std::make_shared<const PreparedWeight>(
          PreparedWeight::expanded(counted, weight->out(), weight->in(), weight->type()));
    }
  }
  const Batch batch;
  const Context context{&batch};
  const SequenceLayout layout;
  // A token that the router gives to its first expert, and its opposite.
  const at::Tensor direction = experts.router_value[0] - experts.router_value[1];
  apply(experts, {context, layout, 0}, Hooks(), direction.unsqueeze(0).repeat({3, 1}));
  EXPECT_EQ(rows_read[0], 3 * 64);
  EXPECT_EQ(rows_read[1], 0);
  apply(experts, {context, layout, 0}, Hooks(), -direction.unsqueeze(0));
  EXPECT_EQ(rows_read[0], 3 * 64);
  EXPECT_EQ(rows_read[1], 3 * 64);
}

}  // namespace
}  // namespace lowrank
