// Options and words as a user writes them: any text can be a value, nothing is silently given twice, and
// errors name what was meant.
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace lowrank {
namespace {

class CommandLine : public test::ProgramTest {
 protected:
  static std::string model() { return test::fixture("tiny_llama/linear").string(); }
  static std::string tokenizer() { return test::fixture("text/smollm_small.gguf").string(); }
  static std::string plan(const std::string& more) {
    return "train --dry-run --model " + model() + " " + more;
  }
  nlohmann::json planned(const std::string& more) const {
    return nlohmann::json::parse(succeeds(plan(more)).out)["configuration"];
  }
  std::string tokens(const std::string& arguments) const {
    return succeeds("tokenize --json --model " + tokenizer() + " " + arguments).out;
  }
  std::string config(const std::string& text) const { return "--config " + write("c.yaml", text).string(); }
  std::string error_of(const std::string& arguments) const {
    const test::Outcome outcome = run(arguments);
    EXPECT_TRUE(outcome.code == 1 || outcome.code == 2) << outcome.code << arguments << '\n' << outcome.err;
    return outcome.err;
  }
};

TEST_F(CommandLine, AnyTextIsAValue) {
  const auto file = [&](const std::string& text) {
    return "--lines --data " + write("t.txt", text).string();
  };
  for (const char* text :
       {"config=production", "model=x", "--config", "--help", "--json", "-h", "--model=x", "a=b"}) {
    const std::string expected = tokens(file(text));
    EXPECT_EQ(tokens(std::string("--text '") + text + "'"), expected) << text;
    EXPECT_EQ(tokens(std::string("--text='") + text + "'"), expected) << text;
    EXPECT_EQ(tokens(std::string("text='") + text + "'"), expected) << text;
  }
}

TEST_F(CommandLine, AFlagIsNoForgottenValue) {
  refused(plan("--output --rank 4"), "--output needs a value (--output=--rank if --rank is meant)");
  refused(plan("--rank"), "--rank needs a value");
  refused(plan("--shuffle false"), "--shuffle takes no value: write --shuffle=false");
  EXPECT_EQ(planned("--shuffle=false --output=--rank")["shuffle"], false);
}

TEST_F(CommandLine, NothingIsGivenTwice) {
  for (const char* two : {"--rank 4 --rank 16", "--rank 4 rank=16", "rank=4 rank=16", "--rank=4 --rank 16"})
    refused(plan(two), "--rank is given twice: \"4\" and \"16\"");
  refused(plan("--shuffle --no-shuffle"), "--shuffle is given twice");
  refused(plan("--target-modules q_proj --target_modules v_proj"), "--target-modules is given twice");
  refused("evaluate --model m --data a.jsonl --data b.jsonl", "give a folder or a pattern with *");
  refused(plan("--columns a=b --columns c=d"), "a list is written with commas");
  refused(plan(config("rank: 4") + " " + config("rank: 4")), "--config is given twice");
  refused("classify --model m --adapter A --adapter B --data d", "--adapter is given twice");
  refused("merge --model m --adapter A --adapter B --output o", "--adapter is given twice");
  refused(plan(config("rank: 4\nrank: 8\n")), "c.yaml:2: the key \"rank\" stands twice");
  refused(plan(config("target-modules: q_proj\ntarget_modules: v_proj\n")), "are the same key");
}

TEST_F(CommandLine, PeersNamesAreRecognised) {
  const std::string theirs =
      "--learning-rate 1e-4 --lora-r 8 --lora_alpha 16 --num-train-epochs 3 --per-device-train-batch-size 2 "
      "--gradient-accumulation-steps 4 --iters=100 --max-seq-length 512 --lr-scheduler-type cosine";
  const std::string ours =
      "--lr 1e-4 --rank 8 --alpha 16 --epochs 3 --batch-size 2 --grad-accum 4 --steps 100 --max-length 512 "
      "--schedule cosine";
  EXPECT_EQ(succeeds(plan(theirs)).out, succeeds(plan(ours)).out);
  refused(plan("--lr 1e-4 --learning-rate 1e-3"), "--lr is given twice");
  refused(plan("--iters"), "--iters needs a value");
  refused("generate -m nowhere/m.gguf -p a -n 3 --temp 0", "nowhere/m.gguf: no such file");
  EXPECT_NE(succeeds("train --help").out.find("(also --iters, --max-steps)"), std::string::npos);
  EXPECT_EQ(planned(config("learning_rate: 1e-4\nlora-r: 3\n"))["rank"], 3);
  EXPECT_EQ(planned("lora_r=3 iters=7")["steps"], 7);
  refused(plan(config("learning_rate: 1e-4\nlr: 1e-3\n")), "learning_rate and lr are the same key");
  refused(plan(config("rank: 4\nlora_r: x\n")), "are the same key");
  refused(plan(config("p: text\n")), "unknown key \"p\"");
}

TEST_F(CommandLine, AnErrorNamesTheOptionAsItWasWritten) {
  refused(plan("--max-steps -1"), "--max-steps must be between 1 and");
  refused(plan("--on-long x"), "--on-long must be one of ");
  refused(plan("steps=-1"), "steps must be between 1");
  refused(plan(config("max-steps: -1")), "max-steps must be between 1");
}

TEST_F(CommandLine, WrongUsageHasACodeOfItsOwn) {
  for (const char* wrong : {"train --bogus 1", "train --steps 1 --steps 2", "train --steps abc", "trian",
                            "bench nothing", "inspect", "generate --model m --prompt ''", "methods a b"})
    EXPECT_EQ(run(wrong).code, 2) << wrong;
  EXPECT_EQ(run("evaluate --data nowhere.jsonl --model " + model()).code, 1);
  refused("generate --model m --prompt ''", "--prompt is empty");
}

TEST_F(CommandLine, PeersNamesForOtherThingsAreRefused) {
  const std::string message =
      error_of(plan("--warmup-ratio 0.1 --num-layers 8 --mask-prompt --dataset d --unheard-of 7 --packing"));
  for (const char* part : {"--warmup-ratio is not known: --warmup counts steps, not a share of them",
                           "--num-layers is not known: --layers-to-transform takes the numbers",
                           "--packing is not known: examples are always packed",
                           "--mask-prompt is not known: of rows with a prompt only the completion is learned",
                           "--dataset is not known (did you mean --data?)", "--unheard-of is not known"})
    EXPECT_NE(message.find(part), std::string::npos) << part << '\n' << message;
  // The values after them are not errors of their own.
  for (const char* value : {"\"0.1\"", "\"8\"", "\"7\""})
    EXPECT_EQ(message.find(value), std::string::npos) << value << '\n' << message;
  refused(plan(config("base_model: x")), "unknown key \"base_model\" (did you mean model?)");
}

TEST_F(CommandLine, AnOptionOfAnotherMethodIsCalledThat) {
  refused(plan("--method ia3 --rank 8"), "--rank is not known; the method ia3 has no option --rank");
  refused(plan("--method ia3 --lora-r 8"), "--lora-r is not known; the method ia3 has no option --rank");
  refused(plan("--num-virtual-tokens 8"), "the method lora has no option --num-virtual-tokens");
  refused(plan(config("method: ia3\nrank: 8")), "unknown key \"rank\"; the method ia3 has no option rank");
}

TEST_F(CommandLine, AFileMayWriteNamesListsAndScalarsAsPeersDo) {
  const nlohmann::json lists = planned(config(
      "target-modules: [q_proj, k_proj]\nlayers_to_transform: 1\nmodules_to_save: lm_head\ngrad-accum: 2\n"));
  EXPECT_EQ(lists["target_modules"], "q_proj,k_proj");
  EXPECT_EQ(lists["layers_to_transform"], nlohmann::json({1}));
  EXPECT_EQ(lists["modules_to_save"], nlohmann::json({"lm_head"}));
  EXPECT_EQ(lists["grad_accum"], 2);
  EXPECT_EQ(
      planned(config("chat_template_kwargs: {enable_thinking: false, mode: brief}"))["chat_template_kwargs"],
      nlohmann::json({"enable_thinking=false", "mode=brief"}));
  EXPECT_EQ(planned(config("chat_template_kwargs: {b: 1, a: 2}"))["chat_template_kwargs"],
            nlohmann::json({"b=1", "a=2"}));
  // What a file quotes is text, also to the template.
  EXPECT_EQ(
      planned(config("chat_template_kwargs: {a: '123', b: 'true', c: '123 x'}"))["chat_template_kwargs"],
      nlohmann::json({"a=\"123\"", "b=\"true\"", "c=123 x"}));
  EXPECT_EQ(planned(config("columns: {prompt: '1', completion: 2}"))["columns"],
            nlohmann::json({"completion=2", "prompt=1"}));
  refused(plan(config("target_modules: [[q_proj]]")), "target_modules must be text, not a nested list");
  refused(plan(config("target_modules: [\"q.*\"]")), "target_modules must be text, not [\"q.*\"]");
  refused(plan(config("output: [a, b]")), "output must be text");
  refused(plan(config("rank: [4]")), "rank must be an integer");
  refused(plan(config("config: other.yaml")), "unknown key \"config\"");
  // The command line takes precedence.
  EXPECT_EQ(planned(config("rank: 8") + " rank=4")["rank"], 4);
  EXPECT_EQ(planned(config("rank: 8") + " --rank 2")["rank"], 2);
}

TEST_F(CommandLine, AFileThatGrowsByAliasesIsRefused) {
  std::string bomb = "a0: &a0 [x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += fmt::format("a{0}: &a{0} [{1},{1},{1},{1},{1},{1},{1},{1}]\n", i, before);
  }
  refused(plan(config(bomb)), "more than 100000 values");
  std::string text = "long: &long " + std::string(100'000, 'x') + "\nmany: [";
  for (int i = 0; i < 1000; ++i) text += "*long,";
  refused(plan(config(text + "]\n")), "bytes of text");
}

TEST_F(CommandLine, WhatIsMissingIsToldAtOnce) {
  refused("train", "missing --model, --data, --output; --help tells what the command takes");
  refused("train --dry-run", "missing --model");
  refused("generate", "missing --model, --prompt, --messages or --data");
  refused("tokenize --model " + tokenizer(), "missing --text or --data");
  refused(plan("--data nowhere.jsonl"), "nowhere.jsonl: no such file");
  refused(plan("--data -"), "rows are read from files, not from standard input");
  for (const char* command :
       {"evaluate", "embed", "classify", "merge", "export", "bench decode", "bench limit", "intrinsic"})
    refused(command, "missing --model");
  refused("inspect", "missing the path");
  for (const char* command : {"train", "train --dry-run", "evaluate", "generate"})
    EXPECT_EQ(run(command).code, 2) << command;
}

TEST_F(CommandLine, AHubNameIsNoPath) {
  environment = "HF_HUB_CACHE=" + (folder.path() / "hub").string();
  for (const std::string& command :
       {std::string("evaluate --data d"), std::string("train --dry-run"), std::string("tokenize --text a"),
        "train --data d --output " + out().string()}) {
    const std::string message = error_of(command + " --model HuggingFaceTB/SmolLM2-135M");
    for (const std::string& part : {"HuggingFaceTB/SmolLM2-135M is not in the Hugging Face cache at " +
                                        (folder.path() / "hub").string(),
                                    std::string("fetch it with: hf download HuggingFaceTB/SmolLM2-135M")})
      EXPECT_NE(message.find(part), std::string::npos) << command << message;
  }
  const std::string adapter = error_of("evaluate --data d --model " + model() + " --adapter me/my-lora");
  EXPECT_NE(adapter.find("hf download me/my-lora"), std::string::npos) << adapter;
  EXPECT_EQ(error_of("evaluate --data d --model ./nowhere/model").find("hf download"), std::string::npos);
  const auto rows = write("rows.jsonl", "{\"input_ids\":[1,2]}\n");
  refused("inspect " + rows.string(), "inspect reads");
}

TEST_F(CommandLine, ARunGoesOnWithTheAdaptersOwnOptions) {
  const auto rows = write("rows.jsonl", "{\"input_ids\":[1,2,3]}\n{\"input_ids\":[4,5]}\n");
  const std::string adapter = (folder.path() / "adapter").string();
  const std::string train = "train --steps 1 --model " + model() + " --data " + rows.string() + " --output ";
  succeeds(train + adapter + " --rank 3 --alpha 6 --target-modules k_proj,o_proj");
  const std::string init = "--init-adapter " + adapter;
  const std::string message =
      error_of(plan(init + " --method dora --rank 32 alpha=6 --target-modules all-linear"));
  for (const char* part : {"its method is lora, not dora", "its rank is 3, not 32",
                           "its target_modules is \"k_proj,o_proj\", not \"all-linear\""})
    EXPECT_NE(message.find(part), std::string::npos) << part << '\n' << message;
  EXPECT_EQ(message.find("alpha"), std::string::npos) << message;
  refused(train + out().string() + " " + init + " --rank 4", "its rank is 3, not 4");
  refused(plan(init + " " + config("dropout: 0.5")), "its dropout is 0.0, not 0.5");
  refused(plan(init + " --method ia3"), "its method is lora, not ia3");
  // What the adapter says itself may be repeated, even in other words.
  for (const char* same : {"", " --method lora --rank 3", " --target-modules o_proj,k_proj",
                           " --target-modules '.*\\.[ko]_proj'"}) {
    const nlohmann::json plan_of_run = nlohmann::json::parse(succeeds(plan(init + same)).out);
    EXPECT_EQ(plan_of_run["configuration"]["rank"], 3) << same;
    // Two layers; k 32 to 16, o 32 to 32.
    EXPECT_EQ(plan_of_run["trained_parameters"], 2 * 3 * (48 + 64)) << same;
  }
  succeeds(train + out().string() + " " + init + " --rank 3 --lr 1e-3");
  EXPECT_EQ(read_json_file(out() / "adapter_config.json", 1 << 20)["r"], 3);
}

TEST_F(CommandLine, ARunGoesOnWithMethodsSideBySide) {
  const auto rows = write("rows.jsonl", "{\"input_ids\":[1,2,3]}\n{\"input_ids\":[4,5]}\n");
  const std::string adapter = (folder.path() / "adapter").string();
  succeeds("train --steps 1 --method lora+prompt_tuning --rank 3 --num-virtual-tokens 2 --model " + model() +
           " --data " + rows.string() + " --output " + adapter);
  const nlohmann::json found = planned("--init-adapter " + adapter);
  EXPECT_EQ(found["method"], "lora+prompt_tuning");
  EXPECT_EQ(found["num_virtual_tokens"], 2);
  refused(plan("--init-adapter " + adapter + " --num-virtual-tokens 4"),
          "its num_virtual_tokens is 2, not 4");
}

TEST_F(CommandLine, HelpIsNoError) {
  for (const char* command : {"--help", "help", "train -h", "inspect --help"})
    EXPECT_NE(succeeds(command).out.find("lowrank"), std::string::npos) << command;
  for (const char* command : {"train --help", "help train"})
    EXPECT_NE(succeeds(command).out.find("constant|linear|cosine"), std::string::npos) << command;
  EXPECT_EQ(run("").code, 2);
  EXPECT_EQ(run("trian").code, 2);
}

TEST_F(CommandLine, OneMethodIsListedByName) {
  const std::string listed = succeeds("methods dora").out;
  EXPECT_TRUE(listed.starts_with("dora: ")) << listed;
  EXPECT_EQ(listed.find("lora: low"), std::string::npos) << listed;
  refused("methods lore", "did you mean lora?");
}

}  // namespace
}  // namespace lowrank
