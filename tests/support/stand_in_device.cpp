#include "support/stand_in_device.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <sys/mman.h>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include "kernels/core/device_kernels.h"
#include "support/stand_in_kernels.h"

namespace lowrank::test {
namespace {

const c10::Device device(c10::DeviceType::PrivateUse1, 0);

c10::Stream only_stream() {
  return c10::Stream(c10::Stream::DEFAULT, device);
}

/// Pages that nobody can read or write unless they are opened, all in one range of addresses. Freed ones are
/// kept for the next of their size.
class ProtectedMemory {
 public:
  ProtectedMemory()
      : begin_(static_cast<std::byte*>(
            mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    TORCH_CHECK(begin_ != MAP_FAILED, "the stand-in device has no range of addresses");
  }

  void* allocate(size_t bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t size = (std::max<size_t>(bytes, 1) + page - 1) / page * page;
    const std::scoped_lock lock(mutex_);
    std::vector<void*>& kept = free_[size];
    if (!kept.empty()) {
      void* begin = kept.back();
      kept.pop_back();
      return begin;
    }
    TORCH_CHECK(used_ + size <= reserved, "the stand-in device has no memory left");
    void* begin = begin_ + used_;
    used_ += size;
    sizes_[begin] = size;
    return begin;
  }
  void free(void* begin) {
    const std::scoped_lock lock(mutex_);
    free_[sizes_.at(begin)].push_back(begin);
  }
  void protect(void* begin, int access) {
    const std::scoped_lock lock(mutex_);
    mprotect(begin, sizes_.at(begin), access);
  }
  void protect_all(int access) {
    const std::scoped_lock lock(mutex_);
    mprotect(begin_, used_, access);
  }

 private:
  static constexpr size_t reserved = size_t{64} << 30;
  std::mutex mutex_;
  std::byte* begin_;
  size_t used_ = 0;
  std::unordered_map<void*, size_t> sizes_;
  std::unordered_map<size_t, std::vector<void*>> free_;  ///< by size
};

ProtectedMemory& memory() {
  static auto* const all = new ProtectedMemory;  // tensors in static variables outlive others
  return *all;
}

struct StandInAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* begin = memory().allocate(bytes);
    return {begin, begin, free_memory, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return free_memory; }
  void copy_data(void*, const void*, size_t) const override { TORCH_CHECK(false, "copied by pointer"); }
  static void free_memory(void* begin) { memory().free(begin); }
};

StandInAllocator& allocator() {
  static StandInAllocator one;
  return one;
}

/// Held while memory is open.
std::mutex& opening() {
  static std::mutex one;
  return one;
}

void* storage_of(const at::Tensor& tensor) {
  return const_cast<void*>(tensor.storage().unsafeGetStorageImpl()->data_ptr().get());
}

/// The tensor's memory as a CPU tensor; opened by the caller.
at::Tensor on_host(const at::Tensor& tensor) {
  if (!tensor.is_privateuseone()) return tensor;
  auto* begin = static_cast<std::byte*>(storage_of(tensor)) + tensor.storage_offset() * tensor.element_size();
  return at::from_blob(begin, tensor.sizes(), tensor.strides(), tensor.options().device(c10::kCPU));
}

struct CrossingCounts {
  std::atomic<int64_t> to_device = 0, from_device = 0;
};

CrossingCounts& crossings() {
  static CrossingCounts counts;
  return counts;
}

/// Whether this thread computes an operation of the device, whose copies of operands are not the program's.
thread_local bool in_operation = false;

void copy_values(const at::Tensor& from, const at::Tensor& to) {
  if (from.numel() == 0) return;
  if (!in_operation && to.is_cpu()) ++crossings().from_device;
  if (!in_operation && from.is_cpu()) ++crossings().to_device;
  const std::scoped_lock lock(opening());
  for (const at::Tensor& one : {from, to}) {
    if (one.is_privateuseone()) memory().protect(storage_of(one), PROT_READ | PROT_WRITE);
  }
  on_host(to).copy_(on_host(from));
  for (const at::Tensor& one : {from, to}) {
    if (one.is_privateuseone()) memory().protect(storage_of(one), PROT_NONE);
  }
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool /*non_blocking*/) {
  copy_values(from, to);
  return to;
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   type.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           type.value_or(at::kFloat));
}

/// Keeps no values: only results of operations are given another size.
const at::Tensor& resize(const at::Tensor& tensor, at::IntArrayRef sizes, std::optional<at::MemoryFormat>) {
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(sizes);
  c10::StorageImpl* storage = tensor.storage().unsafeGetStorageImpl();
  const size_t bytes = (tensor.storage_offset() + tensor.numel()) * tensor.element_size();
  if (storage->nbytes() < bytes) {
    storage->set_data_ptr_noswap(allocator().allocate(bytes));
    storage->set_nbytes(bytes);
  }
  return tensor;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) resize(to, from.sizes(), std::nullopt);
  copy_values(from, to);
  return to;
}

