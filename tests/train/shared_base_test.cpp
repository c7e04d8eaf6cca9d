// A base whose layers are shared out over ranks. Each rank is a thread here.
#include "train/ranks/shared_base.h"

#include <atomic>
#include <numeric>

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "support/places.h"
#include "support/rank_threads.h"
#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

using test::as_ranks;
using test::brief_waits;

TensorUse all_frozen(const TensorRef&) {
  return TensorUse::frozen;
}

void expect_none(const std::map<int64_t, std::string>& errors) {
  for (const auto& [rank, error] : errors) ADD_FAILURE() << rank << ": " << error;
}

/// Reads all shared tensors of a layer, and compares their rows with the file's.
void expect_rows_of_file(const Checkpoint& checkpoint, const LayerLayout& layout, SharedBase& base,
                         int64_t layer) {
  for (const auto& [tensor, place] : layout.places) {
    if (place.layer != layer) continue;
    const int64_t rows = tensor->shape[0], first = rows / 3;
    at::Tensor found = at::empty({rows - first, tensor->shape[1]}, at::kFloat);
    base.rows (*tensor)(first, rows, found);
    const at::Tensor expected = checkpoint.read(*tensor, at::kFloat).narrow(0, first, rows - first);
    EXPECT_TRUE(at::equal(found, expected)) << tensor->name;
  }
}

/// Passes of which each rank does others: forwards, there and back, and in no order.
std::vector<int64_t> layers_used(int64_t layers, int64_t rank) {
  std::vector<int64_t> used;
  for (int64_t pass = 0; pass <= rank; ++pass) {
    for (int64_t layer = 0; layer < layers; ++layer) used.push_back(layer);
    if (rank % 2 == 1) continue;
    for (int64_t layer = layers - 1; layer >= 0; --layer) used.push_back(layer);
  }
  Philox random(static_cast<uint64_t>(rank));
  for (int i = 0; i < 20; ++i)
    used.push_back(static_cast<int64_t>(random.uniform() * static_cast<double>(layers)));
  return used;
}

void expect_shared_rows_of_file(const std::filesystem::path& model, int64_t ranks) {
  const auto checkpoint = Checkpoint::open(model);
  const LayerLayout layout = layer_layout(*checkpoint, all_frozen);
  ASSERT_FALSE(layout.places.empty());
  expect_none(as_ranks(ranks, [&](const RankPlace& place) {
    const RankGroup group = RankGroup::join(place, brief_waits());
    const auto base = SharedBase::make(checkpoint, layout, group);
    for (const int64_t layer : layers_used(checkpoint->spec().layers, place.rank))
      expect_rows_of_file(*checkpoint, layout, *base, layer);
    group.leave();
  }));
}

TEST(SharedBase, GivesTheRowsOfFolders) {
  const test::TemporaryFolder folder;
  nlohmann::json config = test::tiny_llama_config();
  config["num_hidden_layers"] = 5;
  test::write_tiny_model(folder.path() / "llama", config);
  test::write_tiny_model(folder.path() / "gpt2", test::tiny_gpt2_config());  // matrices are transposed
  expect_shared_rows_of_file(folder.path() / "llama", 2);
  expect_shared_rows_of_file(folder.path() / "llama", 4);
  expect_shared_rows_of_file(folder.path() / "gpt2", 2);
}

TEST(SharedBase, GivesTheRowsOfGgufFiles) {
  expect_shared_rows_of_file(test::fixture("tiny_gguf/mixed.gguf"), 2);        // blocks
  expect_shared_rows_of_file(test::fixture("tiny_decoders/llama31.gguf"), 3);  // rows in another order
  expect_shared_rows_of_file(test::fixture("families/qwen3_5_moe.gguf"), 2);   // experts, stacked
}

TEST(SharedBase, LeavesWhatIsTrainedAndWhatIsInSeveralPlacesToTheFile) {
  const auto checkpoint = Checkpoint::open(test::fixture("tiny_nf4"));
  EXPECT_TRUE(layer_layout(*checkpoint, all_frozen).places.empty());
  const auto llama = Checkpoint::open(test::fixture("tiny_llama/linear"));
  const LayerLayout layout = layer_layout(*llama, [](const TensorRef& tensor) {
    return tensor.role == Role::down ? TensorUse::trained : TensorUse::frozen;
  });
  EXPECT_EQ(layout.places.size(), 2U * 6U);
  EXPECT_FALSE(layout.places.contains(llama->spec().find_tensor("model.layers.0.mlp.down_proj.weight")));
  EXPECT_FALSE(layout.places.contains(llama->spec().find_tensor("model.embed_tokens.weight")));
}

TEST(SharedBase, EachLayerBelongsToOneRank) {
  const LayerLayout layout{{100, 300, 200, 50, 80}, {}};
  for (int64_t ranks = 1; ranks <= 6; ++ranks) {
    int64_t all = 0;
    for (int64_t rank = 0; rank < ranks; ++rank) all += layout.kept(rank, ranks);
    EXPECT_EQ(all, 730) << ranks;
  }
  EXPECT_EQ(layout.kept(1, 2), 350);
  EXPECT_EQ(layout.largest_fetched(0, 2), 300);
  EXPECT_EQ(layout.largest_fetched(1, 2), 200);
  EXPECT_EQ(layout.largest_fetched(0, 1), 0);
}

TEST(RankExchange, EachFetchesWhenItLikes) {
  constexpr int64_t ranks = 3;
  const auto bytes_of = [](int64_t number) {
    return at::full({1000 * (number + 1)}, static_cast<int64_t>(number + 1), at::kByte);
  };
  std::atomic<int> fetched = 0;
  expect_none(as_ranks(ranks, [&](const RankPlace& place) {
    const RankGroup group = RankGroup::join(place, brief_waits());
    RankExchange exchange(group, bytes_of);
    for (int64_t i = 0; i < 50 * place.rank; ++i) {
      const int64_t owner = (place.rank + 1 + i % (ranks - 1)) % ranks, number = (7 * i + owner) % 11;
      at::Tensor bytes = at::empty({1000 * (number + 1)}, at::kByte);
      exchange.start(owner, number, bytes);
      if (i % 3 == 0) continue;  // the next one waits for it
      exchange.finish();
      EXPECT_TRUE(at::equal(bytes, bytes_of(number)));
      ++fetched;
    }
    group.leave();
  }));
  EXPECT_GT(fetched, 50);
}

TEST(RankExchange, AnOwnerThatEndsIsNamedWhereItIsWaitedFor) {
  const auto start = std::chrono::steady_clock::now();
  const auto errors = as_ranks(3, [](const RankPlace& place) {
    const RankGroup group = RankGroup::join(place, brief_waits());
    RankExchange exchange(group, [](int64_t) { return at::full({8}, 1, at::kByte); });
    if (place.rank == 2) return;  // as killed
    for (;;) {
      exchange.start(2, 0, at::empty({8}, at::kByte));
      exchange.finish();
    }
  });
  ASSERT_EQ(errors.size(), 2U);
  for (const auto& [rank, error] : errors)
    EXPECT_NE(error.find("rank 2 (process "), std::string::npos) << error;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

}  // namespace
}  // namespace lowrank
