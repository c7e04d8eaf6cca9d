#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/json.h"
#include "data/dataset.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "support/places.h"
#include "support/temporary_folder.h"
#include "support/test_device.h"
#include "tokenizer/tokenizer.h"
#include "train/contrastive/contrastive_options.h"
#include "train/options.h"

namespace lowrank::test {

/// A trial of tests/fixtures/embeddings (make_embeddings.py): its rows, on a model, and what they should
/// give.
struct Trial {
  std::filesystem::path folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  nlohmann::json expected;
  Dataset rows;
  ContrastiveRun run;

  Trial(const std::string& model, const std::string& name)
      : folder(fixture("embeddings/" + model)), checkpoint(Checkpoint::open(folder)) {
    const nlohmann::json all = read_json_file(folder / "losses.json", 1 << 22);
    expected = all["trials"][name];
    TemporaryFolder own;
    std::string lines;
    for (const nlohmann::json& row : expected["rows"]) lines += row.dump() + "\n";
    own.write("rows.jsonl", lines);
    const Tokenizer tokenizer = load_tokenizer(folder);
    DatasetOptions reading;
    reading.compared = TextPrompts{};
    rows = load_dataset(own.path() / "rows.jsonl", &tokenizer, checkpoint->spec().vocabulary_size, reading);
    ContrastiveOptions options;
    if (name == "cosent") options.embedding_loss = "cosent";
    if (name == "matryoshka") {
      options.matryoshka_dims = {24, 8};
      options.matryoshka_weights = {1, 0.5};
    }
    run = contrastive_run(options, embedding_form(folder, checkpoint->spec()), rows.format == "scores",
                          checkpoint->spec().hidden_size);
  }

  TrainOptions options(int64_t mini_batch_size) const {
    TrainOptions train;
    train.steps = 5;
    train.batch_size = 8;
    train.lr = 0.01;
    train.schedule = "constant";
    train.weight_decay = 0;
    train.shuffle = false;
    train.contrastive = run;
    train.contrastive->mini_batch_size = mini_batch_size;
    return train;
  }

  std::unique_ptr<Model> model(at::ScalarType type = at::kFloat) const {
    LoadOptions load;
    load.compute = type;
    load.training = true;
    load.device = test_device();
    return checkpoint->family().load(checkpoint, load);
  }
};

}  // namespace lowrank::test
