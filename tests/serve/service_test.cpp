// The whole server on a tiny model with adapters, over real sockets.
#include "serve/service.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "base/json.h"
#include "data/encode_row.h"
#include "infer/generate.h"
#include "serve/http/server.h"
#include "serve/raw_client.h"
#include "support/adapters.h"
#include "support/places.h"

namespace lowrank::serve {
namespace {

using test::body_of;
using test::RawClient;
using test::status_of;

constexpr const char* chat_template =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

/// A tiny Llama with a tokenizer, a chat template and three adapters of two ranks.
struct TinyPlace {
  TinyPlace() {
    const std::filesystem::path text = test::fixture("text/gpt2_small");
    nlohmann::json config = test::tiny_llama_config();
    config["vocab_size"] = load_tokenizer(text).vocabulary_size();
    config["max_position_embeddings"] = 256;
    test::write_tiny_model(model(), config);
    std::filesystem::copy_file(text / "tokenizer.json", model() / "tokenizer.json");
    write_file_atomically(model() / "chat_template.jinja", chat_template);
    const auto checkpoint = Checkpoint::open(model());
    std::filesystem::create_directory(adapters());
    for (const auto& [name, rank] : {std::pair{"red", 2}, std::pair{"green", 4}, std::pair{"blue", 4}}) {
      Adapter adapter = test::random_adapter(*checkpoint, {{"rank", rank}});
      const at::NoGradGuard no_grad;
      // Different in each adapter, and large enough to change the text.
      adapter.parameters->values().mul_(name == std::string("blue") ? 5 : 8);
      save_adapter(adapters() / name, adapter, "tiny");
    }
    std::filesystem::create_directory(adapters() / "broken");
    folder.write("adapters/broken/adapter_config.json", "{");
  }

  std::filesystem::path model() const { return folder.path() / "model"; }
  std::filesystem::path adapters() const { return folder.path() / "adapters"; }

  test::TemporaryFolder folder;
};

class ServiceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { place = std::make_unique<TinyPlace>(); }
  static void TearDownTestSuite() { place.reset(); }

  void SetUp() override {
    tokenizer.emplace(load_tokenizer(place->model()));
    checkpoint = Checkpoint::open(place->model());
    model = checkpoint->family().load(checkpoint, test::in_f32());
    store.emplace(checkpoint, 2, at::kCPU);
    list.emplace("tiny");
    for (const char* name : {"red", "green", "blue"}) {
      list->add(name, place->adapters() / name);
      store->add(name, place->adapters() / name);
    }
    engine.emplace(*model, *tokenizer, *store, EngineOptions{});
    loop.emplace(&*engine, 64);
    formats.emplace(place->model().string(), *tokenizer, ChatOptions{});
    ServiceOptions options;
    options.limits.vocabulary = tokenizer->vocabulary_size();
    options.adapter_folder = place->adapters();
    options.allow_adapter_changes = true;
    options.quiet = true;
    service.emplace(Served{"tiny", 256, *tokenizer, *loop, *list, &*store, &*formats}, options);
    server.emplace("127.0.0.1", 0, HttpLimits{});
    server->start(service->handler(), nullptr);
    running = std::thread([this] { loop->run(); });
  }

  void TearDown() override {
    server->finish();
    loop->finish(0);
    running.join();
    server->wait_until_closed(10);
    server.reset();
  }

  std::string post(const std::string& path, const std::string& body) const {
    return RawClient(server->port()).request("POST", path, body, "Connection: close\r\n").everything();
  }
  std::string get(const std::string& path) const {
    return RawClient(server->port()).request("GET", path, "", "Connection: close\r\n").everything();
  }

