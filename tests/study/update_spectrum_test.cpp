// Spectra of known matrices, of adapters against numpy (tests/fixtures/make_analysis.py), of two models.
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "peft/core/low_rank_init.h"
#include "study/analysis/similarity.h"
#include "study/analysis/spectrum_study.h"
#include "support/expect_error.h"
#include "support/known_updates.h"
#include "support/tiny_model.h"

namespace lowrank {
namespace {

TEST(UpdateSpectrum, FiguresOfKnownValues) {
  Spectrum equal;
  equal.values = {2, 2, 2, 2};
  EXPECT_NEAR(equal.effective_rank(), 4, 1e-12);
  EXPECT_NEAR(equal.stable_rank(), 4, 1e-12);
  EXPECT_NEAR(equal.norm(), 4, 1e-12);
  EXPECT_EQ(equal.directions_holding(0.5), 2);
  EXPECT_EQ(equal.directions_holding(0.9), 4);
  EXPECT_EQ(equal.directions_holding(1), 4);
  Spectrum one;
  one.values = {3, 0, 0};
  EXPECT_NEAR(one.effective_rank(), 1, 1e-12);
  EXPECT_EQ(one.directions_holding(0.99), 1);
  Spectrum falling;  // energies 16, 4, 1
  falling.values = {4, 2, 1};
  EXPECT_EQ(falling.directions_holding(0.5), 1);
  EXPECT_EQ(falling.directions_holding(0.9), 2);
  EXPECT_EQ(falling.directions_holding(0.99), 3);
  EXPECT_NEAR(falling.stable_rank(), 21.0 / 16, 1e-12);
  EXPECT_NEAR(falling.held()[1], 20.0 / 21, 1e-12);
  EXPECT_EQ(Spectrum().directions_holding(0.5), 0);
}

TEST(UpdateSpectrum, SingularValuesOfAPlantedMatrix) {
  at::Generator generator = seeded_generator(5);
  const std::vector<double> planted = {7, 3, 0.5, 1e-3};
  const at::Tensor u = random_basis(40, 4, generator), v = random_basis(25, 4, generator);
  at::Tensor scaled = u.clone();
  for (int64_t i = 0; i < 4; ++i) scaled.narrow(1, i, 1).mul_(planted[static_cast<size_t>(i)]);
  const at::Tensor matrix = at::mm(scaled, v.t());
  for (const at::Tensor& shape : {matrix, matrix.t()}) {
    const Spectrum spectrum(singular_values(shape));
    ASSERT_EQ(spectrum.values.size(), 25U);
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(spectrum.values[i], planted[i], 1e-9);
    EXPECT_LT(spectrum.values[4], 1e-6);
  }
}

TEST(UpdateSpectrum, AsNumpyComputesItFromFactors) {
  const SpectrumStudy study = study_spectrum(test::combined_adapter("first"), {});
  const nlohmann::json expected = test::numpy_figures()["spectra"];
  ASSERT_EQ(study.modules.size(), expected.size());
  for (const ModuleSpectrum& module : study.modules) {
    const nlohmann::json& wanted = expected.at(module.module);
    const auto values = wanted["singular_values"].get<std::vector<double>>();
    ASSERT_EQ(module.spectrum.values.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(module.spectrum.values[i], values[i], 1e-9);
    const SpectrumFigures figures = figures_of(module.spectrum, std::nullopt);
    EXPECT_EQ(figures.half, wanted["holds_50_percent"].get<double>());
    EXPECT_EQ(figures.most, wanted["holds_90_percent"].get<double>());
    EXPECT_EQ(figures.nearly_all, wanted["holds_99_percent"].get<double>());
    EXPECT_NEAR(figures.effective_rank, wanted["effective_rank"].get<double>(), 1e-9);
    EXPECT_NEAR(figures.stable_rank, wanted["stable_rank"].get<double>(), 1e-9);
    EXPECT_NEAR(figures.norm, wanted["norm"].get<double>(), 1e-9);
  }
}

TEST(UpdateSpectrum, OfTheDifferenceOfTwoModels) {
  const test::TemporaryFolder folder;
  test::write_tiny_model(folder.path() / "base", test::tiny_llama_config(), 1);
  test::write_tiny_model(folder.path() / "tuned", test::tiny_llama_config(), 1);
  // One value of one weight: a single direction.
  const std::string q = "model.layers.0.self_attn.q_proj";
  test::overwrite_values(folder.path() / "tuned", q + ".weight", 3);
  const auto base = Checkpoint::open(folder.path() / "base"),
             tuned = Checkpoint::open(folder.path() / "tuned");
  const SpectrumStudy study = study_spectrum(*base, *tuned, {});
  ASSERT_EQ(study.modules.size(), 1U);
  EXPECT_EQ(study.modules[0].module, q);
  EXPECT_EQ(study.still.size(), 14U);
  const TensorRef& tensor = *base->spec().find_tensor(q + ".weight");
  const double before = base->read(tensor, at::kDouble)[0][0].item<double>();
  const SpectrumFigures figures = figures_of(study.modules[0].spectrum, study.modules[0].weight_norm);
  EXPECT_NEAR(figures.norm, std::abs(3 - before), 1e-6);
  EXPECT_EQ(figures.nearly_all, 1);
  EXPECT_NEAR(figures.stable_rank, 1, 1e-9);
  EXPECT_NEAR(figures.share.value(), figures.norm / base->read(tensor, at::kDouble).norm().item<double>(),
              1e-6);
  // A random matrix of the same shape has far more directions.
  EXPECT_GT(study.kinds.at(0).random.nearly_all, 8);
  test::expect_error(ErrorKind::invalid, "base", "every update is zero",
                     [&] { study_spectrum(*base, *base, {}); });
  test::overwrite_values(folder.path() / "tuned", q + ".weight", std::nanf(""));
  const auto broken = Checkpoint::open(folder.path() / "tuned");
  test::expect_error(ErrorKind::invalid, "tuned", "not finite", [&] { study_spectrum(*base, *broken, {}); });
}

}  // namespace
}  // namespace lowrank
