#include "session/adapters/export_lora.h"

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "peft/files/adapter_labels.h"
#include "peft/files/gguf_lora.h"
#include "session/session.h"

namespace lowrank {

void keep_if_same(const std::string& output, const ModelDifference& difference,
                  const ModelDifference& effect) {
  // Of the adapter's effect, and of the logits for rounding alone.
  constexpr double share_of_effect = 1e-2, rounding = 1e-5;
  const double most = share_of_effect * effect.distance + rounding * difference.size;
  if (std::isfinite(difference.largest) && difference.distance <= most) return;
  std::error_code ignored;
  std::filesystem::remove(output, ignored);
  fail(ErrorKind::invalid,
       "{}: read back, its logits differ from the adapter's by {:.3g}, root mean square {:.3g}, where the "
       "adapter "
       "changes the base's by {:.3g}; it is not kept",
       output, difference.largest, difference.distance, effect.distance);
}

ExportedLora export_gguf_lora(const std::string& model, const std::string& adapter, const std::string& output,
                              bool checked) {
  const auto checkpoint = open_told(model, read_adapter_labels(adapter));
  const Adapter given = load_told_adapter(adapter, *checkpoint);
  const GgufLoraResult written = write_gguf_lora(*checkpoint, given, output, Existing::kept);
  ExportedLora result{written.modules, written.bytes};
  if (!checked) return result;
  try {
    SessionOptions options;
    options.model = model;
    options.dtype = "f32";
    const Adapter read = load_adapter(output, *checkpoint);
    const std::unique_ptr<Model> loaded = load_model(checkpoint, options, &given.plan, false);
    result.difference = compare_adapters(*loaded, given, &read);
    result.effect = compare_adapters(*loaded, given, nullptr);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(output, ignored);
    throw;
  }
  keep_if_same(output, *result.difference, *result.effect);
  return result;
}

}  // namespace lowrank
