// What leaves the program: standard output that cannot be written, closed streams, control characters, names
// that are not UTF-8, and errors of other libraries.
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <system_error>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "cli/reported.h"
#include "session/failures.h"
#include "support/places.h"
#include "support/program.h"
#include "support/safetensors_bytes.h"

namespace lowrank {
namespace {

class Streams : public test::ProgramTest {
 protected:
  static std::string model() { return test::fixture("tiny_llama/linear").string(); }
  std::string rows() const {
    return write("rows.jsonl", "{\"input_ids\":[1,2,3]}\n{\"input_ids\":[4,5]}\n").string();
  }
};

TEST_F(Streams, OutputThatCannotBeWrittenIsAnError) {
  const std::string evaluate = "evaluate --model " + model() + " --data " + rows();
  for (const std::string& lost :
       {evaluate + " >/dev/full", evaluate + " --json >/dev/full",
        "train --dry-run --model " + model() + " >/dev/full", "inspect " + model() + " >&-",
        "tokenize --text hello --model " + test::fixture("text/smollm_small.gguf").string() + " >&-",
        std::string("methods --json >/dev/full"), std::string("--version >/dev/full"),
        std::string("train --help >&-")}) {
    const test::Outcome outcome = run(lost);
    EXPECT_EQ(outcome.code, 1) << lost;
    EXPECT_NE(outcome.err.find("error: cannot write standard output"), std::string::npos) << lost << '\n'
                                                                                          << outcome.err;
  }
}

TEST_F(Streams, AReaderThatLeavesEndsTheProgramQuietly) {
  const test::Outcome outcome = run("methods | head -1");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
  // The same if SIGPIPE is ignored, as under some servers; the reader is gone before the first byte.
  const std::string code = (folder.path() / "code").string();
  const std::string late = "trap '' PIPE; (sleep 0.3; " + std::string(LOWRANK_PROGRAM) +
                           " methods 2>&1 >&3 3>&-; echo $? >" + code + ") 3>&1 | true";
  ASSERT_NE(std::system(late.c_str()), -1);
  EXPECT_EQ(test::content_of(code), "141\n");
}

TEST_F(Streams, ClosedStreamsAreNoFilesOfARun) {
  const std::string train = "train --model " + model() + " --data " + rows() + " --output " + out().string() +
                            " --steps 3 --eval-split 0.5";
  EXPECT_EQ(std::system((std::string(LOWRANK_PROGRAM) + " " + train + " <&- >&- 2>&-").c_str()), 0);
  std::istringstream metrics(test::content_of(out() / "metrics.jsonl"));
  for (std::string line; std::getline(metrics, line);) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
}

TEST_F(Streams, NothingThatATerminalObeysIsShown) {
  const auto obeyed = [](const std::string& text) {
    return text.find_first_of("\x1b\x07\x7f") != std::string::npos ||
           text.find("\xc2\x9b") != std::string::npos;
  };
  const auto file =
      write("esc.safetensors",
            test::safetensors_bytes(R"({"__metadata__":{"title":"\u001b]0;x\u0007\u009b31m\u007f"},)"
                                    R"("a\u001b[31m":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                    std::string(4, '\0')));
  const test::Outcome inspected = succeeds("inspect --tensors " + file.string());
  EXPECT_FALSE(obeyed(inspected.out)) << inspected.out;
  EXPECT_NE(inspected.out.find("\\x1b"), std::string::npos) << inspected.out;
  for (const char* words : {"'\x1b[31m'", "train '--a\x1b[31m' 1", "evaluate --data d --model '\x1b[31m'",
                            "train --dry-run '\xc2\x9b'", "inspect 'a\x7f'"}) {
    const test::Outcome outcome = run(words);
    EXPECT_NE(outcome.code, 0) << words;
    EXPECT_FALSE(obeyed(outcome.err)) << words << outcome.err;
  }
}

TEST_F(Streams, AModelNamedInOtherBytesThanUtf8Works) {
  const std::filesystem::path odd = folder.path() / "mod\xe9le\n- x";
  std::filesystem::copy(model(), odd, std::filesystem::copy_options::recursive);
  const std::string named = " --model '" + odd.string() + "'";
  succeeds("train" + named + " --data " + rows() + " --steps 2 --save-every 1 --dtype f32 --output " +
           out().string());
  succeeds("evaluate" + named + " --data " + rows() + " --adapter " + out().string());
  succeeds("train --dry-run" + named);
  const nlohmann::json config = nlohmann::json::parse(test::content_of(out() / "adapter_config.json"));
  EXPECT_NE(config["base_model_name_or_path"].get<std::string>().find("mod\uFFFDle"), std::string::npos);
  // One line of YAML, and text that is UTF-8.
  const std::string card = test::content_of(out() / "README.md");
  EXPECT_TRUE(card.starts_with("---\nbase_model: \"mod\uFFFDle\\n- x\"\nlibrary_name: ")) << card;
  EXPECT_EQ(card.find("\n- x"), std::string::npos) << card;
}

TEST_F(Streams, AModelCardShowsTheDatasNameAsItIs) {
  const auto data = write("<b>x|y.jsonl", test::content_of(rows()));
  succeeds("train --steps 1 --model " + model() + " --data '" + data.string() + "' --output " +
           out().string());
  const std::string card = test::content_of(out() / "README.md");
  EXPECT_NE(card.find("| data | \\<b\\>x\\|y.jsonl |"), std::string::npos) << card;
}

TEST_F(Streams, AnAdaptersConfigurationIsNamedWhateverItHolds) {
  succeeds("train --steps 1 --model " + model() + " --data " + rows() + " --output " + out().string());
  const nlohmann::json config = read_json_file(out() / "adapter_config.json", 1 << 20);
  for (const auto& [key, value] : {std::pair<const char*, nlohmann::json>{"use_dora", "yes"},
                                   {"peft_type", 3},
                                   {"peft_type", nullptr},
                                   {"r", "8"},
                                   {"bias", 5}}) {
    nlohmann::json changed = config;
    changed[key] = value;
    write_file_atomically(out() / "adapter_config.json", changed.dump());
    const test::Outcome outcome =
        run("evaluate --model " + model() + " --data " + rows() + " --adapter " + out().string());
    EXPECT_EQ(outcome.code, 1) << key;
    EXPECT_NE(outcome.err.find(out().string()), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find("json.exception"), std::string::npos) << outcome.err;
  }
}

TEST_F(Streams, ErrorsOfLibrariesAreSentences) {
  const auto words = [](auto&& action) -> std::string {
    try {
      action();
    } catch (const std::exception& error) {
      return sentence_of(error);
    }
    return "";
  };
  const std::string tensors = words([] { TORCH_CHECK(false, "shape '[2]' is invalid"); });
  EXPECT_EQ(tensors, "the computation failed: shape '[2]' is invalid");
  const std::string json = words([] { (void)nlohmann::json(nullptr).get<int>(); });
  EXPECT_NE(json.find("type must be number"), std::string::npos) << json;
  EXPECT_EQ(json.find("json.exception"), std::string::npos) << json;
  const std::string file = words([] { std::filesystem::remove("/proc/self/status"); });
  EXPECT_TRUE(file.starts_with("/proc/self/status: cannot remove: ")) << file;
  EXPECT_EQ(words([] { throw std::bad_alloc(); }), "out of memory");
  EXPECT_NE(words([] { (void)std::stoll("x"); }).find("unexpected failure"), std::string::npos);
}

}  // namespace
}  // namespace lowrank
