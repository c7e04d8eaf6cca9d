#include "data/rows/rows.h"

#include <sys/stat.h>
#include <thread>

#include "data/rows/data_files.h"
#include "support/text_fixtures.h"

namespace lowrank::test {
namespace {

std::vector<Row> rows_of(const std::filesystem::path& path, std::string_view format = "",
                         bool need_completion = true) {
  std::vector<Row> rows;
  read_rows(path, {std::string(format), {}, need_completion},
            [&](Row row, const nlohmann::ordered_json&) { rows.push_back(std::move(row)); });
  return rows;
}

std::vector<Row> rows_of_text(std::string_view text, std::string_view format = "") {
  const Scratch scratch;
  return rows_of(scratch.write("rows.jsonl", text), format);
}

/// Expects the error, with the file's name and the line in front.
void expect_line_error(std::string_view text, ErrorKind kind, int line, std::string_view part,
                       std::string_view format = "") {
  const std::string message = message_of(kind, [&] { rows_of_text(text, format); });
  EXPECT_NE(message.find("rows.jsonl:" + std::to_string(line) + ": "), std::string::npos) << message;
  EXPECT_NE(message.find(part), std::string::npos) << message << "\nexpected: " << part;
}

TEST(Rows, PromptAndCompletion) {
  const auto rows = rows_of_text(R"({"prompt":"a\u00e9","completion":" b","id":7})"
                                 "\n"
                                 R"({"prompt":"","completion":""})");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].format, RowFormat::prompt_completion);
  EXPECT_EQ(rows[0].prompt, "a\u00e9");
  EXPECT_EQ(rows[0].completion, " b");
  EXPECT_EQ(rows[1].line, 2);
}

TEST(Rows, TextAndLabelsAreText) {
  const auto rows = rows_of_text(R"({"text":"abc","label":1})");
  EXPECT_EQ(rows[0].format, RowFormat::text);
  EXPECT_EQ(rows[0].prompt, "");
  EXPECT_EQ(rows[0].completion, "abc");
}

TEST(Rows, AlpacaHasStanfordsPrompts) {
  const auto rows = rows_of_text(R"({"instruction":"Add.","input":"1 2","output":"3"})"
                                 "\n"
                                 R"({"instruction":"Sing.","input":"","output":"la"})"
                                 "\n"
                                 R"({"instruction":"Sing.","output":"la"})");
  EXPECT_EQ(
      rows[0].prompt,
      "Below is an instruction that describes a task, paired with an input that provides further context. "
      "Write a response that appropriately completes the request.\n\n"
      "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:");
  EXPECT_EQ(rows[0].completion, "3");
  EXPECT_EQ(rows[1].prompt,
            "Below is an instruction that describes a task. "
            "Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nSing.\n\n### Response:");
  EXPECT_EQ(rows[2].prompt, rows[1].prompt);
}

TEST(Rows, Tokenised) {
  const auto rows = rows_of_text(R"({"input_ids":[1,2,3],"labels":[-100,2,3]})"
                                 "\n"
                                 R"({"input_ids":[4],"text":"x"})");
  EXPECT_EQ(rows[0].format, RowFormat::tokenised);
  EXPECT_EQ(rows[0].labels, (std::vector<int64_t>{-100, 2, 3}));
  EXPECT_EQ(rows[1].labels, (std::vector<int64_t>{4}));
}

TEST(Rows, BlankLinesCrlfAndAByteOrderMarkAreAccepted) {
  const auto rows = rows_of_text("\xEF\xBB\xBF\r\n{\"text\":\"a\"}\r\n \t\r\n\n{\"text\":\"b\"}");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].line, 2);
  EXPECT_EQ(rows[1].line, 5);
  EXPECT_EQ(rows[1].completion, "b");
}

TEST(Rows, TheNamedFormatIsUsed) {
  EXPECT_EQ(rows_of_text(R"({"text":"a","prompt":"p","completion":"c"})", "text")[0].completion, "a");
  expect_line_error(R"({"text":"a"})", ErrorKind::invalid, 1, "format text among rows of format prompt",
                    "prompt");
  expect_failure(ErrorKind::invalid, "'chatty' is not known; known are prompt, text, messages, sharegpt",
                 [] { rows_of_text(R"({"text":"a"})", "chatty"); });
}

