#include "train/contrastive/divided_texts.h"

#include <vector>

#include <ATen/ops/zeros.h>

namespace lowrank {

RowRange own_texts(const Batch& batch, const RankGroup* ranks) {
  if (!ranks) return {0, batch.sequences()};
  std::vector<int64_t> lengths;
  for (int64_t text = 0; text < batch.sequences(); ++text)
    lengths.push_back(batch.offsets[text + 1] - batch.offsets[text]);
  return rows_of_rank(lengths, ranks->rank(), ranks->size());
}

at::Tensor all_vectors(const at::Tensor& own, RowRange texts, int64_t count, const RankGroup* ranks) {
  if (!ranks) return own;
  // On the CPU: a rank without texts has nothing on a device, and the sum of zeros and one value is exact.
  at::Tensor all = at::zeros({count, own.size(1)}, own.options().device(at::kCPU));
  all.narrow(0, texts.begin, texts.end - texts.begin).copy_(own);
  ranks->sum(all);
  return all.to(own.device());
}

}  // namespace lowrank
