#pragma once

#include "study/analysis/analysis_report.h"
#include "study/analysis/spectrum_study.h"

namespace lowrank {

/// A study of spectra as a table by kinds, beside random matrices, a chart of the share of the energy that
/// the strongest directions hold, and a folded table of the modules.
AnalysisReport report_of(const SpectrumStudy& study);

}  // namespace lowrank
