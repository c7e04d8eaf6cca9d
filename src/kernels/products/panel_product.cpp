#include "kernels/products/panel_product.h"

#include <algorithm>

#include "kernels/core/parallel.h"

namespace lowrank {
namespace {

/// Fewer rows are not worth laying out a panel.
constexpr int64_t least_rows = 16;
/// Minimum tasks per thread, so that the threads get about equally many, as long as each task has this many
/// rows.
constexpr int64_t tasks_per_thread = 8, rows_per_task = 96;

}  // namespace

bool has_panel_layout(const at::Tensor& x, const at::Tensor& w) {
  if (w.is_mkldnn() || x.size(0) < least_rows) return false;
  return x.stride(1) == 1 && (w.stride(0) == 1 || w.stride(1) == 1);
}

void for_each_panel_task(int64_t rows, int64_t panels, const PanelTask& task) {
  const int64_t threads = thread_count();
  const int64_t wanted = panels % threads == 0 ? 1 : (tasks_per_thread * threads + panels - 1) / panels;
  const int64_t parts = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, rows / rows_per_task));
  parallel_for(0, panels * parts, 1, [&](int64_t begin, int64_t end) {
    // Panels of one part of the rows are consecutive.
    while (begin < end) {
      const int64_t part = begin / panels;
      const int64_t last = std::min(end, (part + 1) * panels);
      task(rows * part / parts, rows * (part + 1) / parts, begin - part * panels, last - part * panels);
      begin = last;
    }
  });
}

}  // namespace lowrank
