// Where the program writes: it removes no file that it did not write, and reports when a place is taken.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* run_rows =
    "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[9,8,7]}\n{\"input_ids\":[4,4,4,4]}\n";

class OutputFolders : public test::ProgramTest {
 protected:
  void SetUp() override {
    data = write("rows.jsonl", run_rows).string();
    fs::copy(test::fixture("tiny_llama/linear"), model(), fs::copy_options::recursive);
  }

  fs::path model() const { return folder.path() / "model"; }
  std::string train(const fs::path& output, const std::string& more = "") const {
    return "train --model " + model().string() + " --data " + data + " --output " + output.string() +
           " --steps 2 --batch-size 2 --dtype f32 --lr 0.05 " + more;
  }
  std::string merge(const std::string& output, const std::string& more = "--no-check") const {
    return "merge --model " + model().string() + " --adapter " + adapter() + " --output " + output + " " +
           more;
  }
  std::string adapter() const { return (folder.path() / "adapter").string(); }

  /// Runs a command that must fail with this in its message; unlike with `refused`, the folder may exist.
  void fails(const std::string& arguments, const std::string& expected) const {
    const test::Outcome outcome = run(arguments);
    EXPECT_TRUE(outcome.code == 1 || outcome.code == 2) << arguments;
    EXPECT_NE(outcome.err.find(expected), std::string::npos) << arguments << '\n' << outcome.err;
  }

  double loss(const fs::path& of) const {
    const test::Outcome outcome = succeeds("evaluate --dtype f32 --json --model " + model().string() +
                                           " --data " + data + " --adapter " + of.string());
    return nlohmann::json::parse(outcome.out)["loss"].get<double>();
  }

  static std::string inside(const fs::path& path) { return test::content_of(path); }
  static void put(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    write_file_atomically(path, text);
  }

  std::string data;
};

TEST_F(OutputFolders, TrainingNeverWritesIntoAModel) {
  put(model() / "README.md", "the base's card");
  const std::string weights = inside(model() / "model.safetensors");
  fails(train(model(), "--method full"), "the base model's own folder");
  fails(train(model() / "", "--overwrite"), "the base model's own folder");
  fails(train(model() / "adapter"), "the base model's own folder, or one in it");
  EXPECT_FALSE(fs::exists(model() / "adapter"));
  fs::create_directory_symlink(model(), folder.path() / "link");
  fails(train(folder.path() / "link"), "the base model's own folder");
  fs::copy(model(), folder.path() / "other");
  fails(train(folder.path() / "other", "--overwrite --method full"), "holds a model (config.json)");
  EXPECT_EQ(inside(model() / "README.md"), "the base's card");
  EXPECT_EQ(inside(model() / "model.safetensors"), weights);
  EXPECT_EQ(inside(folder.path() / "other" / "model.safetensors"), weights);
}

TEST_F(OutputFolders, ResultsAreReplacedOnRequestOnly) {
  put(out() / "notes.txt", "mine");
  put(out() / "README.md", "my own");
  const test::Outcome first = succeeds(train(out(), "--seed 1"));
  EXPECT_NE(first.err.find("README.md is not a run's model card"), std::string::npos) << first.err;
  const std::string metrics = inside(out() / "metrics.jsonl");
  const std::string tensors = inside(out() / "adapter_model.safetensors");
  fails(train(out(), "--seed 2"), "holds results of an earlier run (adapter_config.json");
  EXPECT_EQ(inside(out() / "metrics.jsonl"), metrics);
  succeeds(train(out(), "--seed 2 --overwrite"));
  EXPECT_NE(inside(out() / "adapter_model.safetensors"), tensors);
  EXPECT_EQ(inside(out() / "notes.txt"), "mine");
  EXPECT_EQ(inside(out() / "README.md"), "my own");
  for (const char* name : {"labels.json", "adapters.json", "adapter_fusion_config.json", "adapter.gguf",
                           "model.gguf", "checkpoint-3/trainer_state.safetensors"}) {
    put(folder.path() / "lone" / name, "{}");
    fails(train(folder.path() / "lone"), "holds results of an earlier run");
    fs::remove_all(folder.path() / "lone");
  }
}

TEST_F(OutputFolders, NothingOfAnEarlierRunIsReadAfterAnother) {
  const fs::path fresh = folder.path() / "fresh";
  succeeds(train(fresh));
  succeeds(train(out(), "--method lora+prompt_tuning --save-every 1 --export none"));
  put(out() / "lora" / "notes.txt", "mine");
  succeeds(train(out(), "--overwrite --export gguf-lora"));
  EXPECT_EQ(loss(out()), loss(fresh));
  EXPECT_FALSE(fs::exists(out() / "adapters.json"));
  EXPECT_FALSE(fs::exists(out() / "prompt_tuning"));
  EXPECT_FALSE(fs::exists(out() / "checkpoint-1"));
  EXPECT_TRUE(fs::exists(out() / "lora" / "notes.txt"));
  EXPECT_TRUE(fs::exists(out() / "adapter.gguf"));
  succeeds(train(out(), "--overwrite --method full"));
  EXPECT_FALSE(fs::exists(out() / "adapter.gguf"));
  EXPECT_FALSE(fs::exists(out() / "adapter_config.json"));
  EXPECT_TRUE(fs::exists(out() / "config.json"));
  fails(train(out()), "holds results of an earlier run");
  succeeds(train(out(), "--overwrite"));
  EXPECT_FALSE(fs::exists(out() / "config.json"));
  EXPECT_EQ(loss(out()), loss(fresh));
}

