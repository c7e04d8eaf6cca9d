#include "base/fields.h"

#include <limits>

#include <gtest/gtest.h>

#include "base/error.h"

namespace lowrank {
namespace {

using nlohmann::json;

struct Options {
  bool shuffle = true;
  int64_t rank = 8;
  double lr = 1e-4;
  std::string schedule = "linear";
  std::vector<std::string> target_modules = {"q_proj", "v_proj"};
  std::vector<int64_t> layers;
  std::optional<int64_t> steps;
  std::optional<std::string> init_adapter;
  std::optional<std::vector<std::string>> stop;
  std::vector<std::pair<std::string, double>> rank_pattern;
  static constexpr double infinity = std::numeric_limits<double>::infinity();

  std::vector<Field> fields() {
    return {field("shuffle", shuffle, "Shuffle the rows"),
            limited(field("rank", rank, "Rank of the update"), 1, infinity),
            limited(field("lr", lr, "Learning rate"), 0, 10),
            one_of(field("schedule", schedule, "How the rate changes"), {"constant", "linear", "cosine"}),
            field("target_modules", target_modules, "Modules that get an adapter"),
            field("layers", layers, "Layers that get an adapter"),
            field("steps", steps, "Optimizer steps"),
            field("init_adapter", init_adapter, "Adapter to start from"),
            field("stop", stop, "Texts that end a generation"),
            limited(field("rank_pattern", rank_pattern, "Ranks by name"), 1, 1000)};
  }
};

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(Fields, ResolvedGivesEveryValue) {
  Options options;
  const auto fields = options.fields();
  EXPECT_EQ(resolved(fields), json::parse(R"({"shuffle":true,"rank":8,"lr":1e-4,"schedule":"linear",
    "target_modules":["q_proj","v_proj"],"layers":[],"steps":null,"init_adapter":null,"stop":null,"rank_pattern":{}})"));
}

TEST(Fields, ApplySetsEveryTypeAndRoundTrips) {
  Options options, copy;
  const auto fields = options.fields();
  apply(fields, json::parse(R"({"shuffle":false,"rank":3.0,"lr":1,"schedule":"cosine","target_modules":[],
    "layers":[0,2.0],"steps":12,"init_adapter":"a","stop":["\n"],"rank_pattern":{"q":4}})"),
        "x.yaml");
  EXPECT_FALSE(options.shuffle);
  EXPECT_EQ(options.rank, 3);
  EXPECT_EQ(options.lr, 1.0);
  EXPECT_EQ(options.layers, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(options.steps, 12);
  EXPECT_EQ(options.rank_pattern, (std::vector<std::pair<std::string, double>>{{"q", 4}}));
  apply(copy.fields(), resolved(fields), "copy");
  EXPECT_EQ(resolved(copy.fields()), resolved(fields));
  apply(fields, json::parse(R"({"steps":null,"stop":null})"), "x.yaml");
  EXPECT_FALSE(options.steps.has_value());
}

TEST(Fields, WrongTypesAreRefused) {
  Options options;
  const auto fields = options.fields();
  for (const char* text :
       {R"({"rank":"3"})", R"({"rank":3.5})", R"({"rank":true})", R"({"rank":null})", R"({"rank":1e300})",
        R"({"rank":18446744073709551615})", R"({"lr":"1e-3"})", R"({"lr":false})", R"({"shuffle":1})",
        R"({"shuffle":"true"})", R"({"schedule":1})", R"({"target_modules":"q_proj"})",
        R"({"target_modules":["a",1]})", R"({"layers":[1.5]})", R"({"steps":"none"})",
        R"({"rank_pattern":{"a":"4"}})", R"({"rank_pattern":[]})"}) {
    const json before = resolved(fields);
    EXPECT_THROW(apply(fields, json::parse(text), "f"), Error) << text;
    EXPECT_EQ(resolved(fields), before) << text;
  }
  EXPECT_THROW(fields[2].set(std::numeric_limits<double>::quiet_NaN()), Error);
  EXPECT_EQ(message_of([&] { fields[1].set("3"); }), R"(rank must be an integer, not "3")");
}

TEST(Fields, RangesAndChoicesAreChecked) {
  Options options;
  const auto fields = options.fields();
  EXPECT_EQ(message_of([&] { fields[1].set(0); }), "rank must be at least 1, not 0");
  EXPECT_EQ(message_of([&] { fields[2].set(11.5); }), "lr must be between 0 and 10, not 11.5");
  EXPECT_EQ(message_of([&] {
              fields[9].set({{"q", 0}});
            }),
            R"(rank_pattern must be between 1 and 1000, not {"q":0})");
  EXPECT_EQ(message_of([&] { set_text(fields[3], "cosin"); }),
            R"(schedule must be one of constant, linear, cosine, not "cosin" (did you mean cosine?))");
  EXPECT_EQ(fields[3].type_name, "constant|linear|cosine");
  EXPECT_EQ(options.rank, 8);
}

TEST(Fields, ApplyReportsAllProblemsAtOnce) {
  Options options;
  const auto fields = options.fields();
  const std::string message = message_of(
      [&] { apply(fields, json::parse(R"({"rnak":4,"zzzzzz":1,"lr":"x","shuffle":false})"), "run.yaml"); });
  EXPECT_TRUE(message.starts_with("run.yaml: ")) << message;
  EXPECT_NE(message.find(R"(unknown key "rnak" (did you mean rank?))"), std::string::npos) << message;
  EXPECT_NE(message.find(R"(unknown key "zzzzzz")"), std::string::npos) << message;
  EXPECT_EQ(message.find("zzzzzz\" (did"), std::string::npos) << message;
  EXPECT_NE(message.find(R"(lr must be a number, not "x")"), std::string::npos) << message;
  EXPECT_FALSE(options.shuffle);
  EXPECT_EQ(message_of([&] { apply(fields, json::array(), "run.yaml"); }),
            "run.yaml: must hold keys and values, not []");
}

TEST(Fields, TextFromTheCommandLine) {
  Options options;
  const auto fields = options.fields();
  const auto set = [&](std::string_view name, std::string_view text) {
    set_text(*find_field(fields, name), text);
  };
  set("shuffle", "false");
  set("rank", "16");
  set("lr", "2e-3");
  set("target-modules", "q_proj,k_proj");
  set("layers", "0,3");
  set("steps", "7");
  set("rank_pattern", "q=4,a=b=2.5");
  EXPECT_FALSE(options.shuffle);
  EXPECT_EQ(options.rank, 16);
  EXPECT_EQ(options.lr, 2e-3);
  EXPECT_EQ(options.target_modules, (std::vector<std::string>{"q_proj", "k_proj"}));
  EXPECT_EQ(options.layers, (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(options.steps, 7);
  EXPECT_EQ(options.rank_pattern, (std::vector<std::pair<std::string, double>>{{"q", 4}, {"a=b", 2.5}}));
  set("target_modules", R"(["a,b"])");
  EXPECT_EQ(options.target_modules, (std::vector<std::string>{"a,b"}));
  set("target_modules", "[qk]_proj");
  EXPECT_EQ(options.target_modules, (std::vector<std::string>{"[qk]_proj"}));
  set("steps", "none");
  EXPECT_FALSE(options.steps.has_value());
}

TEST(Fields, TextIsParsedStrictly) {
  Options options;
  const auto fields = options.fields();
  for (const auto& [name, text] :
       std::vector<std::pair<std::string, std::string>>{{"rank", "3x"},
                                                        {"rank", " 3"},
                                                        {"rank", ""},
                                                        {"rank", "1e3"},
                                                        {"rank", "99999999999999999999"},
                                                        {"lr", "nan"},
                                                        {"lr", "inf"},
                                                        {"lr", "1,5"},
                                                        {"lr", "1e999"},
                                                        {"shuffle", "yes"},
                                                        {"shuffle", "1"},
                                                        {"layers", "1,,2"},
                                                        {"layers", "1,a"},
                                                        {"target_modules", "a,,b"},
                                                        {"rank_pattern", "q"},
                                                        {"rank_pattern", "q=x"},
                                                        {"rank_pattern", "q=1,q=2"},
                                                        {"rank_pattern", "=1"},
                                                        {"rank", "none"}})
    EXPECT_THROW(set_text(*find_field(fields, name), text), Error) << name << " " << text;
  EXPECT_EQ(resolved(fields), resolved(Options{}.fields()));
  EXPECT_EQ(message_of([&] { set_text(fields[1], "3x"); }), R"(rank must be an integer, not "3x")");
}

TEST(Fields, ErrorsStayShortAndShallow) {
  Options options;
  const auto fields = options.fields();
  const json deep = json::parse(std::string(200000, '[') + std::string(200000, ']'));
  EXPECT_EQ(message_of([&] { fields[1].set(deep); }), "rank must be an integer, not a nested list");
  EXPECT_LT(message_of([&] { fields[1].set(std::string(5000, 'x')); }).size(), 120u);
  std::string accents;
  for (int i = 0; i < 100; ++i) accents += "\u00e9";
  EXPECT_NO_THROW((void)json(message_of([&] { fields[1].set("x" + accents); })).dump());
}

TEST(Fields, FlagNames) {
  EXPECT_EQ(flag_name("target_modules"), "--target-modules");
  Options options;
  const auto fields = options.fields();
  EXPECT_EQ(find_field(fields, "init-adapter")->name, "init_adapter");
  EXPECT_EQ(find_field(fields, "nothing"), nullptr);
}

TEST(NearestName, FindsTypingMistakesOnly) {
  const std::vector<std::string> known = {"rank", "alpha", "target_modules", "batch_size", "lr", "epochs"};
  EXPECT_EQ(nearest_name("rnak", known), "rank");
  EXPECT_EQ(nearest_name("Alpha", known), "alpha");
  EXPECT_EQ(nearest_name("target-module", known), "target_modules");
  EXPECT_EQ(nearest_name("batchsize", known), "batch_size");
  EXPECT_EQ(nearest_name("epoch", known), "epochs");
  EXPECT_EQ(nearest_name("seed", known), std::nullopt);
  EXPECT_EQ(nearest_name("", known), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(100000, 'a'), known), std::nullopt);
  const std::vector<std::string> two = {"cat", "car"};
  EXPECT_EQ(nearest_name("car", two), "car");
  EXPECT_EQ(nearest_name("caz", two), "cat");
}

TEST(Fields, ARepeatableListAlsoTakesOneText) {
  std::vector<std::string> names;
  const Field list = repeatable(field("names", names, ""));
  list.set("a,b");
  EXPECT_EQ(names, (std::vector<std::string>{"a,b"}));
  list.set({"c", "d"});
  EXPECT_EQ(names, (std::vector<std::string>{"c", "d"}));
  EXPECT_THROW(list.set(5), Error);
}

}  // namespace
}  // namespace lowrank
