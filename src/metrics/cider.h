#pragma once

#include "metrics/texts.h"

namespace lowrank::metrics {

struct CiderOptions {
  /// As pycocoevalcap, whose "CIDEr" is the paper's CIDEr-D: a prediction's weights are clipped to the
  /// reference's, and different lengths cost e^(-d² / 2 sigma²), with d the difference of the numbers of
  /// bigrams. Otherwise the paper's CIDEr, the cosine alone.
  bool clipped = true;
  double sigma = 6;
};

/// CIDEr (Vedantam et al., 2015) of each text: 10 times the mean over n = 1..4 and over its references of the
/// similarity of n-gram vectors. An n-gram's weight is its count times ln(texts / texts with it in a
/// reference). A corpus of one text scores 0. Words lie between white space and are compared as they are: the
/// E2E challenge and COCO first prepare texts (metrics/caption_words.h). Errors: as check_texts; invalid for
/// a sigma that is not above 0.
std::vector<double> cider_of_each(std::span<const std::string> predictions,
                                  std::span<const References> references, const CiderOptions& options = {});

/// The mean over texts.
double cider(std::span<const std::string> predictions, std::span<const References> references,
             const CiderOptions& options = {});

}  // namespace lowrank::metrics
