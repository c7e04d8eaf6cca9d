#pragma once

#include "study/analysis/amplification.h"
#include "study/analysis/analysis_report.h"

namespace lowrank {

/// A study of amplification as the LoRA paper's table 7, by kinds and folded by modules, and a chart of the
/// factor over the layers.
AnalysisReport report_of(const AmplificationStudy& study);

}  // namespace lowrank
