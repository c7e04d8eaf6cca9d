#include "session/fine_tune/base_sharing.h"

#include "base/error.h"
#include "base/log.h"
#include "train/ranks/shared_base.h"

namespace lowrank {

void settle_shared_base(SessionOptions& options) {
  check(!options.device.starts_with("cuda"), ErrorKind::unsupported,
        "`shard_base` shares out a base in memory of the CPU; leave it or `device` {} away", options.device);
  check(options.base_format == "own", ErrorKind::unsupported,
        "`shard_base` shares out the base as its file stores it; leave `base_format` {} away",
        options.base_format);
  check(options.base_memory == "auto" || options.base_memory == "small", ErrorKind::unsupported,
        "`shard_base` keeps no copies of the base, `base_memory` {} does; leave one of the two away",
        options.base_memory);
  options.base_memory = "small";
}

int64_t shared_bytes(const Checkpoint& checkpoint, const std::function<TensorUse(const TensorRef&)>& use) {
  int64_t bytes = 0;
  for (const auto& [tensor, place] : layer_layout(checkpoint, use).places) bytes += place.size;
  return bytes;
}

std::function<RowSource(const TensorRef&)> rows_of_shared_base(
    const std::shared_ptr<const Checkpoint>& checkpoint,
    const std::function<TensorUse(const TensorRef&)>& use, const RankGroup& ranks) {
  LayerLayout layout = layer_layout(*checkpoint, use);
  int64_t all = 0;
  for (const int64_t bytes : layout.bytes) all += bytes;
  info(
      "base: each of {} processes keeps about {:.0f} of {:.0f} MB of the layers' weights, and two layers of "
      "{:.0f} MB",
      ranks.size(), static_cast<double>(layout.kept(0, ranks.size())) / 1e6, static_cast<double>(all) / 1e6,
      static_cast<double>(layout.largest_fetched(0, ranks.size())) / 1e6);
  const std::shared_ptr<SharedBase> base = SharedBase::make(checkpoint, std::move(layout), ranks);
  return [base](const TensorRef& tensor) { return base->rows(tensor); };
}

}  // namespace lowrank
