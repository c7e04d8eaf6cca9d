// The program is stopped at its calls that change files, by a signal or by a full disk: what is left is the
// old state or the new one. LOWRANK_FAULT_POINTS: number of calls tried for each command and kind (0: all).
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include <fmt/ranges.h>

#include "base/error.h"
#include "model/checkpoint.h"
#include "peft/files/adapter_file.h"
#include "support/places.h"
#include "support/program.h"
#include "support/tiny_model.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

constexpr const char* rows =
    "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[9,8,7]}\n{\"input_ids\":[4,4,4,4]}\n{\"input_ids\":[6,2,5]}"
    "\n";

constexpr const char* full_disk = "28";  // ENOSPC

class Faults : public test::ProgramTest {
 protected:
  void SetUp() override { data = write("rows.jsonl", rows).string(); }

  std::string with_model(const std::string& command) const {
    return command + " --model " + (gguf ? test::fixture("tiny_gguf/mixed.gguf") : model).string();
  }
  std::string train(const std::string& more) const {
    return with_model("train") + " --data " + data + " --output " + out().string() +
           " --batch-size 2 --dtype f32 --lr 0.05 " + more;
  }

  /// An adapter's content: configurations and values; empty if none can be loaded.
  std::string fingerprint(const fs::path& adapter_folder) const {
    try {
      const Adapter adapter = load_adapter(adapter_folder, *checkpoint());
      std::string text = adapter.method->form().config().dump();
      if (adapter.method->form().parts()) {
        for (const Adapter& part : *adapter.method->form().parts())
          text += part.method->form().config().dump();
      }
      const at::Tensor& values = adapter.parameters->values();
      return text.append(reinterpret_cast<const char*>(values.const_data_ptr()), values.nbytes());
    } catch (const Error&) {
      return "";
    }
  }

  /// All files below a path, by name.
  static std::map<std::string, std::string> content(const fs::path& path) {
    std::map<std::string, std::string> files;
    if (fs::is_regular_file(path)) files[""] = test::content_of(path);
    if (!fs::is_directory(path)) return files;
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_regular_file())
        files[entry.path().lexically_relative(path).string()] = test::content_of(entry.path());
    }
    return files;
  }

  std::vector<std::string> temporaries() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
      if (entry.path().string().ends_with(".partial")) found.push_back(entry.path().string());
    }
    return found;
  }

  /// Runs the command from `before` (the content of out()) with a fault of each kind at each point that is
  /// tried; `check` examines what is left.
  void sweep(const std::string& name, const fs::path& before, const std::string& command,
             const std::vector<std::string>& kinds, const std::function<void()>& check) {
    const fs::path counted = folder.path() / "count";
    restore(before);
    fault("0", "none", counted);
    ASSERT_EQ(run(command).code, 0) << name;
    const int64_t calls = std::stoll(test::content_of(counted));
    const char* given = std::getenv("LOWRANK_FAULT_POINTS");
    const int64_t wanted = given ? std::atoll(given) : 4;
    const int64_t stride = wanted > 0 ? std::max<int64_t>(1, (calls + wanted - 1) / wanted) : 1;
    int64_t shift = 0, tried = 0;
    for (const std::string& kind : kinds) {
      bool stopped = false;
      for (int64_t at = 1 + shift++ % stride; at <= calls; at += stride, ++tried) {
        restore(before);
        fault(std::to_string(at), kind, "");
        const test::Outcome outcome = run(command);
        SCOPED_TRACE(fmt::format("{}: {} at call {} of {}: {}", name, kind, at, calls, outcome.err));
        const std::set<int> codes = kind == "kill"   ? std::set<int>{137}
                                    : kind == "int"  ? std::set<int>{0, 130}
                                    : kind == "term" ? std::set<int>{0, 143}
                                                     : std::set<int>{0, 1};
        EXPECT_TRUE(codes.contains(outcome.code)) << outcome.code;
        stopped |= outcome.code != 0;
        const bool cleans_up = kind != "kill";
        EXPECT_TRUE(!cleans_up || temporaries().empty());
        environment.clear();
        check();
      }
      EXPECT_TRUE(stopped) << name << ": " << kind;
    }
    fmt::print("{}: {} of {} faults ({} calls, {})\n", name, tried, calls * std::ssize(kinds), calls,
               fmt::join(kinds, ", "));
    environment.clear();
    restore(before);
  }

  fs::path model = test::fixture("tiny_llama/linear");
  bool gguf = false;
  std::string data;

 private:
  std::shared_ptr<const Checkpoint> checkpoint() const {
    return Checkpoint::open(gguf ? test::fixture("tiny_gguf/mixed.gguf") : model);
  }

  void restore(const fs::path& before) const {
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("out")) fs::remove_all(entry.path());
    }
    if (!before.empty()) fs::copy(before, out(), fs::copy_options::recursive);
  }

  void fault(const std::string& at, const std::string& kind, const fs::path& count) {
    environment = fmt::format("LD_PRELOAD={} FAULT_AT={} FAULT={}", LOWRANK_FAULT_INJECTOR, at, kind);
    if (!count.empty()) environment += " FAULT_COUNT=" + count.string();
  }
};

