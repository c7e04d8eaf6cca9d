#include "base/fingerprint.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace lowrank {
namespace {

std::string fingerprint(const std::vector<std::string>& parts) {
  Fingerprint all;
  for (const std::string& part : parts) all.add(part);
  return all.text();
}

TEST(FingerprintOfBytes, TellsContentsOrderAndBoundariesApart) {
  EXPECT_EQ(fingerprint({"weights", "rows"}), fingerprint({"weights", "rows"}));
  EXPECT_EQ(fingerprint({"weights"}).size(), 16U);
  const std::vector<std::vector<std::string>> others = {{},
                                                        {""},
                                                        {"", ""},
                                                        {"weights"},
                                                        {"weights", "rows"},
                                                        {"rows", "weights"},
                                                        {"weight", "srows"},
                                                        {"weightsrows"},
                                                        {std::string(1, '\0')},
                                                        {std::string(8, '\0')},
                                                        {std::string(9, '\0')},
                                                        {"12345678"},
                                                        {"12345679"},
                                                        {"123456789"},
                                                        {"223456789"}};
  std::set<std::string> found;
  for (const auto& parts : others) found.insert(fingerprint(parts));
  EXPECT_EQ(found.size(), others.size());
}

TEST(FingerprintOfBytes, ASingleBitAnywhereChangesIt) {
  std::string text(1000, 'x');
  std::set<std::string> found{fingerprint({text})};
  for (char& letter : text) {
    letter ^= 1;
    found.insert(fingerprint({text}));
    letter ^= 1;
  }
  EXPECT_EQ(found.size(), text.size() + 1);
}

}  // namespace
}  // namespace lowrank
