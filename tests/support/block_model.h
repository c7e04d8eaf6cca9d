#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/half.h"
#include "base/rng.h"
#include "formats/block_formats.h"
#include "formats/gguf_writer.h"

namespace lowrank::test {

/// GGUF's types of fewer than 5 bits that are only read.
inline constexpr std::array read_only_types{
    DType::iq1_s,  DType::iq1_m,  DType::iq2_xxs, DType::iq2_xs, DType::iq2_s, DType::iq3_xxs, DType::iq3_s,
    DType::iq4_nl, DType::iq4_xs, DType::tq1_0,   DType::tq2_0,  DType::mxfp4, DType::nvfp4};

/// Sets a block's scale to about this value, exactly if it is a power of two from 2^-7 on.
inline void set_scale(DType type, float scale, std::byte* block) {
  const uint16_t half = f16_from_float(scale);
  const int exponent = std::ilogb(scale);
  switch (type) {
    case DType::iq1_m:  // in the highest four bits of four words
      for (int i = 0; i < 4; ++i) {
        const int rest = static_cast<int>(block[49 + 2 * i]) & 15;
        block[49 + 2 * i] = static_cast<std::byte>(rest | (((half >> (4 * i)) & 15) << 4));
      }
      break;
    case DType::mxfp4:
      block[0] = static_cast<std::byte>(127 + exponent);
      break;
    case DType::nvfp4:
      for (int i = 0; i < 4; ++i) block[i] = static_cast<std::byte>((7 + exponent) << 3);
      break;
    default:
      std::memcpy(block + (type == DType::tq1_0 ? 52 : type == DType::tq2_0 ? 64 : 0), &half, sizeof half);
  }
}

/// Blocks of random bits whose values have a deviation of roughly 1 / 16, that of matrices with 256 columns.
inline std::vector<std::byte> random_blocks(DType type, size_t count, Philox& random) {
  const DTypeInfo& info = info_of(type);
  std::vector<std::byte> blocks(count * info.block_bytes);
  for (std::byte& byte : blocks) byte = static_cast<std::byte>(random.below(256));
  std::vector<float> values(info.block);
  for (size_t at = 0; at < blocks.size(); at += info.block_bytes) {
    set_scale(type, 1, &blocks[at]);
    expand(type, std::span(blocks).subspan(at, info.block_bytes), values);
    float sum = 0;
    for (const float value : values) sum += value * value;
    set_scale(type, 1 / (16 * std::sqrt(sum / static_cast<float>(info.block))), &blocks[at]);
  }
  return blocks;
}

/// Writes a Llama of 2 layers and 256 dimensions as a GGUF file whose 16 matrices are random blocks of each
/// of `read_only_types`; `expanded`: the same values as F32.
inline void write_block_model(const std::filesystem::path& path, bool expanded) {
  constexpr int64_t width = 256;
  GgufMetadata metadata;
  metadata.set_string("general.architecture", "llama");
  metadata.set_number("llama.block_count", uint32_t{2});
  metadata.set_number("llama.embedding_length", static_cast<uint32_t>(width));
  metadata.set_number("llama.feed_forward_length", static_cast<uint32_t>(width));
  metadata.set_number("llama.context_length", uint32_t{64});
  metadata.set_number("llama.attention.head_count", uint32_t{8});
  metadata.set_number("llama.attention.head_count_kv", uint32_t{2});
  metadata.set_number("llama.attention.layer_norm_rms_epsilon", 1e-6F);
  metadata.set_number("llama.rope.freq_base", 1e4F);
  Philox random(1);
  std::vector<StoredTensor> tensors;
  std::vector<std::vector<std::byte>> contents;
  const auto add = [&](const std::string& name, DType type, std::vector<int64_t> shape,
                       std::vector<std::byte> bytes) {
    tensors.push_back({name, type, std::move(shape), {}});
    contents.push_back(std::move(bytes));
  };
  const auto vector = [&](const std::string& name) {
    const std::vector<float> ones(width, 1.0F);
    const auto bytes = std::as_bytes(std::span(ones));
    add(name, DType::f32, {width}, {bytes.begin(), bytes.end()});
  };
  size_t matrices = 0;
  const auto matrix = [&](const std::string& name, int64_t rows) {
    const DType type = read_only_types[matrices++ % read_only_types.size()];
    std::vector<std::byte> blocks = random_blocks(type, rows * width / info_of(type).block, random);
    if (!expanded) return add(name, type, {rows, width}, std::move(blocks));
    std::vector<float> values(rows * width);
    expand(type, blocks, values);
    const auto bytes = std::as_bytes(std::span(values));
    add(name, DType::f32, {rows, width}, {bytes.begin(), bytes.end()});
  };
  matrix("token_embd.weight", 96);
  matrix("output.weight", 96);
  vector("output_norm.weight");
  for (const std::string layer : {"blk.0.", "blk.1."}) {
    for (const char* name : {"attn_norm.weight", "ffn_norm.weight"}) vector(layer + name);
    for (const char* name : {"attn_k.weight", "attn_v.weight"}) matrix(layer + name, width / 4);
    for (const char* name :
         {"attn_q.weight", "attn_output.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"})
      matrix(layer + name, width);
  }
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].bytes = contents[i];
  write_gguf(path, tensors, metadata);
}

}  // namespace lowrank::test