TEST(Rows, PromptsAloneAreEnoughForGeneration) {
  const Scratch scratch;
  const auto path = scratch.write("rows.jsonl", R"({"z":1.5,"prompt":"p","a":[1,{"k":null}]})");
  nlohmann::ordered_json untouched;
  read_rows(path, {"", {}, false}, [&](const Row& row, const nlohmann::ordered_json& json) {
    EXPECT_EQ(row.prompt, "p");
    untouched = json;
  });
  EXPECT_EQ(untouched.dump(), R"({"z":1.5,"prompt":"p","a":[1,{"k":null}]})");
  expect_failure(ErrorKind::invalid, "no \"completion\"", [&] { rows_of(path); });
}

TEST(Rows, BadLinesAreNamed) {
  const std::string good = "{\"text\":\"a\"}\n";
  const std::vector<std::pair<std::string, std::string>> corrupt = {
      {"{\"text\":\"a", "parse error at column"},
      {"{\"text\":", "parse error at column"},
      {"{\"text\":\"a\"} x", "parse error at column"},
      {"not json", "parse error at column"},
      {"{\"text\":\"\\ud800\"}", "parse error at column"},
      {"[\"text\"]", "not a JSON object"},
      {"\"text\"", "not a JSON object"},
      {"null", "not a JSON object"},
      {std::string("\0", 1), "a zero byte at offset 0"},
      {"{\"text\":\"\xFF\"}", "not UTF-8 at byte 9"},
      {"{\"text\":\"\xE9t\xE9\"}", "not UTF-8 at byte 9"},
      {"{\"text\":" + std::string(100'000, '['), "nested deeper"},
      {"{\"text\":" + std::string(100'000, '{'), "parse error at column 10"},
      {"{\"text\":\"b\",\"x\":1e400}", "number overflow"},
      {"\xFE\xFF", "not UTF-8 at byte 0"},
  };
  for (const auto& [line, part] : corrupt)
    expect_line_error(fmt::format("{}{}\n{}", good, line, good), ErrorKind::corrupt, 2, part);
}

TEST(Rows, BadFieldsAreNamed) {
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {R"({"prompt":"a","completion":"b"})", R"({"prompt":"a","completion":null})",
       "\"completion\" must be a string, not null"},
      {R"({"prompt":"a","completion":"b"})", R"({"prompt":"a","completion":5})",
       "\"completion\" must be a string, not number"},
      {R"({"prompt":"a","completion":"b"})", R"({"prompt":["a"],"completion":"b"})",
       "\"prompt\" must be a string, not array"},
      {R"({"prompt":"a","completion":"b"})", R"({"prompt":"a"})", "no \"completion\""},
      {R"({"prompt":"a","completion":"b"})", R"({"prompt":"a","answer":"b"})", "completion=answer"},
      {R"({"prompt":"a","completion":"b"})", R"({"completion":"a"})", "no \"prompt\""},
      {R"({"prompt":"a","completion":"b"})", R"({"text":"a"})", "format text among rows of format prompt"},
      {R"({"text":"a"})", R"({"instruction":"a","output":"b"})", "format alpaca among rows of format text"},
      {R"({"text":"a"})", R"({"input_ids":[1]})", "format tokenised among rows of format text"},
      {R"({"text":"a"})", R"({})", "no \"text\""},
      {R"({"instruction":"a","output":"b"})", R"({"instruction":"a","input":3,"output":"b"})",
       "\"input\" must be a string"},
      {R"({"input_ids":[1]})", R"({"input_ids":"1"})", "\"input_ids\" must be an array of ids"},
      {R"({"input_ids":[1]})", R"({"input_ids":[1.5]})", "which is no token id"},
      {R"({"input_ids":[1]})", R"({"input_ids":[99999999999999999999]})", "which is no token id"},
      {R"({"input_ids":[1]})", R"({"input_ids":[[1]]})", "which is no token id"},
      {R"({"input_ids":[1]})", R"({"input_ids":[1,2],"labels":[1]})", "1 labels for 2 input_ids"},
  };
  for (const auto& [first, second, part] : cases) {
    expect_line_error(fmt::format("{}\n{}\n", first, second), ErrorKind::invalid, 2, part);
  }
  expect_line_error(R"({"messages":null})", ErrorKind::invalid, 1, "\"messages\" is null");
  expect_line_error(R"({"completion":[{"role":"assistant","content":"a"}]})", ErrorKind::invalid, 1,
                    "has a \"completion\" and no \"prompt\"");
  expect_line_error(R"({"one":[]})", ErrorKind::invalid, 1, "no known fields (\"one\")");
  expect_line_error(R"({"messages":[]})", ErrorKind::invalid, 1, "\"messages\" has no messages");
  expect_line_error(R"({"prompt":"a","chosen":"b","rejected":"c"})", ErrorKind::invalid, 1,
                    "`columns` prompt=prompt,completion=chosen");
  expect_line_error(R"({"instruction":"a","output":"b","prompt":"c"})", ErrorKind::invalid, 1,
                    "`format` alpaca");
}

/// Expects the row refused, with the field named.
void expect_unread(std::string_view row, std::string_view field) {
  const std::string name(field.substr(0, field.find(':')));
  expect_line_error(fmt::format("{}{}}}", row, field), ErrorKind::invalid, 1, name + " is not read");
}

TEST(Rows, NothingThatMattersIsDropped) {
  const char* const prompt = R"({"prompt":"p","completion":"c",)";
  const char* const alpaca = R"({"instruction":"i","output":"o",)";
  for (const char* field :
       {R"("system":"Be brief.")", R"("history":[["a","b"]])", R"("tools":[{"name":"f"}])"})
    expect_unread(prompt, field);
  for (const char* field : {R"("context":"c")", R"("chosen":"x")"}) {
    expect_unread(alpaca, field);
    if (std::string_view(field) != R"("context":"c")") expect_unread(prompt, field);
  }
  expect_unread(prompt, R"("context":"d")");
  for (const char* row :
       {R"({"prompt":"p","completion":"c","system":"","history":[],"context":null,"id":7,"source":"s"})",
        R"({"instruction":"i","input":null,"output":"o","system":"","history":[]})",
        R"({"prompt":"Given: c. p","completion":"c","context":"Given: c"})"}) {
    EXPECT_EQ(rows_of_text(row).size(), 1U) << row;
  }
  expect_line_error(R"({"prompt":"p","completion":"c","label":false})", ErrorKind::unsupported, 1,
                    "\"label\" says whether the answer is a good one");
}

TEST(Rows, NothingBesideAConversationIsDropped) {
  const char* const messages =
      R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],)";
  for (const char* field : {R"("system_prompt":"s")", R"("history":[["a","b"]])", R"("context":"c")",
                            R"("prompt":"p")", R"("completion":"c")", R"("instruction":"i")",
                            R"("output":"o")", R"("response":"r")", R"("chosen":[{}])", R"("rejected":"x")",
                            R"("images":["i"])", R"("text_pair":"t")", R"("kto_tag":true)"})
    expect_unread(messages, field);
  expect_unread(R"({"instruction":"i","output":"o","system":"s",)", R"("completion":"c")");
  expect_unread(
      R"({"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}],)",
      R"("history":[["a","b"]])");
  for (const char* field : {R"("id":1,"source":"s","text":"rendered")", R"("prompt":"q","completion":"a")",
                            R"("system_prompt":"")", R"("parallel_tool_calls":false,"tool_choice":"auto")"})
    EXPECT_EQ(rows_of_text(fmt::format("{}{}}}", messages, field)).size(), 1U) << field;
}

