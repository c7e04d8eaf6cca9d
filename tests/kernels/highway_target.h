#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

namespace lowrank {

/// The Highway targets that the kernels are compiled for, best first, as Highway's bits.
std::vector<int64_t> compiled_targets();

/// "AVX3", "AVX2", ...
std::string target_name(int64_t target);

/// Whether kernels may run it: this processor has it, and LOWRANK_CPU allows it.
bool can_run(int64_t target);

/// The reason to skip a target that cannot run.
std::string skip_reason(int64_t target);

/// While one exists, all dynamic dispatch goes to one target, which is checked with a kernel's own answer.
class Target {
 public:
  explicit Target(int64_t target);
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
};

/// A test of the target that its parameter is, or begins with; skipped with the reason if that cannot run.
template <class Parameter>
class OnTarget : public testing::TestWithParam<Parameter> {
 protected:
  void SetUp() override {
    int64_t target = 0;
    if constexpr (std::is_same_v<Parameter, int64_t>) {
      target = this->GetParam();
    } else {
      target = std::get<0>(this->GetParam());
    }
    if (!can_run(target)) GTEST_SKIP() << skip_reason(target);
    chosen_.emplace(target);
  }

 private:
  std::optional<Target> chosen_;
};

}  // namespace lowrank
