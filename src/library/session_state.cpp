#include "library/session_state.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/nearest_name.h"
#include "peft/files/adapter_labels.h"
#include "session/places.h"

namespace lowrank {

AttachedAdapter& Session::State::named(const std::string& name) {
  const auto found = attached.find(name);
  if (found != attached.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, adapter] : attached) names.push_back(known);
  const auto near = nearest_name(name, names);
  fail(ErrorKind::not_found, "no adapter '{}' is attached{}", name,
       near ? fmt::format(" (did you mean {}?)", *near) : "");
}

void Session::State::attach(const std::string& name, const std::string& path) {
  check(!name.empty(), ErrorKind::invalid, "an adapter needs a name");
  check(!attached.contains(name), ErrorKind::invalid, "an adapter '{}' is attached already", name);
  check_adapter_place(path);
  const std::optional<LabelSet> labels = read_adapter_labels(path);
  const auto base = labels ? open_told(options.model, labels) : checkpoint;
  attached[name] = {base, std::make_shared<Adapter>(load_running_adapter(path, *base, options)), nullptr,
                    path};
}

RunningModel Session::State::running(const std::string& name) {
  if (name.empty()) {
    if (!model) model = load_model(checkpoint, options, nullptr, false);
    return {*checkpoint, *model, InferenceHooks(), checkpoint->spec().max_positions};
  }
  AttachedAdapter& one = named(name);
  const bool own = one.needs_own_model();
  std::unique_ptr<Model>& kept = own ? one.own_model : model;
  if (!kept) kept = load_model(one.checkpoint, options, own ? &one.adapter->plan : nullptr, false);
  return {*one.checkpoint, *kept, InferenceHooks(*one.adapter),
          one.checkpoint->spec().max_positions - one.adapter->plan.context_rows};
}

std::vector<std::vector<int64_t>> Session::State::questions(const std::string& adapter,
                                                            const ChatOptions& chat,
                                                            const std::vector<std::string>& prompts,
                                                            std::vector<int64_t>& end_tokens) {
  std::vector<std::string> paths;
  if (!adapter.empty()) paths.push_back(named(adapter).path);
  const ChatFormat format = need_chat_format(options.model, paths, *tokenizer, chat);
  std::vector<std::vector<int64_t>> ids;
  ChatNotes notes;
  for (const std::string& prompt : prompts) ids.push_back(format.prompt(question_of(chat, prompt), notes));
  for (const std::string& note : notes.warnings()) warn("{}", note);
  end_tokens = format.end_tokens();
  return ids;
}

void Session::State::unload() {
  model.reset();
  for (auto& [name, one] : attached) one.own_model.reset();
}

}  // namespace lowrank
