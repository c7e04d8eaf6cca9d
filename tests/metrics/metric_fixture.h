#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "metrics/texts.h"

namespace lowrank::metrics::test {

/// A file of tests/fixtures/metrics, or of the folder that LOWRANK_METRICS_FIXTURE names.
inline nlohmann::json metric_fixture(const std::string& name) {
  const char* folder = std::getenv("LOWRANK_METRICS_FIXTURE");
  const std::filesystem::path path =
      folder != nullptr ? std::filesystem::path(folder) : std::filesystem::path(LOWRANK_FIXTURES) / "metrics";
  return nlohmann::json::parse(std::ifstream(path / name));
}

struct Corpus {
  std::vector<std::string> predictions;
  std::vector<References> references;
};

inline std::map<std::string, Corpus> metric_corpora() {
  std::map<std::string, Corpus> corpora;
  const nlohmann::json texts = metric_fixture("texts.json");
  for (const auto& [name, corpus] : texts.items()) {
    corpora[name] = {corpus.at("predictions"), corpus.at("references")};
  }
  return corpora;
}

/// The cases of a metric, with the corpus of each.
template <typename Visit>
void each_case(const std::string& metric, Visit visit) {
  const std::map<std::string, Corpus> corpora = metric_corpora();
  const nlohmann::json scores = metric_fixture("scores.json");
  size_t visited = 0;
  for (const nlohmann::json& item : scores.at("cases")) {
    if (item.at("metric") != metric) continue;
    SCOPED_TRACE(item.at("corpus").get<std::string>() + " " + item.value("options", nlohmann::json()).dump());
    visit(item, corpora.at(item.at("corpus").get<std::string>()));
    ++visited;
  }
  EXPECT_GT(visited, 10u) << metric;
}

/// An option of a case, or its default.
template <typename T>
T option_of(const nlohmann::json& item, const std::string& name, T otherwise) {
  const nlohmann::json options = item.value("options", nlohmann::json::object());
  return options.value(name, otherwise);
}

}  // namespace lowrank::metrics::test
