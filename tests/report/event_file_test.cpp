// TensorBoard's event files, against the bytes of its own writer (tests/fixtures/make_events.py).
#include "report/event_file.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "support/temporary_folder.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;

std::string record_of(double time, int64_t step, std::vector<EventScalar> values) {
  return event_record(scalar_event(time, step, values));
}

TEST(EventFile, HasTheBytesOfTensorBoardsWriter) {
  const std::string written =
      event_record(version_event(1700000000.25)) + event_record(restart_event(1700000000.5, 5)) +
      record_of(1700000001.0, 0, {{"train/loss", 0}}) +
      record_of(1700000001.5, 1,
                {{"train/loss", 2.5F}, {"train/learning_rate", 2e-4F}, {"train/grad_norm", -1e30F}}) +
      record_of(1700000002.0, 300000, {{"eval/loss", 1.0F / 3}});
  EXPECT_EQ(written,
            test::content_of(fs::path(LOWRANK_FIXTURES) / "events" / "events.out.tfevents.1700000000"));
}

TEST(EventFile, EachRunHasAFileOfItsOwnAndWritesAtOnce) {
  const test::TemporaryFolder folder;
  const fs::path runs = folder.path() / "runs";
  EventFile first(runs, 0);
  EventFile second(runs, 3);
  const std::vector<fs::path> names = [&] {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(runs)) found.push_back(entry.path());
    std::ranges::sort(found);
    return found;
  }();
  ASSERT_EQ(names.size(), 2U);
  for (const fs::path& name : names) EXPECT_TRUE(is_event_file(name.filename())) << name;
  const std::string before = test::content_of(names[0]);
  EXPECT_LT(before.size(), test::content_of(names[1]).size());
  const std::vector<EventScalar> values = {{"train/loss", 1}};
  first.write(1, values);
  EXPECT_EQ(test::content_of(names[0]).size(), before.size() + record_of(1, 1, values).size());
}

}  // namespace
}  // namespace lowrank
