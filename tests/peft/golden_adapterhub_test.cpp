// Adapters that AdapterHub's `adapters` wrote, on GPT-2 and BERT: loss, logits, gradient norms, and the same
// files again.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "formats/block_formats.h"
#include "formats/safetensors.h"
#include "kernels/operations/adamw.h"
#include "model/registry.h"
#include "peft/core/registry.h"
#include "peft/files/adapter_contents.h"
#include "peft/files/adapter_reader.h"
#include "peft/files/adapterhub_file.h"
#include "support/load_forms.h"
#include "support/places.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

/// A method on a model whose classifier is in a separate file.
struct WithClassifier : Hooks {
  WithClassifier(const Hooks& of, const std::filesystem::path& path)
      : method(of), file(SafetensorsFile::open(path)) {}
  at::Tensor weight(const Context&, const TensorRef& tensor) const override {
    const StoredTensor& stored = *file.find(tensor.name.substr(tensor.name.rfind('.') + 1));
    at::Tensor value = at::empty(stored.shape, at::kFloat);
    expand(stored.dtype, stored.bytes, {value.mutable_data_ptr<float>(), static_cast<size_t>(value.numel())});
    return value;
  }
  at::Tensor branch_end(const Place& place, const Site& site, const at::Tensor& in,
                        const at::Tensor& out) const override {
    return method.branch_end(place, site, in, out);
  }
  HiddenState layer_end(const Place& place, HiddenState hidden) const override {
    return method.layer_end(place, std::move(hidden));
  }

  const Hooks& method;
  SafetensorsFile file;
};

/// An adapter of the golden folders on its base model.
struct Golden {
  std::filesystem::path folder;
  nlohmann::json expected;
  std::shared_ptr<const Checkpoint> checkpoint;
  Adapter adapter;
  std::unique_ptr<Model> model;
  std::unique_ptr<Hooks> hooks;  ///< for BERT; else the method's
  Batch batch;

  const Hooks& acting() const { return hooks ? *hooks : *adapter.method; }
};

std::optional<std::filesystem::path> adapterhub_base(const std::string& name) {
  return name == "gpt2" ? std::optional(test::fixture("golden/base_gpt2")) : test::minilm();
}

/// nullopt if the base is missing.
std::optional<Golden> open_golden(
    const std::string& name, const std::filesystem::path& adapter,
    const std::function<Adapter(const std::filesystem::path&, const Checkpoint&)>& load) {
  Golden golden;
  golden.folder = test::fixture("golden/" + name) / adapter;
  golden.expected = read_json_file(test::fixture("golden/" + name) / "expected.json", 1 << 20);
  const bool bert = golden.expected["base"] == "bert";
  const auto path = adapterhub_base(golden.expected["base"]);
  if (!path) return std::nullopt;
  golden.checkpoint = Checkpoint::open(*path, bert ? std::optional(LabelSet{{"0", "1"}}) : std::nullopt);
  golden.adapter = load(golden.folder, *golden.checkpoint);
  LoadOptions options = test::in_f32();
  options.training = true;
  options.use = [uses = uses_of(golden.adapter.plan)](const TensorRef& tensor) {
    return tensor.name.starts_with("classifier.") ? TensorUse::trained : uses(tensor);
  };
  golden.model = golden.checkpoint->family().load(golden.checkpoint, options);
  if (bert) {
    golden.hooks = std::make_unique<WithClassifier>(*golden.adapter.method,
                                                    test::fixture("golden/base_bert/classifier.safetensors"));
  }
  Example example{golden.expected["input_ids"], golden.expected["labels"], 1};
  if (bert) example.label = example.labels[0];
  golden.batch = test::batch_of({example});
  return golden;
}

void expect_scores(const Golden& golden) {
  const at::NoGradGuard no_grad;
  const Context context{&golden.batch};
  const int64_t last[] = {golden.batch.token_count() - 1};
  const at::Tensor scores = golden.checkpoint->spec().labels
                                ? sequence_scores(*golden.model, context, golden.acting())[0]
                                : batch_logits(*golden.model, context, golden.acting(), last, nullptr)[0];
  const nlohmann::json& top = golden.expected["top8"];
  for (size_t i = 0; i < top["indices"].size(); ++i)
    EXPECT_NEAR(scores[top["indices"][i].get<int64_t>()].item<double>(), top["values"][i].get<double>(),
                1e-4);
}

void expect_loss_and_gradients(const Golden& golden) {
  const Adapter& adapter = golden.adapter;
  EXPECT_EQ(adapter.parameters->count(), golden.expected["trainable_parameters"].get<int64_t>());
  adapter.parameters->zero_gradients();
  adapter.method->begin_step({});
  const auto targets = static_cast<double>(golden.batch.targets.count());
  const at::Tensor loss = batch_loss(*golden.model, {&golden.batch, true}, golden.acting()).loss / targets;
  EXPECT_NEAR(loss.item<double>(), golden.expected["loss"].get<double>(), 1e-5);
  loss.backward();
  for (const nlohmann::json& norm : golden.expected["grad_norms"]) {
    const at::Tensor gradient = adapter.parameters->at(norm["name"].get<std::string>()).grad();
    const auto l2 = norm["l2"].get<double>();
    EXPECT_NEAR(gradient.norm().item<double>(), l2, 1e-3 * l2) << norm["name"];
  }
  const auto all = golden.expected["grad_norm_all"].get<double>();
  EXPECT_NEAR(std::sqrt(squared_norm(adapter.parameters->gradients())), all, 1e-3 * all);
}

