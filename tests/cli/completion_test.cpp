// The completion scripts and the manual page: what a shell is offered.
#include <array>
#include <cstdio>
#include <memory>

#include "support/program.h"

namespace lowrank {
namespace {

class Completion : public test::ProgramTest {
 protected:
  /// What bash offers for the last of the words.
  std::string offered(const std::string& words, int count) {
    const auto script = write("completion.bash", succeeds("completion bash").out);
    const std::string command = "bash -c 'source " + script.string() + "; COMP_WORDS=(" + words +
                                "); COMP_CWORD=" + std::to_string(count - 1) +
                                "; _lowrank; echo \"${COMPREPLY[*]}\"'";
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::array<char, 4096> buffer{};
    std::string text;
    while (fgets(buffer.data(), buffer.size(), pipe.get())) text += buffer.data();
    return text;
  }
};

TEST_F(Completion, BashIsOfferedCommandsFlagsAndValues) {
  EXPECT_EQ(offered("lowrank tr", 2), "train\n");
  EXPECT_EQ(offered("lowrank train --dty", 3), "--dtype\n");
  EXPECT_EQ(offered("lowrank train --dtype b", 4), "bf16\n");
  EXPECT_EQ(offered("lowrank train --gralora-k", 3), "--gralora-k\n") << "an option of another method";
  EXPECT_EQ(offered("lowrank bench de", 3), "decode\n");
  EXPECT_EQ(offered("lowrank merge --no-che", 3), "--no-check\n");
}

TEST_F(Completion, EveryShellsScriptHasEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = succeeds(std::string("completion ") + shell).out;
    for (const char* word : {"train", "evaluate", "merge", "completion", "target-modules"})
      EXPECT_NE(script.find(word), std::string::npos) << shell << " " << word;
  }
  refused("completion", "missing --shell");
  refused("completion tcsh", "bash");
}

TEST_F(Completion, TheManualHasEveryCommandAndOption) {
  const std::string manual = succeeds("manual").out;
  for (const char* part :
       {".TH LOWRANK 1", ".SS lowrank train", "\\-\\-target\\-modules", ".SS lowrank methods"})
    EXPECT_NE(manual.find(part), std::string::npos) << part;
}

}  // namespace
}  // namespace lowrank
