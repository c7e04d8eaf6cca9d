#include "tokenizer/jinja/evaluator.h"

#include <algorithm>
#include <type_traits>

#include "base/error.h"

namespace lowrank::jinja {

Evaluator::Level::Level(Evaluator& evaluator) : evaluator_(evaluator) {
  evaluator.heap_.work(1);
  check(evaluator.nesting_ < evaluator.heap_.limits().nesting, ErrorKind::invalid,
        "expressions and blocks nested deeper than {} levels, the limit of a render",
        evaluator.heap_.limits().nesting);
  ++evaluator.nesting_;
}

Evaluator::Buffer::Buffer(Evaluator& evaluator, Ref<Scope> around, bool buffered)
    : evaluator_(evaluator),
      text_(evaluator.heap_),
      out_(evaluator.out_),
      base_(evaluator.base_),
      buffered_(evaluator.buffered_),
      scope_(evaluator.scope_) {
  evaluator.scope_ = evaluator.heap_.make<Scope>(std::move(around));
  evaluator.base_ = evaluator.position();
  evaluator.buffered_ = buffered_ || buffered;
  evaluator.out_ = &text_;
}

Evaluator::Buffer::~Buffer() {
  evaluator_.out_ = out_;
  evaluator_.base_ = base_;
  evaluator_.buffered_ = buffered_;
  evaluator_.scope_ = scope_;
}

Evaluator::Evaluator(const Program& program, Heap& heap, const CalendarTime& now)
    : program_(program),
      heap_(heap),
      now_(now),
      constants_(heap),
      output_(heap),
      trace_(heap),
      empty_spans_(heap) {
  make_constants();
  scope_ = heap.make<Scope>();
  define_functions();
  scope_ = top_ = heap.make<Scope>(scope_);
}

void Evaluator::make_constants() {
  const auto value = [&](const auto& constant) -> Value {
    using T = std::decay_t<decltype(constant)>;
    if constexpr (std::is_same_v<T, std::monostate>) {
      return Value::none();
    } else if constexpr (std::is_same_v<T, Digits>) {
      return {Kind::digits, heap_.make<TextObject>(Text(heap_, constant.text))};
    } else if constexpr (std::is_same_v<T, std::string>) {
      return text_value(heap_, constant);
    } else {
      return Value(constant);
    }
  };
  for (const Constant& constant : program_.constants) constants_.push_back(std::visit(value, constant));
}

void Evaluator::set_variable(const std::string& name, Value value) {
  const auto symbol = program_.symbol_numbers.find(name);
  if (symbol != program_.symbol_numbers.end()) top_->set(symbol->second, std::move(value));
}

Rendering Evaluator::run() {
  (void)execute(program_.body);
  Rendering rendering;
  rendering.text = output_.view();
  rendering.spans = generation_spans();
  rendering.iterations = trace_.take();
  output_.each_run(0, output_.size(), [&](size_t begin, size_t end, Mark mark) {
    std::vector<OriginSpan>& origins = rendering.origins;
    if (!origins.empty() && origins.back().message == mark.origin) {
      origins.back().end = static_cast<int64_t>(end);
    } else {
      origins.push_back({static_cast<int64_t>(begin), static_cast<int64_t>(end), mark.origin});
    }
  });
  return rendering;
}

std::vector<Span> Evaluator::generation_spans() const {
  std::vector<Span> spans;
  int32_t last = 0;
  output_.each_run(0, output_.size(), [&](size_t begin, size_t end, Mark mark) {
    if (mark.generation != 0 && mark.generation == last) {
      spans.back().end = static_cast<int64_t>(end);
    } else if (mark.generation != 0) {
      spans.push_back({static_cast<int64_t>(begin), static_cast<int64_t>(end)});
    }
    last = mark.generation;
  });
  for (const int64_t at : empty_spans_) spans.push_back({at, at});
  std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  return spans;
}

}  // namespace lowrank::jinja
