#pragma once

#include "study/analysis/analysis_report.h"
#include "study/analysis/similarity_study.h"

namespace lowrank {

/// A study of similarity as tables and heat maps: of each kind the mean over its modules, folded those of
/// single modules, evenly spread over the layers. `results` has the grids of all.
AnalysisReport report_of(const SimilarityStudy& study);

}  // namespace lowrank
