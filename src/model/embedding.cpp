#include "model/embedding.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "kernels/core/device.h"
#include "kernels/core/parallel.h"
#include "model/checkpoint.h"
#include "model/model.h"

namespace lowrank {
namespace {

/// Number of head rows that one task expands.
constexpr int64_t rows_per_task = 1024;

void check_ids(std::span<const int64_t> ids, const TensorRef& table) {
  const int64_t rows = table.shape[0];
  const auto outside =
      std::ranges::find_if(ids, [&](int64_t id) { return id != virtual_token && (id < 0 || id >= rows); });
  if (outside == ids.end()) return;
  check(table.role != Role::position, ErrorKind::invalid,
        "a text reaches position {} (counted from 0), beyond the model's {} positions; shorten it to its "
        "context",
        *outside, rows);
  fail(ErrorKind::invalid, "token id {} at row {} is outside the model's vocabulary of {}", *outside,
       outside - ids.begin(), rows);
}

}  // namespace

Embedding::Embedding(std::shared_ptr<const Checkpoint> checkpoint, const LoadOptions& options,
                     const TensorRef& tensor, double scale)
    : checkpoint_(std::move(checkpoint)),
      tensor_(&tensor),
      frozen_(options.use_of(tensor) == TensorUse::frozen),
      type_(options.compute == at::kDouble ? at::kDouble : at::kFloat),
      device_(options.device),
      scale_(scale) {}

at::Tensor Embedding::look_up(std::span<const int64_t> ids) const {
  check_ids(ids, *tensor_);
  at::Tensor rows = at::zeros({static_cast<int64_t>(ids.size()), tensor_->shape[1]}, type_);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == virtual_token) continue;
    at::Tensor row = rows.narrow(0, static_cast<int64_t>(i), 1);
    checkpoint_->read_rows(*tensor_, ids[i], ids[i] + 1, row);
  }
  if (scale_ != 1) rows.mul_(scale_);
  return sent_to(rows, device_);
}

at::Tensor Embedding::look_up(std::span<const int64_t> ids, const at::Tensor& table) const {
  check_ids(ids, *tensor_);
  std::vector<int64_t> known(ids.begin(), ids.end());
  bool has_virtual = false;
  for (int64_t& id : known) {
    has_virtual |= id == virtual_token;
    if (id == virtual_token) id = 0;
  }
  at::Tensor rows = table.index_select(0, indices_for(table, known)).to(type_);
  if (has_virtual) {
    const at::Tensor real = indices_for(table, ids).ne(virtual_token);
    rows = rows * real.unsqueeze(1);
  }
  return scale_ == 1 ? rows : rows * scale_;
}

HiddenState embedded(const Context& context, const Hooks& hooks, const Embedding& embedding) {
  const std::vector<int64_t>& ids = context.batch->tokens;
  HiddenState hidden{{}, {}, sequence_layout(*context.batch)};
  at::Tensor rows = embedding.frozen() ? embedding.look_up(ids)
                                       : embedding.look_up(ids, hooks.weight(context, embedding.tensor()));
  hidden.stream = hooks.embed({context, hidden.layout}, embedding, std::move(rows));
  return hidden;
}

Head load_head(const Checkpoint& checkpoint, const LoadOptions& options, const std::string& name) {
  const ModelSpec& spec = checkpoint.spec();
  Head head{spec.find_module(name), spec.find_tensor(name + ".weight"), {}, 0};
  check(head.module && head.tensor, ErrorKind::invalid, "the family {} has no head {}", spec.family, name);
  if (options.use_of(*head.tensor) != TensorUse::frozen) return head;
  const TensorRef& source = checkpoint.source(*head.tensor);
  const RowSource source_rows = [&checkpoint, &source](int64_t begin, int64_t end, at::Tensor& out) {
    checkpoint.read_rows(source, begin, end, out);
  };
  head.blocks = weight_in_blocks(checkpoint, options, {&source}, source_rows);
  if (head.blocks) return head;
  head.rows = at::empty(source.shape, options.compute);
  const int64_t rows = source.shape[0];
  parallel_for(0, rows, rows_per_task, [&](int64_t begin, int64_t end) {
    at::Tensor slice = head.rows.narrow(0, begin, end - begin);
    checkpoint.read_rows(source, begin, end, slice);
  });
  head.rows = head.rows.to(options.device);
  return head;
}

at::Tensor weight_of(const Head& head, const Context& context, const Hooks& hooks) {
  return head.rows.defined() ? head.rows : hooks.weight(context, *head.tensor);
}

}  // namespace lowrank
