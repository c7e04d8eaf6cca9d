// Pages are never given twice, found by their exact contents, and forgotten in the order of their last use.
#include "infer/page_pool.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace lowrank {
namespace {

TEST(Pages, OfASequenceLieSideBySide) {
  PagePool pool(30);
  std::vector<int64_t> first{*pool.take(-1)}, second{*pool.take(-1)};
  for (int i = 0; i < 7; ++i) {
    first.push_back(*pool.take(first.back()));
    second.push_back(*pool.take(second.back()));
  }
  for (size_t i = 1; i < first.size(); ++i) {
    EXPECT_EQ(first[i], first[0] + static_cast<int64_t>(i));
    EXPECT_EQ(second[i], second[0] + static_cast<int64_t>(i));
  }
}

TEST(Pages, OfASequenceLieSideBySideWhereOthersWereForgotten) {
  PagePool pool(12);
  uint64_t made = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<int64_t> pages;
    for (int64_t count = 4; count > 0; --count) {
      pages.push_back(pages.empty() ? *pool.take(-1, count) : *pool.take(pages.back()));
      pool.keep(pages.back(), {first_page(++made), {1}});
      if (pages.size() > 1) {
        EXPECT_EQ(pages.back(), pages[pages.size() - 2] + 1) << "round " << round;
      }
    }
    for (; !pages.empty(); pages.pop_back()) pool.release(pages.back());
  }
}

TEST(Pages, AreFoundByWhatIsBeforeThemAndTheirTokens) {
  PagePool pool(4);
  const int64_t a = *pool.take(-1), b = *pool.take(a);
  const uint64_t content = pool.keep(a, {first_page(0), {1, 2}});
  pool.keep(b, {content, {3, 4}});
  EXPECT_EQ(pool.find({first_page(0), {1, 2}}), a);
  EXPECT_EQ(pool.find({content, {3, 4}}), b);
  EXPECT_EQ(pool.find({first_page(1), {1, 2}}), std::nullopt);
  EXPECT_EQ(pool.find({first_page(0), {3, 4}}), std::nullopt);
  // A second page with the same content is not kept.
  const int64_t same = *pool.take(-1);
  EXPECT_EQ(pool.keep(same, {first_page(0), {1, 2}}), content);
  pool.release(same);
  EXPECT_EQ(pool.free(), 2);
  pool.release(b);
  pool.release(a);
  EXPECT_EQ(pool.kept(), 2);
  EXPECT_EQ(pool.available(), 4);
  for (int i = 0; i < 3; ++i) pool.take(-1);
  EXPECT_EQ(pool.find({content, {3, 4}}), std::nullopt) << "released first, forgotten first";
  EXPECT_EQ(pool.find({first_page(0), {1, 2}}), a);
  pool.use(a);
  EXPECT_EQ(pool.take(-1), std::nullopt);
}

TEST(Pages, AreNeverUsedTwiceWhateverHappens) {
  Philox random(5);
  PagePool pool(17);
  std::vector<int64_t> held;
  int64_t made = 0;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t what = random.below(5);
    if (what < 2) {
      const auto page = pool.take(held.empty() ? -1 : held[random.below(held.size())]);
      EXPECT_EQ(page.has_value(), std::set(held.begin(), held.end()).size() < 17);
      if (page) {
        EXPECT_EQ(std::ranges::count(held, *page), 0);
        held.push_back(*page);
      }
    } else if (!held.empty()) {
      const size_t index = random.below(held.size());
      const int64_t page = held[index];
      if (what == 2 && pool.content(page) == 0) pool.keep(page, {first_page(0), {made++ % 40}});
      if (what == 3) {
        pool.use(page);
        held.push_back(page);
      }
      if (what == 4) {
        pool.release(page);
        held.erase(held.begin() + static_cast<int64_t>(index));
      }
    }
    if (const auto known = pool.find({first_page(0), {static_cast<int64_t>(random.below(40))}})) {
      pool.use(*known);
      held.push_back(*known);
    }
    while (held.size() > 30) {
      pool.release(held.back());
      held.pop_back();
    }
    ASSERT_EQ(pool.used(), std::ssize(std::set(held.begin(), held.end())));
    ASSERT_EQ(pool.used() + pool.available(), 17);
  }
}

}  // namespace
}  // namespace lowrank
