// The passes of a decoder alone, without sampling or text, in every form that its weights can take in memory.
// Reads requests from standard input, answers each with a line:
//   decode_forms MODEL THREADS
//   time FORM TYPE SEQUENCES PROMPT TOKENS   seconds of the pass over the prompts, and per step that follows,
//   on the
//                                            clock and then of the processor
//   loss FORM TYPE FILE TOKENS               mean negative log-likelihood of the file's tokens, 256 at a time
//   profile FORM TYPE SEQUENCES PROMPT TOKENS   the operations of the steps: milliseconds and calls per step
// FORM: fast, one, small, blocks; TYPE: f32, bf16. A form is loaded when it is first asked for.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "kernels/core/op_profile.h"
#include "kernels/core/parallel.h"
#include "kernels/core/prepare_kernels.h"
#include "model/checkpoint.h"
#include "model/registry.h"
#include "tokenizer/tokenizer.h"

namespace lowrank {
namespace {

/// Seconds on the clock, and of all threads' processor time.
struct Moment {
  double clock = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  double processor = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
};

LoadOptions options_of(const std::string& form, const std::string& type) {
  LoadOptions options;
  options.compute = type == "f32" ? at::kFloat : at::kBFloat16;
  options.memory = form == "fast"    ? BaseMemory::fast
                   : form == "one"   ? BaseMemory::one
                   : form == "small" ? BaseMemory::small
                                     : BaseMemory::blocks;
  return options;
}

/// Sequences that grow by one token per step.
class Sequences {
 public:
  Sequences(const Model& model, int64_t count, int64_t prompt, int64_t tokens)
      : model_(model), cache_(count, prompt + tokens + 1) {
    for (int64_t s = 0; s < count; ++s) {
      batch_.offsets.push_back(batch_.token_count());
      for (int64_t i = 0; i < prompt; ++i) {
        batch_.tokens.push_back((1000 + s * 7919 + i * 104729) % model.spec().vocabulary_size);
        batch_.positions.push_back(i);
      }
      batch_.examples.push_back(s);
      batch_.prompt_rows.push_back(prompt);
      batch_.adapters.push_back(-1);
    }
    batch_.offsets.push_back(batch_.token_count());
  }

  void step() {
    std::vector<int64_t> last;
    for (int64_t s = 0; s < batch_.sequences(); ++s) last.push_back(batch_.offsets[s + 1] - 1);
    const at::Tensor logits = batch_logits(model_, {&batch_}, Hooks(), last, &cache_).contiguous();
    const auto* row = logits.const_data_ptr<float>();
    std::vector<int64_t> tokens, positions;
    for (const int64_t place : last) {
      tokens.push_back(std::max_element(row, row + logits.size(1)) - row);
      positions.push_back(batch_.positions[place] + 1);
      row += logits.size(1);
    }
    batch_.tokens = tokens;
    batch_.positions = positions;
    for (int64_t s = 0; s <= std::ssize(tokens); ++s) batch_.offsets[s] = s;
  }

 private:
  const Model& model_;
  KvCache cache_;
  Batch batch_;
};

void time_steps(const Model& model, int64_t count, int64_t prompt, int64_t tokens) {
  Sequences sequences(model, count, prompt, tokens);
  const Moment start;
  sequences.step();
  const Moment middle;
  for (int64_t i = 0; i < tokens; ++i) sequences.step();
  const Moment end;
  const auto steps = static_cast<double>(tokens);
  std::cout << middle.clock - start.clock << ' ' << (end.clock - middle.clock) / steps << ' '
            << middle.processor - start.processor << ' ' << (end.processor - middle.processor) / steps
            << std::endl;
}

void profile_steps(const Model& model, int64_t count, int64_t prompt, int64_t tokens) {
  Sequences sequences(model, count, prompt, tokens);
  sequences.step();
  OpProfile profile;
  {
    const ProfileScope scope(profile);
    for (int64_t i = 0; i < tokens; ++i) sequences.step();
  }
  std::vector<std::pair<double, std::string>> lines;
  for (const auto& [name, time] : profile.times()) {
    const auto steps = static_cast<double>(tokens);
    lines.emplace_back(time.seconds, fmt::format("{:8.3f} ms {:7.1f} calls  {}", 1e3 * time.seconds / steps,
                                                 static_cast<double>(time.calls) / steps, name));
  }
  std::ranges::sort(lines, std::greater());
  for (const auto& [seconds, line] : lines) std::cout << line << '\n';
  std::cout << std::endl;
}

void print_loss(const Model& model, const Tokenizer& tokenizer, const std::string& file, int64_t tokens) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  std::vector<int64_t> ids = tokenizer.encode(text.str().substr(0, static_cast<size_t>(tokens) * 8), false);
  ids.resize(std::min<size_t>(ids.size(), static_cast<size_t>(tokens)));
  double sum = 0, count = 0;
  constexpr size_t piece = 256;
  for (size_t begin = 0; begin + 1 < ids.size(); begin += piece) {
    Batch batch;
    const size_t end = std::min(ids.size(), begin + piece);
    for (size_t i = begin; i < end; ++i) {
      batch.tokens.push_back(ids[i]);
      batch.positions.push_back(static_cast<int64_t>(i - begin));
      if (i + 1 == end) continue;
      batch.targets.rows.push_back(static_cast<int64_t>(i - begin));
      batch.targets.tokens.push_back(ids[i + 1]);
      batch.targets.weights.push_back(1);
    }
    batch.offsets = {0, batch.token_count()};
    batch.examples = {0};
    sum += batch_loss(model, {&batch}, Hooks()).loss.item<double>();
    count += static_cast<double>(batch.targets.count());
  }
  std::cout << fmt::format("{:.6f} over {}", sum / count, count) << std::endl;
}

void answer_all(const std::string& path) {
  const auto checkpoint = Checkpoint::open(path);
  std::map<std::string, std::unique_ptr<Model>> models;
  std::optional<Tokenizer> tokenizer;
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string what, form, type, file;
    int64_t count = 0, prompt = 0, tokens = 0;
    words >> what >> form >> type;
    std::unique_ptr<Model>& model = models[form + type];
    if (!model) model = checkpoint->family().load(checkpoint, options_of(form, type));
    if (what == "loss") {
      words >> file >> tokens;
      if (!tokenizer) tokenizer.emplace(load_tokenizer(path));
      print_loss(*model, *tokenizer, file, tokens);
      continue;
    }
    words >> count >> prompt >> tokens;
    (what == "profile" ? profile_steps : time_steps)(*model, count, prompt, tokens);
  }
}

}  // namespace
}  // namespace lowrank

int main(int count, char** words) {
  try {
    if (count != 3) throw std::runtime_error("decode_forms MODEL THREADS");
    lowrank::prepare_kernels();
    lowrank::set_thread_count(std::atoi(words[2]));
    const at::NoGradGuard no_grad;
    lowrank::answer_all(words[1]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
