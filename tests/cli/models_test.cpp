// Models by name, through the program: the cache is made up of fixtures.
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

class ModelsCommand : public test::ProgramTest {
 protected:
  void SetUp() override {
    environment = "HF_HOME=" + folder.path().string() + " HF_HUB_CACHE=";
    const fs::path repository = folder.path() / "hub" / "models--org--tiny";
    const std::string commit(40, 'c');
    snapshot = repository / "snapshots" / commit;
    fs::create_directories(snapshot);
    fs::create_directories(repository / "refs");
    write("hub/models--org--tiny/refs/main", commit);
    for (const char* file : {"config.json", "model.safetensors"})
      fs::copy_file(test::fixture("families/granite") / file, snapshot / file);
  }

  fs::path snapshot;
};

TEST_F(ModelsCommand, ListsTheCache) {
  const std::string table = succeeds("models").out;
  EXPECT_NE(table.find("org/tiny"), std::string::npos) << table;
  EXPECT_NE(table.find("granite"), std::string::npos) << table;
  EXPECT_NE(table.find(snapshot.string()), std::string::npos) << table;
  EXPECT_NE(table.find("--model"), std::string::npos);
  EXPECT_NE(succeeds("--help").out.find("which --model takes by name"), std::string::npos);
  write("hub/models--org--tiny/refs/odd", "no commit");
  EXPECT_NE(succeeds("models").out.find("| broken: "), std::string::npos);
  fs::remove(snapshot / "model.safetensors");
  EXPECT_NE(succeeds("models --json").out.find("incomplete: its weights"), std::string::npos);
}

TEST_F(ModelsCommand, ACacheThatIsNotThereIsCalledThat) {
  environment = "HF_HUB_CACHE=" + (folder.path() / "nowhere").string();
  EXPECT_NE(succeeds("models").err.find("the folder does not exist"), std::string::npos);
  environment = "HF_HUB_CACHE=" + write("file", "x").string();
  refused("models", "must be a folder");
}

TEST_F(ModelsCommand, CommandsTakeTheName) {
  const auto rows = write("rows.jsonl", "{\"input_ids\":[1,2,3,4]}\n{\"input_ids\":[4,5,6]}\n");
  const std::string by_name = succeeds("evaluate --json --model org/tiny --data " + rows.string()).out;
  EXPECT_EQ(succeeds("evaluate --json --data " + rows.string() + " --model " + snapshot.string()).out,
            by_name);
  EXPECT_NE(succeeds("inspect org/tiny").out.find("granite"), std::string::npos);
  succeeds("train --model org/tiny --steps 1 --data " + rows.string() + " --output " + out().string());
  const std::string config = test::content_of(out() / "adapter_config.json");
  EXPECT_NE(config.find("\"base_model_name_or_path\": \"org/tiny\""), std::string::npos) << config;
  succeeds("train --model org/tiny --steps 1 --data " + rows.string() + " --init-adapter " + out().string() +
           " --output " + (folder.path() / "second").string());
}

TEST_F(ModelsCommand, AnIncompleteModelNamesWhatItLacks) {
  fs::remove(snapshot / "model.safetensors");
  refused("tokenize --text a --model org/tiny", "its weights (model.safetensors");
}

}  // namespace
}  // namespace lowrank
