#pragma once

#include <chrono>
#include <csignal>
#include <fstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "support/places.h"
#include "support/program.h"

namespace lowrank::test {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Runs of several processes over a few rows, from a copy of a tiny model.
class ProcessesTest : public ProgramTest {
 public:
  using Clock = std::chrono::steady_clock;

 protected:
  void SetUp() override {
    rows = write("rows.jsonl",
                 "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[9,8,7]}\n{\"input_ids\":[4,4,4,4]}\n"
                 "{\"input_ids\":[3,1,4,1,5,9]}\n{\"input_ids\":[2,7,1,8]}\n{\"input_ids\":[6,6]}\n"
                 "{\"input_ids\":[5,4,3,2,1]}\n");
    std::filesystem::copy(fixture("tiny_llama/linear"), model(), std::filesystem::copy_options::recursive);
  }

  std::filesystem::path model() const { return folder.path() / "model"; }
  std::string train(const std::filesystem::path& output, const std::string& more) const {
    return "train --model " + model().string() + " --data " + rows.string() + " --output " + output.string() +
           " --batch-size 1 --grad-accum 4 --lr 0.01 --dtype " + dtype + " " + more;
  }

  static std::vector<double> losses(const std::filesystem::path& output, const char* key = "loss") {
    std::vector<double> found;
    std::ifstream file(output / "metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
      const nlohmann::json entry = nlohmann::json::parse(line);
      if (entry.contains(key)) found.push_back(entry[key].get<double>());
    }
    return found;
  }

  static void expect_near(const std::vector<double>& one, const std::vector<double>& other) {
    ASSERT_EQ(one.size(), other.size());
    for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], other[i], 1e-6) << i;
  }

  /// Starts the program, whose standard error goes to `stderr`.
  pid_t start(const std::string& arguments) const {
    const std::string command =
        "exec " + std::string(LOWRANK_PROGRAM) + " " + arguments + " 2>" + err().string() + " </dev/null";
    const pid_t process = fork();
    if (process == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    return process;
  }
  std::filesystem::path err() const { return folder.path() / "stderr"; }

  /// The process that one of this test's started as this rank; 0: none yet.
  static pid_t rank_of(pid_t launcher, const std::string& rank) {
    std::ifstream list(fmt::format("/proc/{0}/task/{0}/children", launcher));
    for (pid_t child = 0; list >> child;) {
      const std::string environment = content_of(fmt::format("/proc/{}/environ", child));
      if (environment.find('\0' + ("RANK=" + rank) + '\0') != std::string::npos) return child;
    }
    return 0;
  }

  template <class Condition>
  static bool within(double seconds, const Condition& condition) {
    for (const auto start = Clock::now(); seconds_since(start) < seconds;) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }

  /// Starts a long run of two processes and returns once it has taken a few steps.
  pid_t start_long_run(const std::string& more = "--processes 2") const {
    const pid_t process = start(train(out(), more + " --steps 1000000 --save-every 50 --keep 2"));
    EXPECT_TRUE(within(120, [&] { return std::filesystem::exists(out() / "checkpoint-50"); }))
        << content_of(err());
    return process;
  }

  /// The exit code of a process that ends by itself within a minute.
  static int code_of(pid_t process) {
    int status = 0;
    EXPECT_TRUE(within(60, [&] { return waitpid(process, &status, WNOHANG) == process; }));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::filesystem::path rows;
  std::string dtype = "f32";
};

}  // namespace lowrank::test