void check_argument(const c10::OperatorHandle& op, const at::Tensor& tensor) {
  TORCH_CHECK(!tensor.defined() || tensor.is_privateuseone() || tensor.dim() == 0, op.schema().name(),
              ": a tensor of sizes ", tensor.sizes(), " on the CPU among tensors of the stand-in device");
}

void compute_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  for (const c10::IValue& argument : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (argument.isTensor()) check_argument(op, argument.toTensor());
    if (argument.isTensorList()) {
      for (const at::Tensor& tensor : argument.toTensorVector()) check_argument(op, tensor);
    }
    TORCH_CHECK(!argument.isGenerator() || !argument.toGenerator().defined(), op.schema().name(),
                ": a generator of the CPU for a tensor of the stand-in device");
  }
  // Numbers, and results whose sizes depend on values.
  for (const char* reads_values : {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select",
                                   "aten::equal", "aten::_unique2", "aten::repeat_interleave.Tensor"}) {
    if (c10::toString(op.operator_name()) == reads_values) ++crossings().from_device;
  }
  const bool inside = std::exchange(in_operation, true);
  at::native::cpu_fallback(op, stack);
  in_operation = inside;
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute_on_cpu>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("resize_", resize);
  library.impl("_copy_from", copy_from);
  library.impl("_copy_from_and_resize", copy_from_and_resize);
  library.impl("as_strided", at::native::as_strided_tensorimpl);
  library.impl("view", at::native::view);
  library.impl("_reshape_alias", at::native::_reshape_alias);
  library.impl("unfold", at::native::unfold);
}

/// One device, one stream, and everything is done when a call returns.
struct StandInGuard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return device.type(); }
  c10::Device exchangeDevice(c10::Device) const override { return device; }
  c10::Device getDevice() const override { return device; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return only_stream(); }
  c10::Stream getDefaultStream(c10::Device) const override { return only_stream(); }
  c10::Stream exchangeStream(c10::Stream) const override { return only_stream(); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
  void* getStreamNativeHandle(c10::Stream) const override { return nullptr; }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, c10::DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(c10::DeviceIndex) const override {}
};

struct StandInHooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  /// libtorch seeds it with the others; nothing draws from it.
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator generator = at::detail::createCPUGenerator();
    return generator;
  }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
};

}  // namespace

int with_open_memory(const std::function<int()>& compute) {
  const std::scoped_lock lock(opening());
  memory().protect_all(PROT_READ | PROT_WRITE);
  const int code = compute();
  memory().protect_all(PROT_NONE);
  return code;
}

Crossings stand_in_crossings() {
  return {crossings().to_device, crossings().from_device};
}

c10::Device stand_in_device() {
  static const bool registered = [] {
    static StandInHooks hooks;
    static StandInGuard guard;
    static const c10::impl::DeviceGuardImplRegistrar registrar(device.type(), &guard);
    c10::register_privateuse1_backend("stand_in");
    c10::SetAllocator(device.type(), &allocator());
    at::RegisterPrivateUse1HooksInterface(&hooks);
    use_kernels(device.type(), stand_in_kernels());
    return true;
  }();
  return registered ? device : c10::Device(c10::kCPU);
}

}  // namespace lowrank::test
