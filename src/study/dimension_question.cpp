#include "study/dimension_question.h"

#include "base/error.h"
#include "base/log.h"
#include "session/task.h"

namespace lowrank {

std::vector<Field> DimensionQuestion::fields() {
  constexpr double most = 1 << 28;
  return {one_of(field("task", task, task_help), {"auto", "classification", "regression"}),
          field("output", output, "folder for intrinsic.json, intrinsic.md and intrinsic.svg"),
          limited(field("share", share, "share of the reference's quality that is the goal"), 1e-3, 1),
          limited(field("from", from, "smallest dimension tried; by default 100 (weights) or 1 (inputs)"), 1,
                  most),
          limited(field("to", to,
                        "largest; by default a tenth of what the reference trains (weights), or all features "
                        "(inputs)"),
                  1, most),
          limited(field("precision", precision,
                        "the result is at most this many times a dimension that does not suffice"),
                  1.001, 1e3)};
}

void search_dimensions(DimensionReport& report, const DimensionRange& range,
                       const std::function<DimensionPoint(int64_t dimension)>& run,
                       const std::string& folder) {
  write_report(report, folder);
  try {
    smallest_dimension(
        [&](int64_t dimension) {
          const DimensionPoint point = run(dimension);
          info("{} {}: {} {:.4f} ({}; goal {:.4f}), loss {:.4f}, {:.1f} s", report.dimension_name, dimension,
               report.quality_name, point.quality, report.reaches(point) ? "reached" : "missed",
               report.goal(), point.loss, point.seconds);
          report.add(point);
          write_report(report, folder);
          return point.quality;
        },
        report.goal(), range);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted) throw;
    fail(ErrorKind::interrupted, "interrupted after {} runs; {}/intrinsic.json has their points",
         report.points.size(), folder);
  }
  report.finished = true;
  write_report(report, folder);
}

void check_reference(const DimensionReport& report, const std::string& advice) {
  check(report.reference.quality > report.base.quality, ErrorKind::invalid,
        "{} does not improve on the base ({} {:.4f} against {:.4f}), so that no share of it is a goal; {}",
        report.reference_name, report.quality_name, report.reference.quality, report.base.quality, advice);
}

}  // namespace lowrank
