#include "peft/files/low_rank_adapter.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "peft/core/registry.h"
#include "peft/core/trained_tensors.h"
#include "peft/low_rank/low_rank_config.h"

namespace lowrank {
namespace {

nlohmann::json config_of(const LowRankParts& parts) {
  LowRankOptions options = low_rank_options(parts.updates);
  options.modules_to_save = parts.modules_to_save;
  options.bias = parts.bias;
  options.ensure_weight_tying = parts.tied;
  std::vector<const Module*> modules;
  for (const LowRankUpdate& update : parts.updates) modules.push_back(update.module);
  return write_low_rank_config(options, modules);
}

}  // namespace

Adapter make_low_rank_adapter(const Checkpoint& base, const LowRankParts& parts) {
  const at::NoGradGuard no_grad;
  const MethodInfo& info = method_named("lora");
  std::unique_ptr<Method> method = info.make();
  method->form().read_config(config_of(parts), "the new adapter");
  Adapter adapter = plan_adapter(info, std::move(method), base.spec());
  give_parameters(adapter, base);
  const LowRankForm form = adapter.method->low_rank_form();
  for (const LowRankUpdate& update : parts.updates) {
    const auto own = std::ranges::find(form.updates, update.module, &LowRankUpdate::module);
    check(own != form.updates.end(), ErrorKind::invalid, "{} cannot have an update beside `modules_to_save`",
          update.module->name);
    at::Tensor a = own->a, b = own->b;
    a.copy_(update.a);
    b.copy_(update.b);
  }
  const TrainedTensors& whole = *adapter.method->trained_beside();
  for (const std::string& name : whole.names()) {
    const TensorRef& tensor = *base.spec().find_tensor(name);
    std::optional<at::Tensor> value = whole.value(tensor);
    value->copy_(base.start(base.source(tensor), 0));
  }
  return adapter;
}

}  // namespace lowrank