/// The adapter, saved again, has the same files as those of `folder`.
void expect_same_files(const std::filesystem::path& saved, const std::filesystem::path& folder,
                       const AdapterFileNames& files) {
  const nlohmann::json config = read_json_file(folder / files.config, 1 << 20);
  EXPECT_EQ(read_json_file(saved / files.config, 1 << 20), config);
  const SafetensorsFile expected = SafetensorsFile::open(folder / files.tensors);
  const SafetensorsFile found = SafetensorsFile::open(saved / files.tensors);
  EXPECT_EQ(found.tensors().size(), expected.tensors().size());
  for (const StoredTensor& tensor : expected.tensors()) {
    const StoredTensor* same = found.find(tensor.name);
    ASSERT_NE(same, nullptr) << tensor.name;
    EXPECT_EQ(same->shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(same->bytes, tensor.bytes)) << tensor.name;
  }
}

Adapter load(const std::filesystem::path& folder, const Checkpoint& base) {
  return load_adapter(folder, base);
}

struct AdapterHubCase {
  const char* folder;
  const char* method;
};

class GoldenAdapterHub : public testing::TestWithParam<AdapterHubCase> {};

TEST_P(GoldenAdapterHub, LossLogitsGradientsAndFilesAreItsOwn) {
  const auto golden = open_golden(GetParam().folder, "", load);
  if (!golden) GTEST_SKIP() << "LOWRANK_MINILM names no MiniLM folder (tools/setup minilm)";
  EXPECT_EQ(golden->adapter.info->name, GetParam().method);
  expect_loss_and_gradients(*golden);
  expect_scores(*golden);
  const test::TemporaryFolder saved;
  const nlohmann::json config = read_json_file(golden->folder / "adapter_config.json", 1 << 20);
  save_adapter(saved.path(), golden->adapter, config["model_name"]);
  nlohmann::json own = read_json_file(saved.path() / "adapter_config.json", 1 << 20);
  if (golden->expected["base"] == "bert") {
    // MiniLM's folder names the plain encoder.
    own["model_class"] = config["model_class"];
    write_file_atomically(saved.path() / "adapter_config.json", own.dump());
  }
  expect_same_files(saved.path(), golden->folder, adapterhub_files);
}

INSTANTIATE_TEST_SUITE_P(Folders, GoldenAdapterHub,
                         testing::Values(AdapterHubCase{"adhub_gpt2_double_seq_bn", "houlsby"},
                                         AdapterHubCase{"adhub_gpt2_seq_bn", "pfeiffer"},
                                         AdapterHubCase{"adhub_gpt2_seq_bn_drop", "pfeiffer"},
                                         AdapterHubCase{"adhub_gpt2_lin", "lin_adapter"},
                                         AdapterHubCase{"adhub_gpt2_par_bn", "parallel_adapter"},
                                         AdapterHubCase{"adhub_gpt2_compacter", "compacter"},
                                         AdapterHubCase{"adhub_bert_double_seq_bn", "houlsby"},
                                         AdapterHubCase{"adhub_bert_seq_bn", "pfeiffer"}),
                         [](const auto& info) { return std::string(info.param.folder); });

TEST(GoldenFusion, LossLogitsAndFilesAreItsOwn) {
  const auto golden = open_golden("adhub_gpt2_fusion", "fusion", load);
  ASSERT_TRUE(golden);
  EXPECT_EQ(golden->adapter.info->name, "adapter_fusion");
  const auto targets = static_cast<double>(golden->batch.targets.count());
  const at::Tensor loss = batch_loss(*golden->model, {&golden->batch}, golden->acting()).loss / targets;
  EXPECT_NEAR(loss.item<double>(), golden->expected["loss"].get<double>(), 1e-5);
  EXPECT_NEAR(golden->adapter.method->regularizer().item<double>(),
              golden->expected["fusion_regularization_loss"].get<double>(), 1e-5);
  expect_scores(*golden);
  const test::TemporaryFolder saved;
  save_adapter(saved.path(), golden->adapter, "golden/base_gpt2");
  expect_same_files(saved.path(), golden->folder, fusion_files);
  for (const char* member : {"a", "b"})
    expect_same_files(saved.path() / member, golden->folder.parent_path() / member, adapterhub_files);
}

/// The folder's own values with trainable members, as when its gradient norms were computed.
TEST(GoldenFusion, GradientsOfAllItsPartsAreItsOwn) {
  const auto golden = open_golden(
      "adhub_gpt2_fusion", "fusion", [](const std::filesystem::path& folder, const Checkpoint& base) {
        const MethodInfo& info = method_named("adapter_fusion");
        std::unique_ptr<Method> method = info.make();
        const std::filesystem::path members = folder.parent_path();
        apply(method->fields(),
              {{"members", {(members / "a").string(), (members / "b").string()}}, {"train_members", true}},
              "test");
        Adapter adapter = make_adapter(info, std::move(method), base);
        load_parameters(read_adapterhub_folder(folder, base.spec()), adapter.plan, base.spec(),
                        *adapter.parameters);
        return adapter;
      });
  ASSERT_TRUE(golden);
  expect_loss_and_gradients(*golden);
}

}  // namespace
}  // namespace lowrank
