// Writes a GGUF model of Qwen 2.5's shapes with random Q4_K matrices:
//   make_random_gguf FILE.gguf [1.5b | 7b [LAYERS]]
// Its values mean nothing; it is for measuring memory and speed at users' sizes.
#include <cmath>
#include <cstring>
#include <iostream>

#include "base/error.h"
#include "base/half.h"
#include "base/rng.h"
#include "formats/gguf_writer.h"

namespace lowrank {
namespace {

constexpr int64_t head_dim = 128;

struct Shape {
  std::string name;
  int64_t hidden = 0, ff = 0, heads = 0, kv_heads = 0, vocabulary = 0, layers = 0;
  bool tied = false;  ///< the head is the embedding
};

Shape shape_named(const std::string& name) {
  for (const Shape& shape : {Shape{"1.5b", 1536, 8960, 12, 2, 151936, 28, true},
                             Shape{"7b", 3584, 18944, 28, 4, 152064, 28, false}}) {
    if (shape.name == name) return shape;
  }
  fail(ErrorKind::invalid, "the shape '{}' is unknown; there are 1.5b and 7b", name);
}

StoredTensor matrix(const std::string& name, int64_t out, int64_t in) {
  return {name, DType::q4_k, {out, in}, {}};
}

StoredTensor vector(const std::string& name, int64_t size) {
  return {name, DType::f32, {size}, {}};
}

std::vector<StoredTensor> tensors_of(const Shape& shape) {
  const auto& [name, hidden, ff, heads, kv_heads, vocabulary, layers, tied] = shape;
  std::vector<StoredTensor> tensors{matrix("token_embd.weight", vocabulary, hidden),
                                    vector("output_norm.weight", hidden)};
  if (!tied) tensors.push_back(matrix("output.weight", vocabulary, hidden));
  for (int64_t i = 0; i < layers; ++i) {
    const std::string p = fmt::format("blk.{}.", i);
    for (const StoredTensor& tensor :
         {vector(p + "attn_norm.weight", hidden), vector(p + "ffn_norm.weight", hidden),
          matrix(p + "attn_q.weight", heads * head_dim, hidden), vector(p + "attn_q.bias", heads * head_dim),
          matrix(p + "attn_k.weight", kv_heads * head_dim, hidden),
          vector(p + "attn_k.bias", kv_heads * head_dim),
          matrix(p + "attn_v.weight", kv_heads * head_dim, hidden),
          vector(p + "attn_v.bias", kv_heads * head_dim),
          matrix(p + "attn_output.weight", hidden, heads * head_dim),
          matrix(p + "ffn_gate.weight", ff, hidden), matrix(p + "ffn_up.weight", ff, hidden),
          matrix(p + "ffn_down.weight", hidden, ff)})
      tensors.push_back(tensor);
  }
  return tensors;
}

GgufMetadata metadata_of(const Shape& shape) {
  GgufMetadata metadata;
  metadata.set_string("general.architecture", "qwen2");
  metadata.set_string("general.name", fmt::format("random weights in Qwen 2.5 {}'s shapes", shape.name));
  metadata.set_number("qwen2.block_count", static_cast<uint32_t>(shape.layers));
  metadata.set_number("qwen2.embedding_length", static_cast<uint32_t>(shape.hidden));
  metadata.set_number("qwen2.feed_forward_length", static_cast<uint32_t>(shape.ff));
  metadata.set_number("qwen2.context_length", uint32_t{32768});
  metadata.set_number("qwen2.attention.head_count", static_cast<uint32_t>(shape.heads));
  metadata.set_number("qwen2.attention.head_count_kv", static_cast<uint32_t>(shape.kv_heads));
  metadata.set_number("qwen2.attention.layer_norm_rms_epsilon", 1e-6F);
  metadata.set_number("qwen2.rope.freq_base", 1e6F);
  return metadata;
}

/// Random Q4_K blocks whose values have a deviation of about 1 / sqrt(in): 2 bytes d, 2 bytes dmin, 12 bytes
/// of 6-bit scales and minima, 128 bytes of nibbles.
void fill(std::vector<std::byte>& row, int64_t in, Philox& random) {
  constexpr size_t block_bytes = 144;
  const float d = 1 / (32 * 4.6F * std::sqrt(static_cast<float>(in)));
  const uint16_t scale = f16_from_float(d);
  const uint16_t minimum = f16_from_float(7.5F * d);
  for (size_t at = 0; at < row.size(); at += sizeof(uint64_t)) {
    const uint64_t bits = random.below(UINT64_MAX);
    std::memcpy(&row[at], &bits, std::min(sizeof bits, row.size() - at));
  }
  for (size_t block = 0; block < row.size(); block += block_bytes) {
    std::memcpy(&row[block], &scale, sizeof scale);
    std::memcpy(&row[block + 2], &minimum, sizeof minimum);
    // Every scale and every minimum is 32: bits 100000 in their six.
    std::memset(&row[block + 4], 32, 8);
    std::memset(&row[block + 12], 0, 4);
  }
}

void write(const std::string& path, const Shape& shape) {
  const std::vector<StoredTensor> tensors = tensors_of(shape);
  GgufWriter writer(path, tensors, metadata_of(shape));
  Philox random(1);
  for (const StoredTensor& tensor : tensors) {
    if (tensor.dtype == DType::f32) {
      const std::vector<float> values(tensor.shape[0], tensor.name.ends_with(".bias") ? 0.0F : 1.0F);
      writer.append(std::as_bytes(std::span(values)));
      continue;
    }
    std::vector<std::byte> row(*byte_count(tensor.dtype, tensor.shape[1]));
    for (int64_t i = 0; i < tensor.shape[0]; ++i) {
      if (i < 64) fill(row, tensor.shape[1], random);
      writer.append(row);
    }
  }
  writer.commit();
}

}  // namespace
}  // namespace lowrank

int main(int count, char** arguments) {
  try {
    if (count >= 2 && count <= 4) {
      lowrank::Shape shape = lowrank::shape_named(count > 2 ? arguments[2] : "1.5b");
      if (count > 3) shape.layers = std::stoll(arguments[3]);
      lowrank::write(arguments[1], shape);
      return 0;
    }
    std::cerr << "usage: make_random_gguf FILE.gguf [1.5b | 7b [LAYERS]]\n";
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
  }
  return 1;
}