TEST(Rows, ConversationsAreDetected) {
  const std::string list = R"([{"role":"user","content":"q"},{"role":"assistant","content":"a"}])";
  const std::string sharegpt = R"([{"from":"human","value":"q"},{"from":"gpt","value":"a"}])";
  for (const auto& [row, name, format] : std::vector<std::tuple<std::string, std::string, RowFormat>>{
           {R"({"messages":)" + list + "}", "messages", RowFormat::messages},
           {R"({"messages":)" + sharegpt + "}", "messages", RowFormat::messages},
           {R"({"text":"rendered","messages":)" + list + "}", "messages", RowFormat::messages},
           {R"({"conversations":)" + sharegpt + "}", "sharegpt", RowFormat::messages},
           {R"({"conversation":)" + list + "}", "sharegpt", RowFormat::messages},
           {R"({"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]})",
            "prompt", RowFormat::prompt_messages},
           {R"({"instruction":"q","output":"a","history":[["q","a"]]})", "alpaca-chat",
            RowFormat::alpaca_chat},
           {R"({"instruction":"q","output":"a","system":"s"})", "alpaca-chat", RowFormat::alpaca_chat},
           {R"({"instruction":"q","output":"a","system":"","history":[]})", "alpaca", RowFormat::alpaca},
           {R"({"messages":null,"text":"t"})", "text", RowFormat::text}}) {
    const Row found = rows_of_text(row).front();
    EXPECT_EQ(found.format, format) << row;
    EXPECT_EQ(found.format_name, name) << row;
    EXPECT_EQ(found.conversation.has_value(), is_conversation(format)) << row;
    EXPECT_EQ(rows_of_text(row, name).front().format, format) << row;
  }
  EXPECT_FALSE(rows_of_text(R"({"text":"t","messages":)" + list + "}", "text").front().conversation);
  EXPECT_TRUE(rows_of_text(R"({"conversations":)" + list + "}", "messages").front().conversation);
}