class AdapterFaults : public Faults {
 protected:
  /// Trains `first`, then `second` over it, with a checkpoint and an evaluation after each step.
  void expect_old_or_new(const std::string& name, const std::string& first, const std::string& second,
                         const std::vector<std::string>& kinds) {
    succeeds(train(first + " --steps 1 --seed 5"));
    const fs::path old = folder.path() / "old";
    fs::rename(out(), old);
    const std::string command =
        train(second + " --steps 3 --seed 6 --save-every 1 --eval-split 0.3 --eval-every 1 --overwrite");
    succeeds(command);
    std::set<std::string> states{fingerprint(old), fingerprint(out())};
    for (int step = 1; step < 3; ++step)
      states.insert(fingerprint(out() / fmt::format("checkpoint-{}", step)));
    ASSERT_FALSE(states.contains(""));
    ASSERT_GE(states.size(), 3U);
    sweep(name, old, command, kinds, [&] {
      EXPECT_TRUE(states.contains(fingerprint(out())));
      for (const auto& entry : fs::directory_iterator(out())) {
        const std::string folder_name = entry.path().filename().string();
        const bool complete =
            folder_name.starts_with("checkpoint-") && folder_name.find('.') == std::string::npos;
        EXPECT_TRUE(!complete || states.contains(fingerprint(entry.path()))) << folder_name;
      }
    });
  }
};

TEST_F(AdapterFaults, AnAdapterIsTheOldOneOrTheNewOne) {
  expect_old_or_new("lora over lora", "--alpha 8", "--alpha 64", {"kill", full_disk, "int", "term"});
}

TEST_F(AdapterFaults, RanksThatFallStayWithTheirTensors) {
  expect_old_or_new("adalora over adalora", "--method adalora --tinit 0 --tfinal 0",
                    "--method adalora --init-r 6 --target-r 2 --tinit 0 --tfinal 0 --delta-t 1",
                    {"kill", full_disk});
}

TEST_F(AdapterFaults, MethodsSideBySideAreOfOneRun) {
  expect_old_or_new("side by side", "--method lora+prompt_tuning",
                    "--method lora+prompt_tuning --alpha 64 --num-virtual-tokens 3", {"kill", full_disk});
}

TEST_F(Faults, AMergedFolderIsWholeOrNotThere) {
  succeeds(train("--steps 1"));
  const fs::path adapter = folder.path() / "adapter";
  fs::rename(out(), adapter);
  for (const std::string& command : {with_model("merge"), with_model("export") + " --format peft"}) {
    const std::string whole = command + " --adapter " + adapter.string() + " --output " + out().string();
    succeeds(whole);
    const auto expected = content(out());
    sweep(command.substr(0, 6), "", whole, {"kill", full_disk, "int", "term"},
          [&] { EXPECT_TRUE(!fs::exists(out()) || content(out()) == expected); });
  }
}

TEST_F(Faults, AnExportIsTheOldOneOrTheNewOne) {
  gguf = true;
  const fs::path old = folder.path() / "old";
  succeeds(train("--steps 1 --export gguf"));
  fs::rename(out(), old);
  const std::string command = train("--steps 2 --alpha 64 --export gguf --overwrite");
  succeeds(command);
  const auto first = content(old / "model.gguf"), second = content(out() / "model.gguf");
  ASSERT_NE(first, second);
  sweep("model.gguf", old, command, {"kill", full_disk}, [&] {
    const auto found = content(out() / "model.gguf");
    EXPECT_TRUE(found == first || found == second);
  });
}

TEST_F(Faults, AModelInTheFolderIsOfOneRun) {
  const auto weights = [&](const fs::path& path) {
    // Without config.json nothing loads.
    return fs::exists(path / "config.json") ? content(path / "model.safetensors")
                                            : std::map<std::string, std::string>{{"", "none"}};
  };
  const fs::path old = folder.path() / "old";
  succeeds(train("--method full --steps 1"));
  fs::rename(out(), old);
  const std::string command = train("--method full --steps 2 --overwrite");
  succeeds(command);
  const auto first = weights(old), second = weights(out());
  ASSERT_NE(first, second);
  sweep("full over full", old, command, {"kill", full_disk}, [&] {
    const auto found = weights(out());
    EXPECT_TRUE(found == first || found == second || found.begin()->second == "none");
  });
}

