// Adapters by name: who is resident, who leaves, and what is refused.
#include "infer/engine/adapter_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/engine_model.h"
#include "support/expect_error.h"

namespace lowrank {
namespace {

class Store : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b", "c"}) {
      base.write_adapter(name, {{"rank", 3}});
      store.add(name, base.folder.path() / name);
    }
  }

  ResidentAdapter acquire(const std::string& name, double factor = 1) {
    return store.acquire(*store.find(name, factor), factor);
  }

  test::EngineModel base;
  AdapterStore store{base.checkpoint, 2, test::test_device()};
};

TEST_F(Store, TheOneThatWasNotUsedForTheLongestTimeLeaves) {
  store.release(acquire("a"));
  store.release(acquire("b"));
  store.release(acquire("a"));
  store.release(acquire("c"));
  EXPECT_EQ(store.loads(), 3);
  EXPECT_EQ(store.evictions(), 1);
  EXPECT_TRUE(store.is_resident(*store.find("a", 1), 1));
  EXPECT_FALSE(store.is_resident(*store.find("b", 1), 1));
  const auto entries = store.entries();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].method, "lora");
  EXPECT_EQ(entries[0].rank, 3);
  EXPECT_TRUE(entries[0].resident);
  EXPECT_FALSE(entries[1].resident);
}

TEST_F(Store, AnAdapterInUseStaysAndNumbersAreUsedAgain) {
  const ResidentAdapter a = acquire("a"), b = acquire("b");
  EXPECT_FALSE(store.has_room(*store.find("c", 1), 1));
  test::expect_error(ErrorKind::invalid, "", "in use", [&] { acquire("c"); });
  store.release(a);
  ASSERT_TRUE(store.has_room(*store.find("c", 1), 1));
  const ResidentAdapter c = acquire("c");
  EXPECT_EQ(c.number, a.number);
  EXPECT_NE(c.identity, a.identity);
  EXPECT_NE(b.identity, a.identity);
  EXPECT_EQ(store.bank().size(), 2);
}

TEST_F(Store, ARemovedAdapterStaysUntilItsLastUseEnds) {
  const std::shared_ptr<KnownAdapter> known = store.find("a", 1);
  const ResidentAdapter a = acquire("a");
  store.remove("a");
  EXPECT_FALSE(store.contains("a"));
  test::expect_error(ErrorKind::not_found, "", "no adapter \"a\"", [&] { store.find("a", 1); });
  test::expect_error(ErrorKind::not_found, "", "no adapter", [&] { store.remove("a"); });
  EXPECT_EQ(store.bank().size(), 1);
  store.add("a", base.folder.path() / "b");
  EXPECT_NE(acquire("a").identity, a.identity);
  store.release(a);
  EXPECT_EQ(store.bank().size(), 1);
  // A request that was submitted before the removal can still load it.
  store.release(store.acquire(*known, 1));
  EXPECT_EQ(store.bank().size(), 1);
}

TEST_F(Store, AFactorIsThatOnTheAdaptersOwnScale) {
  base.write_adapter("plain", {{"rank", 4}, {"alpha", 8.0}});
  const Adapter adapter = load_adapter(base.folder.path() / "plain", *base.checkpoint);
  store.add("half", base.folder.path() / "plain", 0.5);
  Engine engine(*base.model, base.tokenizer, store, {});
  EngineRequest request{base.random_prompt(6, 1), "half"};
  request.max_new_tokens = 8;
  request.adapter_scale = 2;
  const uint64_t whole = engine.submit(request);
  request.adapter_scale = 1e-9;
  const uint64_t none = engine.submit(request);
  request.adapter.clear();
  request.adapter_scale = 1;
  const uint64_t plain = engine.submit(request);
  const auto heard = test::run_all(engine);
  request.adapter = "plain";
  test::expect_generated(heard.at(whole), base.expected(request));
  EXPECT_EQ(heard.at(none).tokens, heard.at(plain).tokens);
  EXPECT_NE(heard.at(whole).tokens, heard.at(plain).tokens);
}