TEST(Rows, TheFirstRowDecidesForAll) {
  const std::string plain = R"({"instruction":"i","output":"o"})";
  const std::string chat = R"({"instruction":"i","output":"o","history":[["q","a"]]})";
  EXPECT_EQ(rows_of_text(chat + "\n" + plain).back().format, RowFormat::alpaca_chat);
  EXPECT_EQ(rows_of_text(plain + "\n" + chat, "alpaca-chat").front().format, RowFormat::alpaca_chat);
  expect_line_error(plain + "\n" + chat, ErrorKind::invalid, 2, "`format` alpaca-chat reads all rows");
  const std::string strings = R"({"prompt":"q","completion":"a"})";
  const std::string lists =
      R"({"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]})";
  expect_line_error(strings + "\n" + lists, ErrorKind::invalid, 2, "rows of strings and rows of messages");
  expect_line_error(lists + "\n" + strings, ErrorKind::invalid, 2, "write it as [{\"role\": \"user\"");
  expect_line_error(R"({"messages":[{"role":"user","content":"q"}]})"
                    "\n" +
                        strings,
                    ErrorKind::invalid, 2, "a row of format prompt among rows of format messages");
}

TEST(Rows, ColumnsRenameConversations) {
  const Scratch scratch;
  const auto path = scratch.write(
      "rows.jsonl",
      R"({"chat":[{"role":"user","content":"q"}],"schemas":[{"name":"f"}],"s":"be","prompt":"x"})");
  std::optional<ConversationRow> row;
  read_rows(path, {"", {"messages=chat", "tools=schemas", "system=s"}, true},
            [&](const Row& read, const nlohmann::ordered_json&) { row = read.conversation; });
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->conversation.messages.size(), 2U);
  EXPECT_EQ(row->conversation.tools.size(), 1U);
}

TEST(Rows, TextsAreAskedForByTheirFormat) {
  const char* const row = R"({"messages":[{"role":"user","content":"q"}]})";
  expect_line_error(row, ErrorKind::invalid, 1, "a row of format messages among rows of format label",
                    "label");
}

