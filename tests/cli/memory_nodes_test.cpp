// Which processors the processes of a machine with several memory nodes compute on.
#include "cli/processes/memory_nodes.h"

#include <gtest/gtest.h>

#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using Nodes = std::vector<std::vector<int>>;

class MemoryNodes : public testing::Test {
 protected:
  void node(int number, const std::string& list) {
    const std::filesystem::path place = folder.path() / ("node" + std::to_string(number));
    std::filesystem::create_directory(place);
    folder.write("node" + std::to_string(number) + "/cpulist", list + "\n");
  }
  Nodes nodes(const std::vector<int>& usable) const { return memory_nodes(folder.path(), usable); }

  test::TemporaryFolder folder;
};

TEST_F(MemoryNodes, AreThoseWithUsableProcessors) {
  node(0, "0-3,8-11");
  node(1, "4-7,12-15");
  node(2, "");  // memory alone
  const std::vector<int> all{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  EXPECT_EQ(nodes(all), (Nodes{{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7, 12, 13, 14, 15}}));
  EXPECT_EQ(nodes({2, 3, 4, 5}), (Nodes{{2, 3}, {4, 5}}));
  EXPECT_EQ(nodes({2, 3}), (Nodes{{2, 3}}));
}

TEST_F(MemoryNodes, NumbersMayBeMissing) {
  for (const int number : {0, 1, 3, 10}) node(number, std::to_string(number));
  folder.write("online", "0-1,3,10\n");
  EXPECT_EQ(nodes({0, 1, 2, 3, 10}), (Nodes{{0}, {1}, {3}, {10}}));
}

TEST_F(MemoryNodes, ListsThatCannotBeReadAreNone) {
  EXPECT_TRUE(nodes({0, 1}).empty());
  for (const char* list : {"x", "0-", "3-1", "0,,1", "0;1", "99999999999", "-1"}) {
    node(0, "0-1");
    node(1, list);
    EXPECT_TRUE(nodes({0, 1, 2, 3}).empty()) << list;
  }
}

TEST_F(MemoryNodes, ProcessesAreSpreadEvenly) {
  const Nodes two{{0, 1, 4, 5}, {2, 3, 6, 7}};
  const std::vector<ProcessPlace> four = places_of_processes(two, 4);
  ASSERT_EQ(four.size(), 4U);
  for (size_t process = 0; process < 4; ++process) {
    EXPECT_EQ(four[process].processors, two[process / 2]);
    EXPECT_EQ(four[process].sharing, 2);
  }
  EXPECT_EQ(places_of_processes(two, 2)[1].sharing, 1);
}

TEST_F(MemoryNodes, WhereTheyCannotBeTheyAreNotBound) {
  const auto unbound = [](const Nodes& nodes, int64_t count) {
    for (const ProcessPlace& place : places_of_processes(nodes, count)) {
      EXPECT_TRUE(place.processors.empty());
      EXPECT_EQ(place.sharing, count);
    }
  };
  unbound({}, 2);
  unbound({{0, 1}}, 2);
  unbound({{0, 1}, {2, 3}}, 3);
  unbound({{0, 1}, {2, 3}, {4, 5}, {6, 7}}, 2);
  unbound({{0, 1}, {2}}, 2);
}

TEST_F(MemoryNodes, AThreadIsBoundForAWhile) {
  const std::vector<int> before = usable_processors();
  ASSERT_FALSE(before.empty());
  {
    const BoundTo one{std::span<const int>(before).last(1)};
    EXPECT_TRUE(one.holds());
    EXPECT_EQ(usable_processors(), std::vector<int>{before.back()});
    const BoundTo all_of_them({});
    EXPECT_EQ(usable_processors(), std::vector<int>{before.back()});
  }
  EXPECT_EQ(usable_processors(), before);
}

}  // namespace
}  // namespace lowrank