TEST_F(Store, WhatCannotBeServedIsRefusedWithTheReason) {
  test::expect_error(ErrorKind::invalid, "", "already", [&] { store.add("a", base.folder.path() / "a"); });
  for (const char* name : {"", "base", "two\nlines"})
    test::expect_error(ErrorKind::invalid, "", "cannot be called",
                       [&] { store.add(name, base.folder.path() / "a"); });
  test::expect_error(ErrorKind::not_found, "nowhere", "",
                     [&] { store.add("n", base.folder.path() / "nowhere"); });
  base.write_adapter("layer_norm", nlohmann::json::object(), "layer_norm");
  store.add("norms", base.folder.path() / "layer_norm");
  test::expect_error(ErrorKind::unsupported, "norms", "replaces tensors of the base",
                     [&] { store.find("norms", 1); });
  for (const auto& entry : store.entries()) EXPECT_EQ(entry.problem.empty(), entry.name != "norms");
}

TEST_F(Store, AnAdapterWhoseFilesBreakFailsItsRequestsAlone) {
  std::filesystem::resize_file(base.folder.path() / "b" / "adapter_model.safetensors", 100);
  Engine engine(*base.model, base.tokenizer, store, {});
  const auto submit = [&](const char* name) {
    EngineRequest request{base.random_prompt(6, 1), name};
    request.max_new_tokens = 3;
    return engine.submit(request);
  };
  const uint64_t good = submit("a");
  test::expect_error(ErrorKind::corrupt, "adapter_model.safetensors", "", [&] { submit("b"); });
  const uint64_t late = submit("c");
  std::filesystem::remove(base.folder.path() / "c" / "adapter_model.safetensors");
  const auto heard = test::run_all(engine);
  EXPECT_NE(heard.at(good).finish, FinishReason::failed);
  EXPECT_EQ(heard.at(late).finish, FinishReason::failed);
  EXPECT_NE(heard.at(late).error.find("adapter_model.safetensors"), std::string::npos);
  test::expect_error(ErrorKind::not_found, "adapter_model.safetensors", "", [&] { submit("c"); });
}

TEST_F(Store, AFileThatLinksToItselfFailsItsRequestsAlone) {
  const auto link_to_itself = [&](const char* name) {
    const std::filesystem::path file = base.folder.path() / name / "adapter_model.safetensors";
    std::filesystem::remove(file);
    std::filesystem::create_symlink(file.filename(), file);
  };
  Engine engine(*base.model, base.tokenizer, store, {});
  const auto submit = [&](const char* name) {
    EngineRequest request{base.random_prompt(6, 1), name};
    request.max_new_tokens = 3;
    return engine.submit(request);
  };
  link_to_itself("b");
  const uint64_t good = submit("a");
  EXPECT_THROW(submit("b"), Error);
  EXPECT_THROW(store.add("d", base.folder.path() / "b"), Error);
  const uint64_t late = submit("c");
  link_to_itself("c");
  const auto heard = test::run_all(engine);
  EXPECT_NE(heard.at(good).finish, FinishReason::failed);
  EXPECT_EQ(heard.at(late).finish, FinishReason::failed);
  for (const auto& entry : store.entries()) EXPECT_EQ(entry.problem.empty(), entry.name == "a");
}

TEST_F(Store, OnlyRecentFactorsKeepTheirIdentity) {
  const auto identity = [&](double factor) {
    const ResidentAdapter resident = acquire("a", factor);
    store.release(resident);
    return resident.identity;
  };
  const uint64_t first = identity(0.5);
  for (int i = 1; i <= 10; ++i) identity(i);
  EXPECT_EQ(identity(0.5), first);
  for (int i = 1; i <= 100; ++i) identity(i);
  EXPECT_NE(identity(0.5), first);
}

}  // namespace
}  // namespace lowrank