  static std::string completion(const std::string& name, const std::string& more = "") {
    return R"({"model": ")" + name +
           R"(", "prompt": "a b c", "temperature": 0, "max_tokens": 12, "ignore_eos": true)" + more + "}";
  }

  std::string text_of(const std::string& answer) const {
    EXPECT_EQ(status_of(answer), 200) << answer;
    return Json::parse(body_of(answer)).at("choices").at(0).at("text");
  }

  /// What `lowrank generate` gives with this adapter alone; empty: the base.
  std::string alone(const std::string& name) const {
    std::optional<Adapter> adapter;
    if (!name.empty()) adapter.emplace(load_adapter(place->adapters() / name, *checkpoint));
    const InferenceHooks hooks = adapter ? InferenceHooks(*adapter) : InferenceHooks();
    GenerationOptions options;
    options.max_new_tokens = 12;
    options.ignore_eos = true;
    const std::vector<std::vector<int64_t>> prompts{encode_prompt(*tokenizer, "a b c")};
    return generate(*model, hooks, *tokenizer, prompts, options).front().text;
  }

  static std::unique_ptr<TinyPlace> place;
  std::optional<Tokenizer> tokenizer;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  std::optional<AdapterStore> store;
  std::optional<AdapterList> list;
  std::optional<Engine> engine;
  std::optional<ModelLoop> loop;
  std::optional<ChatFormats> formats;
  std::optional<Service> service;
  std::optional<HttpServer> server;
  std::thread running;
};

std::unique_ptr<TinyPlace> ServiceTest::place;

TEST_F(ServiceTest, EachAdapterAnswersItsOwnAmongConcurrentClients) {
  std::map<std::string, std::string> expected{{"tiny", alone("")}};
  for (const char* name : {"red", "green", "blue"}) expected[name] = alone(name);
  std::set<std::string> different;
  for (const auto& [name, text] : expected) different.insert(text);
  ASSERT_EQ(different.size(), 4U);
  std::vector<std::thread> clients;
  std::atomic<int> right = 0;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < 6; ++i) {
        const auto entry = std::next(expected.begin(), (client + i) % 4);
        if (text_of(post("/v1/completions", completion(entry->first))) == entry->second) ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 24);
}

TEST_F(ServiceTest, AStreamSaysTheSame) {
  const std::string whole = text_of(post("/v1/completions", completion("red")));
  const std::string stream = post("/v1/completions", completion("red", R"(, "stream": true)"));
  EXPECT_NE(stream.find("text/event-stream"), std::string::npos);
  EXPECT_NE(stream.find("data: [DONE]"), std::string::npos);
  std::string text;
  size_t at = 0;
  while ((at = stream.find("data: {", at)) != std::string::npos) {
    const std::string data = stream.substr(at + 6, stream.find("\n\n", at) - at - 6);
    const Json event = Json::parse(data);
    for (const Json& choice : event.at("choices")) text += choice.at("text");
    at += 6;
  }
  EXPECT_EQ(text, whole);
}

TEST_F(ServiceTest, OffsetsOfAStreamAreThoseOfTheAnswer) {
  const std::string whole = post("/v1/completions", completion("red", R"(, "logprobs": 1)"));
  ASSERT_EQ(status_of(whole), 200) << whole;
  const Json expected = Json::parse(body_of(whole)).at("choices").at(0).at("logprobs");
  ASSERT_EQ(expected.at("tokens").size(), 12U);
  const std::string stream = post("/v1/completions", completion("red", R"(, "logprobs": 1, "stream": true)"));
  Json offsets = Json::array();
  for (size_t at = stream.find("data: {"); at != std::string::npos; at = stream.find("data: {", at + 6)) {
    const Json event = Json::parse(stream.substr(at + 6, stream.find("\n\n", at) - at - 6));
    for (const Json& choice : event.at("choices")) {
      if (choice.at("logprobs").is_null()) continue;
      for (const Json& offset : choice.at("logprobs").at("text_offset")) offsets.push_back(offset);
    }
  }
  EXPECT_EQ(offsets, expected.at("text_offset"));
}

