// What a test reads of a chart.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lowrank::test {

/// The elements of an XML text, each closed; fails on tags that do not match, bare & and attributes without
/// quotes.
inline std::vector<std::string> elements_of(const std::string& xml) {
  std::vector<std::string> elements;
  std::vector<std::string> open;
  for (size_t i = 0; i < xml.size(); ++i) {
    if (xml[i] == '&') {
      const std::string entity = xml.substr(i, xml.find(';', i) + 1 - i);
      EXPECT_TRUE(entity == "&amp;" || entity == "&lt;" || entity == "&gt;" || entity == "&quot;") << entity;
    }
    if (xml[i] != '<') continue;
    const size_t end = xml.find('>', i);
    const std::string tag = xml.substr(i + 1, end - i - 1);
    i = end;
    if (tag.front() == '/') {
      EXPECT_FALSE(open.empty());
      EXPECT_EQ(open.back(), tag.substr(1));
      open.pop_back();
      continue;
    }
    EXPECT_EQ(std::ranges::count(tag, '"') % 2, 0) << tag;
    const std::string name = tag.substr(0, tag.find_first_of(" /"));
    elements.push_back(name);
    if (tag.back() != '/') open.push_back(name);
  }
  EXPECT_TRUE(open.empty());
  return elements;
}

/// The number after the first occurrence of `mark` from `from` on.
inline double number_after(const std::string& text, const std::string& mark, size_t from = 0) {
  const size_t found = text.find(mark, from);
  EXPECT_NE(found, std::string::npos) << mark;
  return std::stod(text.substr(found + mark.size()));
}

}  // namespace lowrank::test
