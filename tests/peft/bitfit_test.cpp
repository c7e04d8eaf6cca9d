// BitFit: 11 d biases per block of GPT-2 and those of the final norm; refused if there are none.
#include "base/error.h"
#include "support/method_formula.h"

namespace lowrank {
namespace {

TEST(BitFit, TrainsAllBiasesOfGpt2) {
  test::TemporaryFolder folder;
  test::write_tiny_model(folder.path(), test::tiny_gpt2_config());
  const MethodInfo& info = method_named("bitfit");
  const Adapter adapter = plan_adapter(info, info.make(), read_spec(folder.path()));
  EXPECT_EQ(parameter_count(adapter.plan), 2 * 11 * 32 + 32);
  for (const std::string& name : adapter.plan.targets) EXPECT_TRUE(name.ends_with(".bias")) << name;
}

TEST(BitFit, RefusesModelsWithoutBiasesAndNamesBeft) {
  try {
    const test::MethodFormula bitfit("bitfit");
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_NE(std::string(error.what()).find("beft"), std::string::npos);
  }
}

}  // namespace
}  // namespace lowrank