TEST_F(ServiceTest, ChatsGoThroughTheTemplate) {
  const std::string body = R"({"model": "green", "messages": [{"role": "user", "content": "a b"}], "seed": 1,
                              "max_completion_tokens": 4, "logprobs": true, "top_logprobs": 2, "n": 2})";
  const Json answer = Json::parse(body_of(post("/v1/chat/completions", body)));
  ASSERT_EQ(answer.at("choices").size(), 2U) << answer;
  EXPECT_EQ(answer.at("model"), "green");
  EXPECT_EQ(answer.at("usage").at("prompt_tokens"),
            tokenizer->encode("<user>a b\n<assistant>", false).size());
  for (const Json& choice : answer.at("choices")) {
    EXPECT_EQ(choice.at("message").at("role"), "assistant");
    for (const Json& token : choice.at("logprobs").at("content")) {
      EXPECT_LE(token.at("logprob").get<double>(), 0);
      EXPECT_EQ(token.at("top_logprobs").size(), 2U);
    }
  }
  // The second time the prompt lies in the cache, so the products have other shapes and round otherwise.
  const Json again = Json::parse(body_of(post("/v1/chat/completions", body)));
  ASSERT_EQ(again.at("choices").size(), 2U) << again;
  for (size_t i = 0; i < 2; ++i) {
    const Json& first = answer.at("choices").at(i);
    const Json& second = again.at("choices").at(i);
    EXPECT_EQ(second.at("message"), first.at("message")) << "the same seed";
    const Json& expected = first.at("logprobs").at("content");
    const Json& tokens = second.at("logprobs").at("content");
    ASSERT_EQ(tokens.size(), expected.size());
    for (size_t j = 0; j < tokens.size(); ++j)
      EXPECT_NEAR(tokens.at(j).at("logprob").get<double>(), expected.at(j).at("logprob").get<double>(), 1e-4);
  }
}

TEST_F(ServiceTest, ABiasDecidesTheToken) {
  const std::string answer =
      post("/v1/completions", completion("red", R"(, "logprobs": 0, "logit_bias": {"7": 100})"));
  ASSERT_EQ(status_of(answer), 200) << answer;
  const Json tokens = Json::parse(body_of(answer)).at("choices").at(0).at("logprobs").at("tokens");
  ASSERT_EQ(tokens.size(), 12U);
  for (const Json& token : tokens) EXPECT_EQ(token, tokens.front());
  // Each use costs it 2, the first one 2 more.
  const std::string penalised =
      post("/v1/completions",
           completion(
               "red",
               R"(, "logprobs": 0, "logit_bias": {"7": 4}, "presence_penalty": 2, "frequency_penalty": 2)"));
  const Json varied = Json::parse(body_of(penalised)).at("choices").at(0).at("logprobs").at("tokens");
  EXPECT_LT(std::ranges::count(varied, tokens.front()), 12);
}

TEST_F(ServiceTest, UnknownModelsAndLongPrompts) {
  const std::string unknown = post("/v1/completions", completion("gren"));
  EXPECT_EQ(status_of(unknown), 404);
  EXPECT_NE(unknown.find("green"), std::string::npos) << unknown;
  EXPECT_EQ(Json::parse(body_of(unknown)).at("error").at("code"), "model_not_found");
  for (const char* name : {"../../etc/passwd", "/etc/passwd", "red/../green", "%2e%2e", "broken"})
    EXPECT_EQ(status_of(post("/v1/completions", completion(name))), 404) << name;
  std::string tokens = "1";
  for (int i = 0; i < 300; ++i) tokens += ",1";
  const std::string length =
      post("/v1/completions", R"({"model": "red", "prompt": [)" + tokens + R"(], "max_tokens": 1})");
  EXPECT_EQ(status_of(length), 400);
  EXPECT_EQ(Json::parse(body_of(length)).at("error").at("code"), "context_length_exceeded");
}

TEST_F(ServiceTest, LongChatsAreRefusedBeforeTheyAreEncoded) {
  size_t longest = 1;
  for (int64_t id = 0; id < tokenizer->vocabulary_size(); ++id)
    longest = std::max(longest, tokenizer->bytes_of(id, false).size());
  const size_t most = 256 * longest;
  const auto expect_refused = [&](const Json& messages) {
    const std::string body = Json{{"model", "red"}, {"messages", messages}}.dump();
    for (const char* path : {"/v1/chat/completions", "/tokenize"}) {
      const std::string answer = post(path, body);
      EXPECT_EQ(status_of(answer), 400) << path;
      EXPECT_NE(answer.find("bytes: more than fit the model's context of 256 tokens"), std::string::npos)
          << path << answer;
    }
  };
  expect_refused(Json::array({{{"role", "user"}, {"content", std::string(most + 1, 'a')}}}));
  // Five bytes of text each, of which the template makes eight.
  Json many = Json::array();
  for (size_t i = 0; i < most / 6; ++i) many.push_back({{"role", "user"}, {"content", "a"}});
  expect_refused(many);
}

