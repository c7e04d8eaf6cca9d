#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace lowrank {

/// Values in NormalFloat 4 with double quantisation (QLoRA, Dettmers et al. 2023, arXiv 2305.14314, section
/// 3), bit for bit as in bitsandbytes: 4 bits per value and one scale per 64 values; the scales, minus their
/// mean, as 8 bits with one scale per 256 of them. 4.127 bits per value.
struct Nf4 {
  at::Tensor packed;         ///< uint8 [ceil(n / 2)]: the earlier value in the high half
  at::Tensor scale_indices;  ///< uint8 [ceil(n / 64)]
  at::Tensor scale_scales;   ///< f32 [ceil(scales / 256)]
  double offset = 0;         ///< mean of the scales
};

/// Rounds values (f32, any shape, row-major) to the nearest of the 16 codes, ties to the lower one.
Nf4 quantise_nf4(const at::Tensor& values);

/// bitsandbytes' signed dynamic map, the code of the 8-bit scales, f32 [256].
at::Tensor dynamic_map();
/// Scales of the blocks [first, first + count), f32 [count]; `code`: as dynamic_map.
at::Tensor nf4_scales(const Nf4& quantised, const at::Tensor& code, int64_t first, int64_t count);

/// Values [begin, begin + out.numel()) from 4-bit codes, `packed`, times their block's scale: written to
/// `out` (f32, bf16 or f64, contiguous). `scales`: f32, one per `block` values, from value 0 on.
void expand_nf4(const at::Tensor& packed, const at::Tensor& scales, int64_t block, int64_t begin,
                at::Tensor& out);
/// The same bits, one value at a time; expand_nf4 uses this for f64.
void expand_nf4_reference(const at::Tensor& packed, const at::Tensor& scales, int64_t block, int64_t begin,
                          at::Tensor& out);
/// expand_nf4 from both levels.
void expand_nf4(const Nf4& quantised, const at::Tensor& code, int64_t begin, at::Tensor& out);

}  // namespace lowrank
