#include "fuzz/input_files.h"
#include "fuzz/mutate_gguf.h"
#include "fuzz/mutate_json.h"
#include "fuzz/small_run.h"
#include "fuzz/target.h"
#include "peft/files/adapter_labels.h"
#include "peft/merge/merge_plan.h"

namespace lowrank::fuzz {
namespace {

/// The first byte chooses the base; the files follow.
const std::vector<std::string> bases = {"tiny_llama/bf16", "tiny_decoders/gpt2", "tiny_encoders/bert",
                                        "tiny_decoders/qwen3.gguf"};
const std::vector<std::string> adapter_names = {"adapter_config.json",
                                                "adapter_model.safetensors",
                                                "adapters.safetensors",
                                                "adapter.safetensors",
                                                "head_config.json",
                                                "model_head.safetensors",
                                                "adapter_fusion_config.json",
                                                "encoder_state.safetensors",
                                                "model_adapter_fusion.safetensors",
                                                "labels.json",
                                                "adapters.json",
                                                "adapter.gguf"};

struct Base {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
};

std::filesystem::path path_of(size_t base) {
  return std::filesystem::path(LOWRANK_FIXTURES) / bases[base];
}

const Base& base_of(size_t chosen) {
  prepare_small_runs();
  static std::vector<Base> opened(bases.size());
  Base& base = opened[chosen];
  if (!base.model) {
    base.checkpoint = Checkpoint::open(path_of(chosen));
    base.model = base.checkpoint->family().load(base.checkpoint, {});
  }
  return base;
}

void use(const Adapter& adapter, const Base& base) {
  forward(*base.model, *adapter.method);
  answers([&] {
    for (const MergeOutput& output : merge_plan(*base.checkpoint, *adapter.method).outputs) {
      if (output.changed) (void)merged_values(*base.checkpoint, *adapter.method, output);
    }
  });
  answers([&] { (void)adapter.method->form().config().dump(); });
  answers([&] { (void)adapter.method->low_rank_form(); });
}

void run_adapter(std::string_view input) {
  if (input.empty()) return;
  const std::vector<std::string> files = unpack(input.substr(1), adapter_names.size());
  for (size_t i = 0; i < files.size(); ++i) {
    if (adapter_names[i].ends_with(".json") && holds_number_above(files[i], largest_number)) return;
  }
  write_files("adapter", adapter_names, files);
  const size_t chosen = static_cast<uint8_t>(input[0]) % bases.size();
  const auto path =
      files[0].empty() && !files.back().empty() ? folder("adapter") / "adapter.gguf" : folder("adapter");
  answers([&] {
    if (const auto labels = read_adapter_labels(path)) {
      (void)load_adapter(path, *Checkpoint::open(path_of(chosen), labels));
    } else {
      const Base& base = base_of(chosen);
      use(load_adapter(path, *base.checkpoint), base);
    }
  });
}

void mutate_file(const std::string& name, std::string& file, Mutation& mutation) {
  if (name.ends_with(".json")) {
    file = changed_json(file, mutation);
  } else if (name.ends_with(".gguf")) {
    file = changed_gguf(file, mutation);
  } else {
    file = mutation.once_in(3) ? mutation.changed(std::move(file)) : changed_safetensors(file, mutation);
  }
}

std::string mutate_adapter(std::string_view input, Mutation& mutation) {
  if (input.empty() || mutation.once_in(10)) return mutation.changed(std::string(input));
  std::vector<std::string> files = unpack(input.substr(1), adapter_names.size());
  std::vector<size_t> present;
  for (size_t i = 0; i < files.size(); ++i) {
    if (!files[i].empty()) present.push_back(i);
  }
  for (size_t times = 1 + mutation.below(3); times > 0 && !present.empty(); --times) {
    const size_t chosen = present[mutation.below(mutation.once_in(2) ? 1 : present.size())];
    mutate_file(adapter_names[chosen], files[chosen], mutation);
  }
  const char base = mutation.once_in(50) ? static_cast<char>(mutation.below(bases.size())) : input[0];
  return base + pack(files);
}

}  // namespace

extern const Target adapter_target;
const Target adapter_target{run_adapter, mutate_adapter};

}  // namespace lowrank::fuzz