TEST_F(ServiceTest, ErrorsOfAdaptersNameNoPlace) {
  const std::filesystem::path late = place->adapters() / "late";
  std::filesystem::copy(place->adapters() / "red", late);
  const std::string loaded = post("/v1/load_lora_adapter", R"({"lora_name": "later", "lora_path": "late"})");
  EXPECT_EQ(status_of(loaded), 200) << loaded;
  write_file_atomically(late / "adapter_model.safetensors", "broken");
  const std::string first = post("/v1/completions", completion("later"));
  const std::string second = post("/v1/completions", completion("later"));
  const std::string broken = post("/v1/load_lora_adapter", R"({"lora_name": "new", "lora_path": "broken"})");
  for (const std::string& answer : {first, second, broken}) {
    EXPECT_GE(status_of(answer), 400) << answer;
    EXPECT_EQ(answer.find(place->folder.path().string()), std::string::npos) << answer;
  }
  EXPECT_NE(first.find("later/adapter_model.safetensors"), std::string::npos) << first;
  EXPECT_EQ(status_of(second), 404) << second;
  EXPECT_NE(broken.find("new/adapter_config.json"), std::string::npos) << broken;
  std::filesystem::remove_all(late);
}

TEST_F(ServiceTest, ModelsListAdaptersWithTheirParent) {
  const Json models = Json::parse(body_of(get("/v1/models"))).at("data");
  ASSERT_EQ(models.size(), 4U);
  EXPECT_TRUE(models[0].at("parent").is_null());
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(models[i].at("parent"), "tiny");
  EXPECT_EQ(Json::parse(body_of(get("/v1/models/red"))).at("id"), "red");
  EXPECT_EQ(status_of(get("/v1/models/none")), 404);
}

TEST_F(ServiceTest, ClientsThatLeaveEndTheirRequests) {
  for (const bool stream : {false, true}) {
    RawClient client(server->port());
    client.request("POST", "/v1/completions",
                   R"({"model": "red", "prompt": "a", "max_tokens": 200, "ignore_eos": true, "n": 4)" +
                       std::string(stream ? R"(, "stream": true})" : "}"));
    if (stream) client.until("data: ");
  }
  bool idle = false;
  for (int i = 0; i < 1000 && !idle; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const EngineStatistics now = loop->statistics();
    idle = server->connections() == 0 && now.running + now.waiting == 0;
  }
  EXPECT_TRUE(idle);
}

TEST_F(ServiceTest, AdaptersComeAndGo) {
  EXPECT_EQ(status_of(post("/v1/unload_lora_adapter", R"({"lora_name": "red"})")), 200);
  EXPECT_EQ(status_of(post("/v1/completions", completion("red"))), 404);
  EXPECT_EQ(status_of(post("/v1/unload_lora_adapter", R"({"lora_name": "red"})")), 404);
  for (const char* path : {"../model", "/etc", "broken", "none", "."})
    EXPECT_EQ(status_of(post("/v1/load_lora_adapter",
                             R"({"lora_name": "new", "lora_path": ")" + std::string(path) + "\"}")),
              400)
        << path;
  EXPECT_EQ(status_of(post("/v1/load_lora_adapter", R"({"lora_name": "green", "lora_path": "red"})")), 400);
  EXPECT_EQ(status_of(post("/v1/load_lora_adapter", R"({"lora_name": "new", "lora_path": "red"})")), 200);
  EXPECT_EQ(text_of(post("/v1/completions", completion("new"))), alone("red"));
}

TEST_F(ServiceTest, AnAdapterThatFailedAtTheStartCanBeUnloaded) {
  list->add("broken", place->adapters() / "broken");
  list->set_problem("broken", "no JSON");
  EXPECT_EQ(status_of(post("/v1/unload_lora_adapter", R"({"lora_name": "broken"})")), 200);
  EXPECT_EQ(status_of(post("/v1/unload_lora_adapter", R"({"lora_name": "broken"})")), 404);
}