TEST(Rows, MasksOfTokenisedRowsAreHonoured) {
  const auto row = [](std::string_view fields) {
    return rows_of_text(fmt::format("{{{}}}", fields)).front();
  };
  using Ids = std::vector<int64_t>;
  EXPECT_EQ(row(R"("input_ids":[5,6,0,0],"attention_mask":[1,1,0,0])").input_ids, (Ids{5, 6}));
  const Row left = row(R"("input_ids":[0,0,5,6],"attention_mask":[0,0,1,1],"labels":[-100,-100,-100,6],)"
                       R"("position_ids":[1,1,0,1],"token_type_ids":[0,0,0,0])");
  EXPECT_EQ(left.input_ids, (Ids{5, 6}));
  EXPECT_EQ(left.labels, (Ids{-100, 6}));
  EXPECT_EQ(row(R"("input_ids":[5,6],"completion_mask":[0,1])").labels, (Ids{-100, 6}));
  for (const auto& [fields, part] : std::vector<std::pair<const char*, const char*>>{
           {R"("input_ids":[5,6,7],"attention_mask":[1,0,1])", "has a hole"},
           {R"("input_ids":[5,6,7],"attention_mask":[1,1])", "2 attention_mask for 3 input_ids"},
           {R"("input_ids":[5,6],"attention_mask":[1,2])", "0 and 1 alone"},
           {R"("input_ids":[5,6],"token_type_ids":[0,1])", "\"token_type_ids\" other than 0"},
           {R"("input_ids":[5,6],"position_ids":[0,0])", "\"position_ids\" must count up"}}) {
    expect_line_error(fmt::format("{{{}}}", fields), ErrorKind::invalid, 1, part);
  }
}

TEST(Rows, SeveralBadRowsAreToldAtOnce) {
  const std::string bad = "{\"prompt\":\"a\"}\n";
  const std::string good = "{\"prompt\":\"a\",\"completion\":\"b\"}\n";
  expect_line_error(good + bad + "nonsense\n" + bad + good + bad, ErrorKind::invalid, 2,
                    "no \"completion\" (and 2 more: 4, 6); ");
  expect_line_error(good + bad + "nonsense\n" + bad + good + bad, ErrorKind::invalid, 3, "parse error");
  std::string many;
  for (int i = 0; i < 3000; ++i) many += bad;
  expect_line_error(many, ErrorKind::invalid, 1, "(and 999 more: 2, 3, 4, 5, 6, …); the rest was not read");
}

TEST(Rows, NumbersKeepTheirText) {
  const std::string text =
      R"({"prompt":"p","completion":"c","id":12345678901234567890123456789,"n":-9223372036854775809,"x":[1.10,1e5,2.5,7]})";
  const Scratch scratch;
  std::string written;
  read_rows(scratch.write("rows.jsonl", text), {"", {}, true},
            [&](const Row&, const nlohmann::ordered_json& json) { written = row_text(json); });
  EXPECT_EQ(written, text);
  const auto rows = rows_of_text("{\"text\":\"a\",\"label\":1e1}\n{\"text\":\"a\",\"label\":2.0}", "label");
  EXPECT_EQ(rows[0].label, "10");
  EXPECT_EQ(rows[1].label, "2");
}

TEST(Rows, EmptyFilesHaveNoRows) {
  for (const char* text : {"", "\n\n", "\xEF\xBB\xBF", " \r\n"}) {
    expect_failure(ErrorKind::invalid, "rows.jsonl: no rows", [&] { rows_of_text(text); });
  }
}

TEST(Rows, OnlyFilesAreRead) {
  const Scratch scratch;
  expect_failure(ErrorKind::not_found, "none.jsonl", [&] { rows_of(scratch.path() / "none.jsonl"); });
  expect_failure(ErrorKind::invalid, "no data file in this folder", [&] { rows_of(scratch.path()); });
  const auto fifo = scratch.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_failure(ErrorKind::invalid, "not a regular file", [&] { rows_of(fifo); });
}

TEST(Rows, ALineHasALimit) {
  const std::string text = "{\"text\":\"a\"}\n{\"text\":\"" + std::string(65 << 20, 'a') + "\"}";
  expect_line_error(text, ErrorKind::corrupt, 2, "more than 67108864");
}

}  // namespace
}  // namespace lowrank::test
