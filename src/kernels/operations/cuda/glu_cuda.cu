#include "kernels/core/cuda/launch.h"
#include "kernels/core/cuda/row_values.h"
#include "kernels/operations/cuda/row_operations_cuda.h"

namespace lowrank {
namespace {

/// gate(g) and gate'(g).
struct GateValue {
  float value, slope;
};

__device__ inline float sigmoid(float x) {
  return 1 / (1 + expf(-x));
}

template <Gate gate>
__device__ inline GateValue gate_of(float g) {
  if constexpr (gate == Gate::silu) {
    const float s = sigmoid(g);
    return {g * s, s + g * s * (1 - s)};
  } else if constexpr (gate == Gate::gelu) {
    constexpr float root_half = 0.70710678F, inverse_root = 0.39894228F;  // sqrt(1 / 2), 1 / sqrt(2 pi)
    const float below = 0.5F * erfcf(-g * root_half);
    return {g * below, below + g * inverse_root * expf(-0.5F * g * g)};
  } else {
    constexpr float twice_root = 1.5957691216057308F, cubic = 0.044715F;  // 2 sqrt(2 / pi)
    // (1 + tanh(x)) / 2 is the sigmoid of 2x.
    const float s = sigmoid(twice_root * g * (1 + cubic * g * g));
    return {g * s, s + g * s * (1 - s) * twice_root * (1 + 3 * cubic * g * g)};
  }
}

/// A block is a row.
template <typename T, Gate gate, int N>
__global__ void forward_row(GluForward op) {
  const T* gates = static_cast<const T*>(op.gate_up) + int64_t{blockIdx.x} * 2 * op.width;
  T* out = static_cast<T*>(op.out) + int64_t{blockIdx.x} * op.width;
  each_of_block<N>(op.width, [&](int64_t i) {
    const Values<N> g = load<N>(gates + i);
    Values<N> y = load<N>(gates + op.width + i);
    for (int k = 0; k < N; ++k) y.at[k] *= gate_of<gate>(g.at[k]).value;
    store<N>(y, out + i);
  });
}

template <typename T, Gate gate, int N>
__global__ void backward_row(GluBackward op) {
  const int64_t first = int64_t{blockIdx.x} * 2 * op.width;
  const T* gates = static_cast<const T*>(op.gate_up) + first;
  const T* d_out = static_cast<const T*>(op.d_out) + int64_t{blockIdx.x} * op.width;
  T* d_gates = static_cast<T*>(op.d_gate_up) + first;
  each_of_block<N>(op.width, [&](int64_t i) {
    const Values<N> g = load<N>(gates + i), up = load<N>(gates + op.width + i), dy = load<N>(d_out + i);
    Values<N> d_gate, d_up;
    for (int k = 0; k < N; ++k) {
      const GateValue of = gate_of<gate>(g.at[k]);
      d_gate.at[k] = dy.at[k] * up.at[k] * of.slope;
      d_up.at[k] = dy.at[k] * of.value;
    }
    store<N>(d_gate, d_gates + i);
    store<N>(d_up, d_gates + op.width + i);
  });
}

template <typename T, Gate gate>
int forward_rows(const GluForward& op, int64_t rows, void* queue) {
  if (in_fours(op.width, {op.gate_up, op.out}))
    return launch(forward_row<T, gate, 4>, rows, threads_for(op.width / 4), queue, op);
  return launch(forward_row<T, gate, 1>, rows, threads_for(op.width), queue, op);
}

template <typename T, Gate gate>
int backward_rows(const GluBackward& op, int64_t rows, void* queue) {
  if (in_fours(op.width, {op.gate_up, op.d_out, op.d_gate_up}))
    return launch(backward_row<T, gate, 4>, rows, threads_for(op.width / 4), queue, op);
  return launch(backward_row<T, gate, 1>, rows, threads_for(op.width), queue, op);
}

template <typename T>
int forward_of(const GluForward& op, int64_t rows, void* queue) {
  return op.gate == Gate::silu   ? forward_rows<T, Gate::silu>(op, rows, queue)
         : op.gate == Gate::gelu ? forward_rows<T, Gate::gelu>(op, rows, queue)
                                 : forward_rows<T, Gate::gelu_tanh>(op, rows, queue);
}

template <typename T>
int backward_of(const GluBackward& op, int64_t rows, void* queue) {
  return op.gate == Gate::silu   ? backward_rows<T, Gate::silu>(op, rows, queue)
         : op.gate == Gate::gelu ? backward_rows<T, Gate::gelu>(op, rows, queue)
                                 : backward_rows<T, Gate::gelu_tanh>(op, rows, queue);
}

}  // namespace

int glu_forward_cuda(const GluForward& op, int64_t rows, void* queue) {
  return op.bf16 ? forward_of<__nv_bfloat16>(op, rows, queue) : forward_of<float>(op, rows, queue);
}

int glu_backward_cuda(const GluBackward& op, int64_t rows, void* queue) {
  return op.bf16 ? backward_of<__nv_bfloat16>(op, rows, queue) : backward_of<float>(op, rows, queue);
}

}  // namespace lowrank
