#include "session/session.h"

#include <ATen/Parallel.h>

#include "base/error.h"
#include "base/log.h"
#include "kernels/core/cuda_library.h"
#include "kernels/core/device.h"
#include "model/linear.h"
#include "peft/files/adapter_labels.h"
#include "session/failures.h"
#include "session/places.h"
#include "session/run_report.h"

namespace lowrank {

namespace {

Field device_field(std::string& device) {
  Field made = field("device", device,
                     "where to compute: auto or cpu, or an NVIDIA GPU, cuda or cuda:N; several "
                     "processes take one GPU each with cuda");
  made.type_name = "auto|cpu|cuda|cuda:N";
  made.set = [inner = std::move(made.set)](const nlohmann::json& value) {
    check(!value.is_string() || is_device_name(value.get<std::string>()), ErrorKind::invalid,
          "device must be auto, cpu, cuda or cuda:N (a number from 0), not {}", value.dump());
    inner(value);
  };
  return made;
}

/// Errors: invalid where the device does not have room for the base's tensors and what a plan trains. A table
/// of embeddings stays in the file, unless it is also the head.
void check_room(const Checkpoint& checkpoint, const LoadOptions& load, const TrainPlan* plan) {
  const ModelSpec& spec = checkpoint.spec();
  int64_t bytes = plan && load.training ? state_bytes(parameter_count(*plan)) : 0;
  for (const TensorRef& tensor : spec.tensors) {
    const bool on_device = tensor.role == Role::embedding ? spec.tied_head : !tensor.optional;
    const bool dense = tensor.role == Role::embedding || tensor.role == Role::head ||
                       load.use_of(tensor) != TensorUse::frozen;
    if (!on_device) continue;
    bytes +=
        dense ? element_count(tensor.shape).value_or(0) * static_cast<int64_t>(c10::elementSize(load.compute))
              : device_bytes(checkpoint, load, tensor);
  }
  const int64_t free = free_cuda_bytes(load.device.index());
  if (bytes <= free) return;
  throw Error(
      ErrorKind::invalid,
      fmt::format("device {}: the model's weights and what is trained take {:.1f} GB there, of which {:.1f} "
                  "GB are free",
                  load.device.str(), static_cast<double>(bytes) / 1e9, static_cast<double>(free) / 1e9),
      load.base_memory() == BaseMemory::small ? "free memory there, or compute on the CPU with `device` cpu"
                                              : "keep a quantised base's blocks there with `base_memory` "
                                                "small, or round it with `base_format` nf4, "
                                                "or compute on the CPU with `device` cpu");
}

}  // namespace

std::vector<Field> SessionOptions::fields() {
  return {
      model_field(model),
      one_of(
          field(
              "dtype", dtype,
              "type of the matrix products; auto: bf16 if the processor has fast bf16 products, or on a GPU"),
          {"auto", "f32", "bf16"}),
      device_field(device),
      one_of(
          field("base_memory", base_memory,
                "one: a single copy of each weight for both products; fast: two packed copies; small: "
                "none, weights are expanded for each product; blocks: none, those of a quantised GGUF file "
                "are multiplied in its blocks with inputs rounded to 8 bits, without gradients (with them: "
                "small); auto: one (with nf4: small). On a GPU: one, or small, which keeps the blocks there"),
          {"auto", "fast", "one", "small", "blocks"}),
      one_of(field("base_format", base_format,
                   "nf4: frozen linear layers are rounded to 4 bits with double quantisation (QLoRA)"),
             {"own", "nf4"}),
      limited(field("threads", threads, "number of threads; 0: one per core, or OMP_NUM_THREADS"), 0, 4096),
  };
}

std::shared_ptr<const Checkpoint> open_model(const SessionOptions& options,
                                             const std::optional<LabelSet>& labels) {
  if (options.model.empty()) throw MissingOption("missing `model`: a Hugging Face folder or a GGUF file");
  check_model_place(options.model);
  device_named(options.device);  // libtorch must not be used before it knows of a GPU
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
  return open_told(options.model, labels);
}

std::shared_ptr<const Checkpoint> open_told(const std::string& path, const std::optional<LabelSet>& labels) {
  auto checkpoint = Checkpoint::open(path, labels);
  for (const std::string& note : checkpoint->notes()) warn("{}", note);
  return checkpoint;
}

LoadOptions load_options(const SessionOptions& options) {
  LoadOptions load;
  load.device = device_named(options.device);
  if (!load.device.is_cpu()) load.compute = at::kBFloat16;
  if (options.dtype == "f32") load.compute = at::kFloat;
  if (options.dtype == "bf16") load.compute = at::kBFloat16;
  if (options.base_memory == "fast") load.memory = BaseMemory::fast;
  if (options.base_memory == "one") load.memory = BaseMemory::one;
  if (options.base_memory == "small") load.memory = BaseMemory::small;
  if (options.base_memory == "blocks") load.memory = BaseMemory::blocks;
  load.nf4 = options.base_format == "nf4";
  const BaseMemory memory = load.base_memory();
  check(load.device.is_cpu() || memory == BaseMemory::one || memory == BaseMemory::small,
        ErrorKind::unsupported,
        "base_memory {} is for the CPU: a GPU holds one copy of each weight, or its blocks with small",
        options.base_memory);
  return load;
}

std::unique_ptr<Model> load_model(const std::shared_ptr<const Checkpoint>& checkpoint,
                                  const SessionOptions& options, const TrainPlan* plan, bool training,
                                  std::function<RowSource(const TensorRef&)> rows_elsewhere) {
  LoadOptions load = load_options(options);
  load.training = training;
  load.rows_elsewhere = std::move(rows_elsewhere);
  if (plan) load.use = uses_of(*plan);
  if (load.device.is_cuda()) check_room(*checkpoint, load, plan);
  std::unique_ptr<Model> model = checkpoint->family().load(checkpoint, load);
  checkpoint->forget_pages();
  return model;
}

Adapter load_told_adapter(const std::string& path, const Checkpoint& checkpoint) {
  Adapter adapter = load_adapter(path, checkpoint);
  for (const std::string& note : adapter.notes) warn("{}", note);
  return adapter;
}

Adapter load_running_adapter(const std::string& path, const Checkpoint& checkpoint,
                             const SessionOptions& options) {
  Adapter adapter = load_told_adapter(path, checkpoint);
  move_adapter(adapter, device_named(options.device));
  return adapter;
}

OpenSession open_session(const SessionOptions& options, const std::string& adapter) {
  OpenSession session;
  session.adapter_path = adapter;
  if (!adapter.empty()) check_adapter_place(adapter);
  session.checkpoint = open_model(options, adapter.empty() ? std::nullopt : read_adapter_labels(adapter));
  if (!adapter.empty()) session.adapter = load_running_adapter(adapter, *session.checkpoint, options);
  session.model =
      load_model(session.checkpoint, options, session.adapter ? &session.adapter->plan : nullptr, false);
  if (session.adapter) session.ready = InferenceHooks(*session.adapter);
  return session;
}

namespace {

struct NamedAdapter {
  std::string name, path;
};

/// Splits NAME=FOLDER; nullopt if the whole is an existing path, or has no name.
std::optional<NamedAdapter> named(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || std::filesystem::exists(text)) return std::nullopt;
  return NamedAdapter{text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace

std::function<int64_t(const std::string&)> OpenSession::adapter_number() const {
  if (!bank) return nullptr;
  return [this](const std::string& name) { return bank->number_of(name); };
}

std::string adapter_path(const std::string& given) {
  const auto one = named(given);
  return one ? one->path : given;
}

OpenSession open_session(const SessionOptions& options, const std::vector<std::string>& adapters) {
  if (adapters.empty()) return open_session(options, std::string());
  if (adapters.size() == 1 && !named(adapters.front())) return open_session(options, adapters.front());
  OpenSession session;
  session.bank = std::make_unique<AdapterBank>();
  for (const std::string& text : adapters) {
    const auto one = named(text);
    check(one.has_value(), ErrorKind::invalid,
          "`adapter` {}: several adapters are given as NAME=FOLDER, and each row names its own", text);
    check_adapter_place(one->path);
  }
  session.checkpoint = open_model(options);
  for (const std::string& text : adapters) {
    const auto one = named(text);
    session.bank->add(one->name, load_running_adapter(one->path, *session.checkpoint, options));
  }
  session.ready = InferenceHooks(*session.bank);
  session.model = load_model(session.checkpoint, options, nullptr, false);
  return session;
}

}  // namespace lowrank
