#include "train/options.h"

#include <limits>

namespace lowrank {

std::vector<Field> TrainOptions::fields() {
  constexpr double most = std::numeric_limits<int32_t>::max();
  return {
      limited(field("epochs", epochs, "passes over the training rows"), 1e-6, most),
      limited(field("steps", steps, "optimizer steps; wins over epochs"), 1, most),
      limited(field("batch_size", batch_size, "rows a micro-batch"), 1, most),
      limited(field("grad_accum", grad_accum, "micro-batches a step"), 1, most),
      limited(field("lr", lr, "peak learning rate; without it the method's own"), 1e-12, 1e3),
      one_of(field("schedule", schedule, "learning rate after the warm-up"),
             {"constant", "linear", "cosine"}),
      limited(field("warmup", warmup, "steps of linear warm-up"), 0, most),
      limited(field("weight_decay", weight_decay, "AdamW's decoupled decay"), 0, 1e3),
      limited(field("max_grad_norm", max_grad_norm, "gradients are scaled down to this norm; 0: never"), 0,
              1e9),
      limited(field("seed", seed, "of initialisation, order and dropout"), 0, most),
      field("shuffle", shuffle, "new order of rows in every epoch, instead of the file's"),
      field("share_prompts", share_prompts,
            "compute once what rows of a micro-batch begin with alike; equal in loss and gradient"),
      field("group_prompts", group_prompts, "put rows with the same prompt next to each other"),
      field("gradient_checkpointing", gradient_checkpointing,
            "keep only each layer's input and compute the layer again for the gradient: less memory, about a "
            "third slower"),
      limited(field("eval_every", eval_every, "steps between evaluations; 0: once an epoch"), 0, most),
      limited(field("save_every", save_every, "steps between checkpoints; 0: none"), 0, most),
      limited(field("keep", keep, "newest checkpoints that stay, older ones are removed; 0: all"), 0, most),
      field("profile", profile, "tell at the end what each operation of a step took"),
  };
}

}  // namespace lowrank
