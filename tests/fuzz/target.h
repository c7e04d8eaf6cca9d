#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace lowrank::fuzz {

/// What a mutator changes inputs with: random numbers, and the fuzzer's own change of some bytes.
struct Mutation {
  std::mt19937 random;
  size_t (*change)(uint8_t* data, size_t size, size_t largest);

  /// A random number below `end`.
  size_t below(size_t end) { return random() % end; }
  /// True once in `times`.
  bool once_in(unsigned times) { return random() % times == 0; }
  /// The text with the fuzzer's own change, at most `growth` bytes longer.
  std::string changed(std::string text, size_t growth = 32) {
    const size_t size = text.size();
    text.resize(size + growth);
    text.resize(change(reinterpret_cast<uint8_t*>(text.data()), size, text.size()));
    return text;
  }
};

/// What one fuzzer feeds: tests/fuzz/NAME.cpp ends in `extern const Target NAME_target`.
struct Target {
  /// Reads an input as the program would and uses what it gives. An Error is a valid outcome; any other
  /// exception is a finding, as is a sanitizer report.
  void (*run)(std::string_view input);
  /// Changes an input so that it stays useful; nullptr: the fuzzer's own changes suffice.
  std::string (*mutate)(std::string_view input, Mutation& mutation) = nullptr;
};

}  // namespace lowrank::fuzz
