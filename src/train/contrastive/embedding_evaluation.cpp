#include "train/contrastive/embedding_evaluation.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "data/compared/compared_example.h"
#include "metrics/correlation.h"
#include "model/embeddings/text_vectors.h"
#include "train/contrastive/divided_texts.h"
#include "train/contrastive/embedding_losses.h"
#include "train/contrastive/text_batch.h"

namespace lowrank {
namespace {

std::vector<double> doubles(const at::Tensor& values) {
  const at::Tensor copy = values.to(at::kDouble).cpu().contiguous();
  const auto* first = copy.const_data_ptr<double>();
  return {first, first + copy.numel()};
}

at::Tensor vectors_of(const Model& model, const Hooks& hooks, const Batch& batch, const ContrastiveRun& run,
                      const RankGroup* ranks) {
  const RowRange texts = own_texts(batch, ranks);
  std::vector<at::Tensor> vectors;
  for (Batch& part : text_parts(batch, texts.begin, texts.end, run.mini_batch_size)) {
    if (!ranks) throw_if_interrupted();
    hooks.layout(part);
    vectors.push_back(text_vectors(model, {&part}, hooks, run.form));
  }
  // The others would wait for a rank that stops by itself.
  check(!ranks || ranks->largest(interrupted() ? 1 : 0) == 0, ErrorKind::interrupted, "Stopped.");
  if (!ranks) return at::cat(vectors);
  // On the CPU, where a rank has those of a batch of which it computes none.
  const int64_t width = run.form.width(model.spec().hidden_size);
  const at::Tensor own = vectors.empty() ? at::empty({0, width}) : at::cat(vectors).cpu();
  return all_vectors(own, texts, batch.sequences(), ranks);
}

/// The vectors and ids of a set's texts by what they are for.
class Texts {
 public:
  void add(const Example& row, const at::Tensor& vectors) {
    int64_t begin = 0, anchor = 0;
    const std::vector<int64_t> ends = text_ends(row);
    for (size_t i = 0; i < ends.size(); ++i) {
      std::vector<int64_t> ids(row.tokens.begin() + begin, row.tokens.begin() + ends[i]);
      begin = ends[i];
      const at::Tensor vector = vectors[static_cast<int64_t>(i)];
      if (i == 0) {
        anchor = number_of(anchors_, anchor_vectors_, std::move(ids), vector);
        positives_.resize(anchors_.size());
        continue;
      }
      const int64_t document = number_of(documents_, document_vectors_, std::move(ids), vector);
      if (i == 1) positives_[anchor].insert(document);
    }
  }

  /// Share of the anchors whose nearest text is one of their positives.
  double accuracy() const {
    constexpr int64_t anchors_at_once = 1024;
    const at::Tensor queries = unit_rows(at::stack(anchor_vectors_)),
                     corpus = unit_rows(at::stack(document_vectors_)).t();
    int64_t right = 0;
    for (int64_t begin = 0; begin < queries.size(0); begin += anchors_at_once) {
      const int64_t count = std::min(anchors_at_once, queries.size(0) - begin);
      const at::Tensor nearest = at::mm(queries.narrow(0, begin, count), corpus).argmax(1).cpu().contiguous();
      for (int64_t i = 0; i < count; ++i)
        right += positives_[begin + i].contains(nearest.const_data_ptr<int64_t>()[i]) ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(queries.size(0));
  }

 private:
  using Numbers = std::map<std::vector<int64_t>, int64_t>;

  /// The number of a text, whose vector is kept if it is new.
  static int64_t number_of(Numbers& numbers, std::vector<at::Tensor>& vectors, std::vector<int64_t> ids,
                           const at::Tensor& vector) {
    const auto [found, fresh] = numbers.emplace(std::move(ids), std::ssize(vectors));
    if (fresh) vectors.push_back(vector);
    return found->second;
  }

  Numbers anchors_, documents_;
  std::vector<at::Tensor> anchor_vectors_, document_vectors_;
  std::vector<std::set<int64_t>> positives_;  ///< of each anchor
};

}  // namespace

EmbeddingEvaluation evaluate_embeddings(const Model& model, const Hooks& hooks, const ExampleStore& examples,
                                        int64_t batch_size, const ContrastiveRun& run,
                                        const std::optional<RankGroup>& ranks) {
  const at::NoGradGuard no_grad;
  const bool pairs = run.loss == ComparedLoss::multiple_negatives_ranking;
  EmbeddingEvaluation found;
  Texts texts;
  std::vector<double> cosines, scores;
  for (int64_t begin = 0; begin < std::ssize(examples); begin += batch_size) {
    std::vector<int64_t> numbers(std::min(batch_size, std::ssize(examples) - begin));
    std::iota(numbers.begin(), numbers.end(), begin);
    const std::vector<Example> rows = examples.at(numbers);
    const Batch batch = make_text_batch(rows, numbers);
    const at::Tensor vectors = vectors_of(model, hooks, batch, run, ranks ? &*ranks : nullptr);
    for (const double loss : doubles(compared_loss(vectors, text_groups(batch), run).rows)) {
      check(std::isfinite(loss), ErrorKind::invalid, "the loss of the row at line {} is {}",
            examples.line(std::ssize(found.rows)), loss);
      found.rows.push_back(loss);
    }
    const at::Tensor unit = unit_rows(vectors);
    int64_t next = 0;
    for (const Example& row : rows) {
      const int64_t count = std::ssize(text_ends(row));
      if (pairs) {
        texts.add(row, vectors.narrow(0, next, count));
      } else {
        cosines.push_back((unit[next] * unit[next + 1]).sum().item<double>());
        scores.push_back(row.label.value_or(0));
      }
      next += count;
    }
  }
  if (pairs)
    found.accuracy = texts.accuracy();
  else if (const double correlation = metrics::spearman(cosines, scores); !std::isnan(correlation))
    found.correlation = correlation;
  else
    found.correlation = 0;
  return found;
}

}  // namespace lowrank
