#include "train/options.h"

#include <limits>

#include "base/error.h"
#include "model/spec.h"

namespace lowrank {

void TrainOptions::check_batches() const {
  check(!batch_size || !tokens_per_batch, ErrorKind::invalid,
        "`batch_size` {} and `tokens_per_batch` {} both set the size of a micro-batch; leave one of them out",
        batch_size.value_or(0), tokens_per_batch.value_or(0));
}

void TrainOptions::check_smoothing(const ModelSpec& spec) const {
  if (label_smoothing == 0) return;
  check(!contrastive, ErrorKind::invalid,
        "`label_smoothing` is for losses of tokens and classes, not of embeddings; leave it out");
  check(spec.task != Task::regression, ErrorKind::invalid,
        "`label_smoothing` is for labels that are classes, and these are numbers; leave it out");
  check(!spec.labels || !spec.labels->several, ErrorKind::invalid,
        "`label_smoothing` is for rows with one class each, and these have several; leave it out");
}

std::vector<Field> TrainOptions::fields() {
  constexpr double most = std::numeric_limits<int32_t>::max();
  Field rows = limited(field("batch_size", batch_size, "examples per micro-batch"), 1, most);
  rows.get = [this] {
    return tokens_per_batch && !batch_size ? nlohmann::json() : nlohmann::json(rows_per_batch());
  };
  return {
      limited(field("epochs", epochs, "passes over the training rows"), 1e-6, most),
      limited(field("steps", steps, "optimizer steps; takes precedence over `epochs`"), 1, most),
      rows,
      limited(field("tokens_per_batch", tokens_per_batch,
                    "tokens per micro-batch at most, in place of `batch_size`; a longer example is one of "
                    "its own"),
              1, most),
      limited(field("grad_accum", grad_accum, "micro-batches per step"), 1, most),
      limited(field("lr", lr, "peak learning rate; by default the method's own"), 1e-12, 1e3),
      one_of(field("schedule", schedule, "shape of the learning rate after the warm-up"),
             {"constant", "linear", "cosine"}),
      limited(field("warmup", warmup, "steps of linear warm-up"), 0, most),
      limited(field("weight_decay", weight_decay, "AdamW's decoupled weight decay"), 0, 1e3),
      limited(field("max_grad_norm", max_grad_norm,
                    "gradients with a larger norm are scaled down to it; 0: never"),
              0, 1e9),
      limited(field("label_smoothing", label_smoothing,
                    "share e of each target that is spread evenly over the whole vocabulary (or all classes) "
                    "while training, as in transformers and torch: the loss is (1 - e) nll + e mean(-log p)"),
              0, 0.99),
      limited(field("seed", seed, "seed of initial values, order and dropout"), 0, most),
      field("shuffle", shuffle, "a new order of the rows in every epoch, instead of the file's"),
      field("share_prompts", share_prompts,
            "compute shared prefixes of a micro-batch once; loss and gradient are the same"),
      field("group_prompts", group_prompts, "place rows with the same prompt next to each other"),
      field("gradient_checkpointing", gradient_checkpointing,
            "keep only each layer's input and recompute the layer for the gradient: less memory, about a "
            "third slower"),
      limited(field("memory_limit", memory_limit,
                    "MB that the run (each process of it) may take on the CPU, as estimated before the first "
                    "step: if it would take more, layers are recomputed (`gradient_checkpointing`), and if "
                    "that is not enough, it is refused; 0: no limit"),
              0, most),
      limited(field("log_every", log_every,
                    "steps between lines of progress where they are not redrawn, and between entries of "
                    "trainer_state.json and TensorBoard (means of the loss); 0: lines every ten seconds, an "
                    "entry per step"),
              0, most),
      one_of(field("report_to", report_to, "tensorboard: also write event files to runs/ in `output`"),
             {"none", "tensorboard"}),
      limited(field("eval_every", eval_every, "steps between evaluations; 0: once per epoch"), 0, most),
      limited(field("early_stop", early_stop,
                    "end the run after so many evaluations in a row without a lower loss; 0: never"),
              0, most),
      limited(field("save_every", save_every, "steps between checkpoints; 0: none"), 0, most),
      limited(field("keep", keep, "number of newest checkpoints to keep; 0: all"), 0, most),
      field("profile", profile, "report at the end how long each operation took"),
  };
}

}  // namespace lowrank
