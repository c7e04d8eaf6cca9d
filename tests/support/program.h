#pragma once

#include <array>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "support/temporary_folder.h"

namespace lowrank::test {

struct Outcome {
  int code = 0;
  std::string out, err;
};

/// Runs the program as a user does, with its own folder for what it reads and writes.
class ProgramTest : public testing::Test {
 protected:
  Outcome run(const std::string& arguments) const {
    const std::filesystem::path err = folder.path() / "stderr";
    const std::string command =
        environment + " " + LOWRANK_PROGRAM + " " + arguments + " 2>" + err.string() + " <" + input.string();
    Outcome outcome;
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> piece{};
    while (const size_t count = fread(piece.data(), 1, piece.size(), pipe))
      outcome.out.append(piece.data(), count);
    const int status = pclose(pipe);
    constexpr int of_signals = 128;
    outcome.code = WIFSIGNALED(status) ? of_signals + WTERMSIG(status) : WEXITSTATUS(status);
    outcome.err = content_of(err);
    return outcome;
  }

  /// Runs a command that must succeed.
  Outcome succeeds(const std::string& arguments) const {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << arguments << '\n' << outcome.err;
    return outcome;
  }

  /// Runs a command that must be refused, as wrong usage or with another error, and write nothing to `out()`;
  /// the message contains `expected`.
  void refused(const std::string& arguments, const std::string& expected) const {
    const Outcome outcome = run(arguments);
    EXPECT_TRUE(outcome.code == 1 || outcome.code == 2) << outcome.code << arguments << '\n' << outcome.err;
    const size_t error = outcome.err.find("error: ");
    ASSERT_NE(error, std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(expected, error), std::string::npos) << arguments << '\n' << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(out())) << arguments;
  }

  std::filesystem::path write(const std::string& name, const std::string& content) const {
    write_file_atomically(folder.path() / name, content);
    return folder.path() / name;
  }

  std::filesystem::path out() const { return folder.path() / "out"; }

  TemporaryFolder folder;
  std::filesystem::path input = "/dev/null";  ///< the program's standard input
  std::string environment;                    ///< NAME=VALUE ... for the program
};

}  // namespace lowrank::test
