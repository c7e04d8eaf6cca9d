#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/labels.h"

namespace lowrank {

/// What a tensor or module is for, whatever its name in a family.
enum class Role {
  embedding,
  position,
  query,
  key,
  value,
  query_key_value,  ///< one matrix for the three
  attention_out,
  gate,
  up,
  gate_up,  ///< one matrix for the two
  down,
  layer_input,  ///< products around an input that a layer takes beside the stream (Gemma 4)
  router,       ///< what chooses experts
  sink,         ///< a logit of attention for each head that stands for no position
  norm,
  constant,    ///< a number that files store and nothing trains
  mixer_in,    ///< what a layer without attention reads
  recurrence,  ///< how it carries its state from row to row: a convolution, a decay
  pooler,      ///< what a label head reads of a text
  head,
};

/// What a model predicts.
enum class Task {
  causal_lm,       ///< each next token
  classification,  ///< the class of a text
  regression,      ///< a value for a text
  embedding,       ///< nothing: its hidden states are the result
};

/// How GGUF files order value heads of which several share a key head: in turn by key head (head k R + r at
/// place r G + k, with G groups of R), where folders have those of a key head side by side.
struct GgufHeads {
  int64_t groups = 0;    ///< key heads; 0: the order is the same
  int64_t shared = 1;    ///< value heads on each
  int64_t first = 0;     ///< the row with which the heads begin; those before it stay
  bool columns = false;  ///< the heads are columns, not rows
};

/// Where the matrix (or bias) of an expert lies in a tensor that stacks those of all experts: GGUF's, or one
/// of folders, whose layers may have other rows as well.
struct ExpertPart {
  int64_t number = 0, count = 0;    ///< of the expert, and of all
  std::string stack_name;           ///< in folders, {experts, rows, columns}
  int64_t first_row = 0, rows = 0;  ///< this one's first row in a layer of that stack, and the layer's rows
  int64_t step = 1;                 ///< from one of its rows to the next
  bool transposed = false;          ///< the stack is {experts, columns, rows}
};

/// A tensor of the base model: one row of a family's weight table.
struct TensorRef {
  std::string name;            ///< Hugging Face name, `model.layers.0.self_attn.q_proj.weight`
  std::string gguf_name;       ///< name in GGUF files, `blk.0.attn_q.weight`
  std::vector<int64_t> shape;  ///< outermost first; a matrix is {out, in}
  int layer = -1;              ///< -1 outside the layers
  Role role = Role::norm;
  int64_t rotary_heads = 0;  ///< > 0: GGUF stores the rows of this many heads in llama.cpp's rotary order
  bool optional = false;     ///< absent in some checkpoints (a tied head)
  double gguf_offset = 0;    ///< GGUF stores the values plus this
  bool transposed = false;   ///< folders store the matrix as {in, out}
  bool depthwise = false;    ///< folders store the kernel {channels, taps} as {channels, 1, taps}
  GgufHeads gguf_heads = {};
  bool gguf_negative_exp = false;  ///< GGUF stores -exp of the values
  std::string legacy_name = {};    ///< name in old folders; empty: none
  /// For a head that may be new: standard deviation of its initial values if the folder lacks it.
  std::optional<double> start_deviation = {};
  /// For an expert's matrix; GGUF files always stack them under `gguf_name`, folders may.
  std::optional<ExpertPart> expert = {};

  /// The name without its last part.
  std::string_view module_name() const { return std::string_view(name).substr(0, name.rfind('.')); }
  bool is_weight() const { return name.ends_with(".weight"); }
  /// True if GGUF files store different values, or the rows in a different order.
  bool gguf_differs() const {
    return rotary_heads > 0 || gguf_offset != 0 || gguf_heads.groups > 0 || gguf_negative_exp;
  }
};

/// A layer that `target_modules` can name: y = W x (+ b), W of shape {out, in}.
struct Module {
  std::string name;  ///< Hugging Face path without `.weight`, `model.layers.0.self_attn.q_proj`
  int layer = -1;
  Role role = Role::query;
  int64_t in = 0;
  int64_t out = 0;
  bool transposed = false;  ///< folders store the matrix as {in, out}
  bool expert = false;      ///< computed for the tokens that use its expert

  bool is_linear() const { return role != Role::embedding && role != Role::position; }
};

/// What a token costs in the layers whose MLP consists of experts.
struct ExpertUse {
  int64_t count = 0, used = 0;  ///< experts in a layer, and those that a token uses
  int64_t ff = 0;               ///< hidden values of each
  std::vector<bool> layers;     ///< whether a layer has them; empty: none has
};

/// AdapterHub's names for the ends of a layer's branches, below the layer's own prefix.
struct BranchNames {
  std::string attention = "attention_adapters";
  std::string mlp = "output_adapters";
};

/// Names and shapes of a model, known from its configuration alone, before any weight is read.
struct ModelSpec {
  std::string family;
  std::string gguf_architecture;  ///< general.architecture of its GGUF files; empty where llama.cpp has none
  nlohmann::json config;          ///< in the form of Hugging Face's config.json
  int64_t layers = 0;
  int64_t hidden_size = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;  ///< of attention
  int64_t vocabulary_size = 0;
  int64_t max_positions = 0;
  /// Texts of up to this many positions have the same rotary frequencies, whatever their length. Those of
  /// longer texts depend on the length, so longer texts cannot share prefixes, and none of their rows can be
  /// left out.
  int64_t fixed_positions = std::numeric_limits<int64_t>::max();
  /// Layers also read rows of earlier layers, so no method can put rows between layers.
  bool rows_fixed = false;
  bool recurrent = false;       ///< layers carry a state from row to row, beside keys and values
  bool restarts_cache = false;  ///< a text that grows beyond `fixed_positions` is recomputed
  Task task = Task::causal_lm;
  std::optional<LabelSet> labels;         ///< of a label head
  std::vector<std::string> head_modules;  ///< names that PEFT saves whole for this task; some may not exist
  std::vector<std::string> ignored;       ///< prefixes of names of tensors that this task ignores
  std::vector<std::string>
      other_towers;             ///< the same for other parts of a multimodal model: told when opened
  bool tied_head = false;       ///< the head is the embedding's matrix
  std::string optional_prefix;  ///< of names, omitted in some folders
  BranchNames branch_names;
  ExpertUse experts;
  std::vector<TensorRef> tensors;
  std::vector<Module> modules;

  /// The entry of that name; nullptr where there is none.
  const TensorRef* find_tensor(std::string_view name) const;
  const Module* find_module(std::string_view name) const;
  /// The prefix of the names of a layer's modules, such as `model.layers.0.`. Errors: invalid for a layer
  /// without modules.
  std::string layer_prefix(int layer) const;
  /// The class that `architectures` names; empty where it names none.
  std::string model_class() const;
  /// Values in all tensors (a tied head counts once).
  int64_t parameters() const;
  /// Multiply-adds per token in the linear layers, including the head, and in the experts that it uses.
  int64_t macs_per_token() const;
};

}  // namespace lowrank