TEST_F(OutputFolders, FilesOfOthersInACheckpointAndRowsAreKept) {
  succeeds(train(out(), "--save-every 1"));
  put(out() / "checkpoint-1" / "notes.txt", "mine");
  fails(train(out(), "--overwrite"), "checkpoint-1/notes.txt");
  fs::remove(out() / "checkpoint-1" / "notes.txt");
  fails(train(out(), "--overwrite --init-adapter " + (out() / "checkpoint-1").string()),
        "--overwrite would remove it");
  EXPECT_TRUE(fs::exists(out() / "checkpoint-1" / "adapter_config.json"));
  const fs::path own = folder.path() / "own";
  put(own / "metrics.jsonl", run_rows);
  data = (own / "metrics.jsonl").string();
  fails(train(own, "--overwrite"), "a name that the run itself writes");
  EXPECT_EQ(inside(own / "metrics.jsonl"), run_rows);
}

TEST_F(OutputFolders, LinksAreFollowedAndMissingOnesTold) {
  const fs::path real = folder.path() / "real", link = folder.path() / "link";
  fs::create_directory(real);
  fs::create_directory_symlink(real, link);
  succeeds(train(link / ""));
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_TRUE(fs::exists(real / "adapter_config.json"));
  fs::create_directory_symlink(folder.path() / "nowhere", folder.path() / "dangling");
  fails(train(folder.path() / "dangling"), "a link that leads nowhere");
  fails(train(data), "is a file");
}

TEST_F(OutputFolders, AFolderWithoutATokenizerIsRefusedBeforeTheFirstStep) {
  const std::string more = "--method full --model " + test::fixture("tiny_gguf/mixed.gguf").string();
  const std::string base = "train --data " + data + " --output " + out().string() + " --steps 1 " + more;
  refused(base, "tokenizer.ggml.model is missing");
  succeeds(base + " --export gguf");
}

TEST_F(OutputFolders, ASecondRunIsToldAtTheStart) {
  fs::create_directory(out());
  const int descriptor = ::open(out().c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(descriptor, LOCK_EX), 0);
  fails(train(out()), "another run is writing there");
  ::close(descriptor);
  EXPECT_TRUE(fs::is_empty(out()));
  fails(train(out(), "--rank 0"), "rank");
  succeeds(train(out()));
}

TEST_F(OutputFolders, MergingAndExportingTakeSlashesAndLeaveOtherNamesAlone) {
  succeeds(train(adapter()));
  put(folder.path() / "out.partial" / "thesis.txt", "mine");
  succeeds(merge(out().string() + "/"));
  EXPECT_TRUE(fs::exists(out() / "model.safetensors"));
  EXPECT_EQ(inside(folder.path() / "out.partial" / "thesis.txt"), "mine");
  fails(merge(out().string()), "exists already");
  succeeds(merge(out().string() + "2/./"));
  EXPECT_EQ(inside(out() / "model.safetensors"), inside(out().string() + "2/model.safetensors"));
  const std::string write_it =
      "export --format peft --model " + model().string() + " --adapter " + adapter() + " --output ";
  succeeds(write_it + out().string() + "3/");
  EXPECT_EQ(loss(out().string() + "3"), loss(adapter()));
  fails(write_it + out().string() + "3", "exists already");
  fs::create_directory(out().string() + "4");
  fs::create_directory_symlink(out().string() + "4", out().string() + "5");
  succeeds(merge(out().string() + "5"));
  EXPECT_TRUE(fs::exists(out().string() + "4/model.safetensors"));
  EXPECT_TRUE(fs::is_symlink(out().string() + "5"));
}

TEST_F(OutputFolders, MergingCopiesNothingFromOutsideTheModel) {
  succeeds(train(adapter()));
  const fs::path secret = write("secret", "secret");
  fs::create_symlink(secret, model() / "extra.json");
  fs::create_symlink(secret, model() / "notes.txt");
  put(model() / "vocab.txt", "a\nb\n");
  fs::create_symlink("vocab.txt", model() / "merges.txt");
  put(model() / "modules.json", R"([{"path": "1_Pooling"}, {"path": "../pool"}, {"path": ""}, 3])");
  put(model() / "1_Pooling" / "config.json", "{}");
  put(folder.path() / "pool" / "config.json", "{}");
  put(model() / "large.json", "");
  fs::resize_file(model() / "large.json", 65 << 20);
  const test::Outcome outcome = succeeds(merge(out().string()));
  EXPECT_NE(outcome.err.find("extra.json, large.json, notes.txt"), std::string::npos) << outcome.err;
  for (const char* name : {"extra.json", "notes.txt", "large.json", "../pool.txt"})
    EXPECT_FALSE(fs::exists(out() / name)) << name;
  EXPECT_EQ(inside(out() / "merges.txt"), "a\nb\n");
  EXPECT_EQ(inside(out() / "1_Pooling" / "config.json"), "{}");
}

}  // namespace
}  // namespace lowrank
