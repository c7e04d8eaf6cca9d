#include <cstdlib>
#include <cstring>
#include <lowrank.h>
#include <lowrank/lowrank.h>
#include <memory>
#include <stop_token>
#include <string>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

using lowrank::Error;
using lowrank::ErrorKind;
using lowrank::Options;
using Json = nlohmann::ordered_json;

struct lowrank_session {
  explicit lowrank_session(lowrank::Session opened) : session(std::move(opened)) {}

  lowrank::Session session;
};

namespace {

/// Of the calling thread: C has no exceptions to carry it.
thread_local std::string last_error, last_kind;

const char* name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::invalid:
      return "invalid";
    case ErrorKind::corrupt:
      return "corrupt";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::io:
      return "io";
    case ErrorKind::interrupted:
      return "interrupted";
  }
  return "";
}

/// The result of `work`, or `failed` with the thread's error set.
template <class Work, class Result>
Result guarded(Work&& work, Result failed) noexcept {
  last_error.clear();
  last_kind.clear();
  try {
    return work();
  } catch (const Error& error) {
    last_error = error.what();
    if (!error.hint().empty()) last_error += '\n' + error.hint();
    last_kind = name_of(error.kind());
  } catch (const std::exception& error) {
    last_error = error.what();
    last_kind = name_of(ErrorKind::invalid);
  }
  return failed;
}

char* copied(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy) std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

template <class Work>
char* as_text(Work&& work) noexcept {
  return guarded([&] { return copied(lowrank::json_text(work())); }, static_cast<char*>(nullptr));
}

template <class Work>
int as_status(Work&& work) noexcept {
  return guarded(
      [&] {
        work();
        return 0;
      },
      -1);
}

std::string given(const char* text, const char* what) {
  lowrank::check(text != nullptr, ErrorKind::invalid, "{} is NULL", what);
  return text;
}

lowrank::Session& of(lowrank_session* session) {
  lowrank::check(session != nullptr, ErrorKind::invalid, "the session is NULL");
  return session->session;
}
const lowrank::Session& of(const lowrank_session* session) {
  return of(const_cast<lowrank_session*>(session));
}

Options options_of(const char* json) {
  return json ? Options::from_json(json) : Options();
}

}  // namespace

const char* lowrank_error(void) {
  return last_error.c_str();
}

const char* lowrank_error_kind(void) {
  return last_kind.c_str();
}

const char* lowrank_version(void) {
  return lowrank::version().data();
}

void lowrank_free(char* text) {
  std::free(text);
}

int lowrank_prepare_process(void) {
  return as_status([] { lowrank::prepare_process(); });
}

void lowrank_set_log(void (*sink)(void* user, int warning, const char* line), void* user) {
  if (!sink) return lowrank::set_log({});
  lowrank::set_log([sink, user](bool warning, std::string_view line) {
    sink(user, warning ? 1 : 0, std::string(line).c_str());
  });
}

char* lowrank_methods(void) {
  return as_text([] {
    Json list = Json::array();
    for (const lowrank::MethodDescription& one : lowrank::list_methods())
      list.push_back({{"name", one.name},
                      {"summary", one.summary},
                      {"paper", one.paper},
                      {"default_learning_rate", one.default_learning_rate}});
    return list;
  });
}

lowrank_session* lowrank_open(const char* model, const char* options) {
  return guarded(
      [&] {
        return std::make_unique<lowrank_session>(
                   lowrank::Session(given(model, "the model's path"), options_of(options)))
            .release();
      },
      static_cast<lowrank_session*>(nullptr));
}

void lowrank_close(lowrank_session* session) {
  const std::unique_ptr<lowrank_session> owned(session);
}

char* lowrank_describe(const lowrank_session* session) {
  return as_text([&] {
    const lowrank::ModelDescription model = of(session).model();
    Json adapters = Json::array();
    for (const lowrank::AdapterDescription& one : of(session).adapters())
      adapters.push_back({{"name", one.name}, {"method", one.method}, {"parameters", one.parameters}});
    return Json{{"family", model.family},   {"task", model.task},     {"parameters", model.parameters},
                {"context", model.context}, {"labels", model.labels}, {"adapters", adapters}};
  });
}

int lowrank_attach(lowrank_session* session, const char* name, const char* path) {
  return as_status([&] { of(session).attach(given(name, "the name"), given(path, "the path")); });
}

int lowrank_detach(lowrank_session* session, const char* name) {
  return as_status([&] { of(session).detach(given(name, "the name")); });
}

int lowrank_save(const lowrank_session* session, const char* name, const char* folder) {
  return as_status([&] { of(session).save(given(name, "the name"), given(folder, "the folder")); });
}

char* lowrank_train(lowrank_session* session, const char* name, const char* options,
                    lowrank_step_callback after_step, void* user) {
  return as_text([&] {
    std::stop_source stop;
    lowrank::TrainingControl control{.stop = stop.get_token()};
    if (after_step)
      control.after_step = [&](const lowrank::TrainingStep& step) {
        const Json one = {{"step", step.step},     {"total_steps", step.total_steps},
                          {"loss", step.loss},     {"learning_rate", step.learning_rate},
                          {"tokens", step.tokens}, {"seconds", step.seconds}};
        if (after_step(user, lowrank::json_text(one).c_str()) != 0) stop.request_stop();
      };
    const lowrank::TrainingSummary made =
        of(session).train(given(name, "the name"), options_of(options), control);
    Json result = {{"steps", made.steps},         {"tokens", made.tokens},   {"first_loss", made.first_loss},
                   {"last_loss", made.last_loss}, {"seconds", made.seconds}, {"output", made.output}};
    if (made.best_evaluation_loss) {
      result["best_evaluation_loss"] = *made.best_evaluation_loss;
      result["best_step"] = made.best_step;
    }
    return result;
  });
}

char* lowrank_evaluate(lowrank_session* session, const char* options) {
  return as_text([&] {
    const lowrank::EvaluationSummary found = of(session).evaluate(options_of(options));
    Json result = {{"loss", found.loss}, {"target_tokens", found.target_tokens}, {"rows", found.rows}};
    if (found.accuracy) result["accuracy"] = *found.accuracy;
    if (found.correlation) result["correlation"] = *found.correlation;
    return result;
  });
}

char* lowrank_generate(lowrank_session* session, const char* prompt, const char* options,
                       lowrank_text_callback on_text, void* user) {
  return as_text([&] {
    std::stop_source stop;
    lowrank::GenerationControl control{.stop = stop.get_token()};
    if (on_text)
      control.on_text = [&](size_t, std::string_view text) {
        if (on_text(user, std::string(text).c_str()) != 0) stop.request_stop();
      };
    const lowrank::GeneratedText made =
        of(session).generate(given(prompt, "the prompt"), options_of(options), control);
    return Json{{"text", made.text}, {"tokens", made.tokens}, {"ended", made.ended}};
  });
}

char* lowrank_merge(lowrank_session* session, const char* name, const char* output, const char* options) {
  return as_text([&] {
    const lowrank::MergeSummary made =
        of(session).merge(given(name, "the name"), given(output, "the output"), options_of(options));
    Json result = {{"changed_tensors", made.changed_tensors},
                   {"tensors", made.tensors},
                   {"bytes", made.bytes},
                   {"update_kept", made.update_kept}};
    if (made.largest_logit_difference) result["largest_logit_difference"] = *made.largest_logit_difference;
    return result;
  });
}
