#include "study/analysis/analysis_options.h"

namespace lowrank {

std::vector<Field> AnalysisOptions::fields() {
  return {
      field("modules", modules,
            "the modules that are studied, by name or dotted end of it: q_proj,layers.3.self_attn.v_proj"),
      field("seed", seed, "of the random matrices that the figures are compared with")};
}

Field AnalysisOptions::directions_field() {
  return limited(field("directions", directions,
                       "how many of the strongest singular directions of each update are used; 0: all"),
                 0, 1 << 20);
}

}  // namespace lowrank
