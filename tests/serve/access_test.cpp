// Who may use the server, and which adapters a client can reach.
#include "serve/http/access.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "serve/adapter_list.h"
#include "serve/api/refusal.h"
#include "serve/options.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace lowrank::serve {
namespace {

HttpRequest asking(const std::string& host, const std::string& origin = "", const std::string& key = "") {
  HttpRequest head;
  head.method = "POST";
  head.host = host;
  head.origin = origin;
  head.authorization = key;
  return head;
}

int status_of(const AccessRules& rules, const HttpRequest& head, bool open = false) {
  const auto refusal = rules.refusal(head, open);
  return refusal ? refusal->status : 200;
}

TEST(Access, HostsOfThisMachine) {
  const AccessRules rules;
  for (const char* host : {"localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:1", "127.1.2.3",
                           "127.255.0.01", "[::1]:80", "[::1]", "localhost:"})
    EXPECT_EQ(status_of(rules, asking(host)), 200) << host;
  for (const char* host : {"",
                           "evil.example",
                           "127.0.0.1.evil.example",
                           "localhost.evil.example",
                           "128.0.0.1",
                           "10.0.0.1",
                           "[::2]",
                           "127.evil",
                           "[::1]evil.com",
                           "[::1]evil.com:80",
                           "[::1].",
                           "[::1",
                           "127...",
                           "127.0.0",
                           "127.0.0.",
                           "127.0.0.1.",
                           "127.0.0.1.1",
                           "127.0.0.1234",
                           "127.0..1",
                           "localhost:80.evil.com",
                           "[::1]:80:evil"})
    EXPECT_EQ(status_of(rules, asking(host)), 421) << host;
  AccessRules named;
  named.hosts = {"box"};
  EXPECT_EQ(status_of(named, asking("Box:80")), 200);
  AccessRules open_to_all;
  open_to_all.loopback_only = false;
  EXPECT_EQ(status_of(open_to_all, asking("any.example")), 200);
}

TEST(Access, OriginsOfOtherSites) {
  AccessRules rules;
  EXPECT_EQ(status_of(rules, asking("localhost:8080", "http://localhost:8080")), 200);
  for (const char* origin : {"https://evil.example", "null", "http://localhost:9090",
                             "http://localhost:8080.evil.example", "localhost:8080"})
    EXPECT_EQ(status_of(rules, asking("localhost:8080", origin)), 403) << origin;
  EXPECT_TRUE(rules.cross_origin_headers(asking("localhost", "https://evil.example")).empty());
  rules.origins = {"https://good.example"};
  EXPECT_EQ(status_of(rules, asking("localhost", "https://good.example")), 200);
  EXPECT_EQ(status_of(rules, asking("localhost", "https://evil.example")), 403);
  EXPECT_EQ(rules.cross_origin_headers(asking("localhost", "https://good.example")).at(0).second,
            "https://good.example");
  rules.origins = {"*"};
  EXPECT_EQ(rules.cross_origin_headers(asking("localhost", "https://any.example")).at(0).second, "*");
}

TEST(Access, Keys) {
  AccessRules rules;
  rules.api_key = "sesame";
  EXPECT_EQ(status_of(rules, asking("localhost", "", "Bearer sesame")), 200);
  EXPECT_EQ(status_of(rules, asking("localhost", "", "bearer  sesame")), 200);
  for (const char* wrong : {"", "sesame", "Bearer", "Bearer ", "Bearer sesam", "Bearer sesamee",
                            "Bearer SESAME", "Basic sesame", "Bearer sesamesesame"})
    EXPECT_EQ(status_of(rules, asking("localhost", "", wrong)), 401) << wrong;
  EXPECT_EQ(status_of(rules, asking("localhost"), true), 200);
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_FALSE(equal_in_constant_time("a", ""));
  EXPECT_FALSE(equal_in_constant_time("", "a"));
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
}

TEST(Access, AServerThatOthersReachNeedsAKey) {
  ServeOptions options;
  EXPECT_NO_THROW(check_reach(options, ""));
  options.host = "0.0.0.0";
  EXPECT_THROW(check_reach(options, ""), Error);
  EXPECT_NO_THROW(check_reach(options, "key"));
  options.without_api_key = true;
  EXPECT_NO_THROW(check_reach(options, ""));
}

TEST(Access, KeysFromFiles) {
  const test::TemporaryFolder folder;
  ServeOptions options;
  options.api_key_file = folder.write("key", "sesame\nmore\n");
  EXPECT_EQ(api_key_of(options), "sesame");
  options.api_key_file = folder.write("empty", "\n");
  EXPECT_THROW(api_key_of(options), Error);
  options.api_key_file = folder.write("spaces", "two words\n");
  EXPECT_THROW(api_key_of(options), Error);
}

TEST(Access, NamesOfModels) {
  EXPECT_EQ(served_name("/a/SmolLM2.Q4_1.gguf"), "SmolLM2.Q4_1");
  EXPECT_EQ(served_name("/a/tiny/"), "tiny");
  EXPECT_EQ(served_name("/c/hub/models--org--name/snapshots/abc"), "org/name");
}

TEST(Access, NamesOfAdapters) {
  AdapterList list("base");
  list.add("news", "/a/news");
  EXPECT_EQ(list.find("news")->id, 0);
  for (const char* wrong : {"news", "base", "", ".", "..", "../x", "a/b", "a\\b", "a\nb"})
    EXPECT_THROW(list.add(wrong, "/a"), Error) << wrong;
  EXPECT_THROW(list.add(std::string(10'000, 'a'), "/a"), Error);
  EXPECT_EQ(list.nearest("newz"), "news");
  EXPECT_FALSE(list.nearest(std::string(10'000, 'a')));
  EXPECT_TRUE(list.remove("news"));
  EXPECT_FALSE(list.remove("news"));
  EXPECT_EQ(list.add("news", "/a/news").id, 1) << "a number is never used again";
  EXPECT_FALSE(list.with_id(0));
}

TEST(Access, AdaptersStandInTheirFolder) {
  namespace fs = std::filesystem;
  const test::TemporaryFolder folder, elsewhere;
  for (const char* name : {"b", "a", ".hidden", "none"}) fs::create_directory(folder.path() / name);
  for (const char* name : {"b", "a", ".hidden"})
    folder.write(std::string(name) + "/adapter_config.json", "{}");
  folder.write("c.gguf", "GGUF");
  folder.write("notes.txt", "");
  elsewhere.write("adapter_config.json", "{}");
  fs::create_directory_symlink(elsewhere.path(), folder.path() / "out");
  fs::create_directory_symlink("a", folder.path() / "same");
  fs::create_symlink("missing", folder.path() / "dangling");
  std::vector<std::string> names;
  for (const FoundAdapter& one : adapters_in(folder.path())) names.push_back(one.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c", "same"}));
  EXPECT_EQ(adapter_inside(folder.path(), "a"), fs::canonical(folder.path() / "a"));
  EXPECT_EQ(adapter_inside(folder.path(), (folder.path() / "a").string()),
            fs::canonical(folder.path() / "a"));
  for (const std::string& path : std::vector<std::string>{
           "", ".", "..", "../", "/etc/passwd", "/", "out", "missing", "a/../..", std::string("a\0", 2),
           std::string(10'000, 'a'), "http://evil.example/x", elsewhere.path().string()})
    EXPECT_THROW(adapter_inside(folder.path(), path), Refusal) << path.substr(0, 50);
  EXPECT_THROW(adapters_in(folder.path() / "missing"), Error);
}

TEST(Access, FilesOfAdaptersStandInTheFolderToo) {
  namespace fs = std::filesystem;
  const test::TemporaryFolder folder, elsewhere;
  elsewhere.write("secret", "secret");
  for (const char* name : {"inside", "outside", "deep", "dangling"}) {
    fs::create_directory(folder.path() / name);
    folder.write(std::string(name) + "/adapter_config.json", "{}");
  }
  fs::create_symlink("../outside/adapter_config.json", folder.path() / "inside/adapter_model.safetensors");
  fs::create_symlink(elsewhere.path() / "secret", folder.path() / "outside/adapter_model.safetensors");
  fs::create_directory(folder.path() / "deep/default");
  fs::create_symlink(elsewhere.path() / "secret", folder.path() / "deep/default/adapter_model.safetensors");
  fs::create_directory(folder.path() / "through");
  folder.write("through/adapter_config.json", "{}");
  fs::create_directory_symlink("../deep/default", folder.path() / "through/default");
  fs::create_directory_symlink("../inside", folder.path() / "inside/self");
  fs::create_symlink(elsewhere.path() / "none", folder.path() / "dangling/adapter_model.safetensors");
  std::vector<std::string> names;
  for (const FoundAdapter& one : adapters_in(folder.path())) names.push_back(one.name);
  EXPECT_EQ(names, (std::vector<std::string>{"inside"}));
  EXPECT_NO_THROW(adapter_inside(folder.path(), "inside"));
  for (const char* name : {"outside", "deep", "through", "dangling"})
    EXPECT_THROW(adapter_inside(folder.path(), name), Refusal) << name;
}

TEST(Access, ClientsSeeNamesInPlaceOfPaths) {
  EXPECT_EQ(without_folder("/srv/a/x.json: not JSON", "/srv/a", "amber"), "amber/x.json: not JSON");
  EXPECT_EQ(without_folder("/srv/a: x; see /srv/a/y", "/srv/a/", "amber"), "amber: x; see amber/y");
  EXPECT_EQ(without_folder("/srv/ab/x", "/srv/a", "amber"), "/srv/ab/x");
  EXPECT_EQ(without_folder("a tensor", "a", "amber"), "a tensor");
  EXPECT_EQ(without_folder("a text", "", "amber"), "a text");
}

}  // namespace
}  // namespace lowrank::serve