/// A model that talks: a tiny one with a tokenizer and a chat template.
class ChatFaults : public Faults {
 protected:
  void SetUp() override {
    const fs::path tokenizer = test::fixture("text/smollm_small");
    nlohmann::json config = test::tiny_llama_config();
    config["vocab_size"] = load_tokenizer(tokenizer).vocabulary_size();
    model = folder.path() / "model";
    test::write_tiny_model(model, config);
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
      fs::copy_file(tokenizer / name, model / name);
    fs::copy_file(test::fixture("chat/chatml.jinja"), model / "chat_template.jinja");
    std::string conversations;
    for (const char* answer : {"one", "two", "three", "four"})
      conversations += fmt::format(
          "{{\"messages\":[{{\"role\":\"user\",\"content\":\"q\"}},{{\"role\":\"assistant\",\"content\":\"{}"
          "\"}}]}}\n",
          answer);
    data = write("chats.jsonl", conversations).string();
  }
};

TEST_F(ChatFaults, RecordsAreWhole) {
  const std::string command =
      train("--steps 3 --save-every 1 --eval-split 0.3 --sample-every 1 --report-to tensorboard");
  succeeds(command);
  const std::string chat_template = test::content_of(out() / "chat_template.jinja");
  ASSERT_EQ(chat_template, test::content_of(model / "chat_template.jinja"));
  sweep("records", "", command, {"kill", full_disk, "int"}, [&] {
    const auto found = content(out());
    for (const auto& [name, text] : found) {
      const std::string file = fs::path(name).filename().string();
      EXPECT_TRUE(file != "chat_template.jinja" || text == chat_template);
      EXPECT_TRUE(file != "trainer_state.json" || nlohmann::json::accept(text)) << name;
      EXPECT_TRUE(file != "run.html" || text.ends_with("</html>\n")) << name;
      EXPECT_TRUE(file != "loss.svg" || text.ends_with("</svg>\n")) << name;
    }
  });
}

TEST_F(ChatFaults, AConvertedFileIsWholeOrNotThere) {
  const fs::path file = folder.path() / "out.gguf";
  const std::string command = "convert --model " + model.string() + " --type f16 --output " + file.string();
  succeeds(command);
  const auto expected = content(file);
  fs::remove(file);
  sweep("convert", "", command, {"kill", full_disk, "int", "term"},
        [&] { EXPECT_TRUE(!fs::exists(file) || content(file) == expected); });
}

/// After any end the same command goes on, and comes to the same numbers.
TEST_F(ChatFaults, AComparisonGoesOn) {
  const fs::path source = folder.path() / "rows";
  fs::create_directories(source);
  std::string lines;
  for (const char* answer : {"one", "two", "three", "four"})
    lines += fmt::format("{{\"prompt\":\"what\",\"completion\":\" {}\"}}\n", answer);
  for (const char* name : {"train.jsonl", "validation.jsonl", "test.jsonl"})
    write_file_atomically(source / name, lines);
  const std::string command =
      "compare " +
      write("comparison.yaml", fmt::format("model: {}\nsource: {}\noutput: {}\nbenchmark: jsonl\ndtype: f32\n"
                                           "benchmark_options: {{metrics: [rouge_l]}}\n"
                                           "training: {{steps: 4, batch_size: 2}}\n"
                                           "generation: {{max_new_tokens: 2, temperature: 0}}\n"
                                           "latency_tokens: 2\nmax_rows: 2\nbase: false\nseeds: [1, 2, 3]\n"
                                           "search: {{rungs: 1}}\nmethods: [{{method: lora, rank: 2, "
                                           "learning_rates: [1.0e-3, 1.0e-2]}}]\n",
                                           model.string(), source.string(), out().string()))
          .string();
  succeeds(command);
  const auto losses = [&] {
    std::vector<double> found;
    const nlohmann::json results = nlohmann::json::parse(test::content_of(out() / "results.json"));
    for (const nlohmann::json& run : results["runs"]) found.push_back(run["validation_loss"].get<double>());
    return found;
  };
  const std::vector<double> expected = losses();
  ASSERT_EQ(expected.size(), 3U);
  sweep("compare", "", command, {"kill", full_disk, "int", "term"}, [&] {
    succeeds(command);
    std::vector<double> found = losses();
    ASSERT_EQ(found.size(), 3U);
    // Runs that go on alone are those that were trained together, up to rounding.
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(found[i], expected[i], 1e-3);
  });
}

}  // namespace
}  // namespace lowrank