TEST_F(ServiceTest, AnAdapterWhoseFileLinksToItselfIsRefused) {
  const std::filesystem::path looped = place->adapters() / "looped";
  std::filesystem::copy(place->adapters() / "red", looped);
  std::filesystem::remove(looped / "adapter_model.safetensors");
  std::filesystem::create_symlink("adapter_model.safetensors", looped / "adapter_model.safetensors");
  EXPECT_EQ(status_of(post("/v1/load_lora_adapter", R"({"lora_name": "looped", "lora_path": "looped"})")),
            400);
  EXPECT_EQ(status_of(post("/v1/completions", completion("looped"))), 404);
  EXPECT_EQ(text_of(post("/v1/completions", completion("red"))), alone("red"));
}

TEST_F(ServiceTest, ScalesOfAdapters) {
  const Json all = Json::parse(body_of(get("/lora-adapters")));
  ASSERT_EQ(all.size(), 3U);
  const std::string id = all[1].at("id").dump();
  const std::string chosen = text_of(
      post("/v1/completions", completion("tiny", R"(, "lora": [{"id": )" + id + R"(, "scale": 1}])")));
  EXPECT_EQ(chosen, alone(all[1].at("name")));
  // As in llama.cpp, entries of scale 0 and adapters that are not listed are not used.
  const std::string zero = R"(, "lora": [{"id": )" + id + R"(, "scale": 0}])";
  EXPECT_EQ(text_of(post("/v1/completions", completion("tiny", zero))), alone(""));
  EXPECT_EQ(text_of(post("/v1/completions", completion("tiny", R"(, "lora": [])"))), alone(""));
  for (const std::string& list : {zero, R"(, "lora": [{"id": )" + id + "}]"}) {
    const std::string both = post("/v1/completions", completion("red", list));
    EXPECT_EQ(status_of(both), 400) << both;
    EXPECT_NE(both.find(R"(`model` names the adapter \"red\", and `lora`)"), std::string::npos) << both;
  }
  EXPECT_EQ(status_of(post("/lora-adapters", R"([{"id": )" + id + R"(, "scale": 1}])")), 200);
  EXPECT_EQ(text_of(post("/v1/completions", completion(all[0].at("name")))), alone("")) << "scale 0";
}

TEST_F(ServiceTest, MethodsPathsAndEncoders) {
  const std::string wrong = get("/v1/completions");
  EXPECT_EQ(status_of(wrong), 405);
  EXPECT_NE(wrong.find("Allow: POST, OPTIONS"), std::string::npos) << wrong;
  EXPECT_EQ(status_of(get("/none")), 404);
  EXPECT_EQ(status_of(get("/../../etc/passwd")), 404);
  EXPECT_EQ(status_of(get("/health")), 200);
  EXPECT_EQ(status_of(post("/v1/embeddings", R"({"model": "tiny", "input": "a"})")), 400);
  EXPECT_NE(get("/metrics").find("lowrank_requests_running 0"), std::string::npos);
  EXPECT_EQ(status_of(RawClient(server->port())
                          .request("OPTIONS", "/v1/models", "", "Connection: close\r\n")
                          .everything()),
            204);
  const std::string gzip = RawClient(server->port())
                               .request("POST", "/v1/completions", "x", "Content-Encoding: gzip\r\n")
                               .everything();
  EXPECT_EQ(status_of(gzip), 415);
  const Json tokens = Json::parse(body_of(post("/tokenize", R"({"model": "tiny", "prompt": "a b"})")));
  EXPECT_EQ(body_of(post("/detokenize", Json{{"tokens", tokens.at("tokens")}}.dump())).find("a b") !=
                std::string::npos,
            true);
}

TEST_F(ServiceTest, TheQueueIsBounded) {
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    clients.back()->request(
        "POST", "/v1/completions",
        R"({"model": "red", "prompt": "a", "max_tokens": 200, "ignore_eos": true, "n": 16})",
        "Connection: close\r\n");
  }
  int refused = 0;
  for (auto& client : clients) {
    const std::string answer = client->everything();
    refused += status_of(answer) == 503 && answer.find("Retry-After") != std::string::npos ? 1 : 0;
  }
  EXPECT_GE(refused, 1);
  EXPECT_LT(refused, 6);
}

}  // namespace
}  // namespace lowrank::serve
