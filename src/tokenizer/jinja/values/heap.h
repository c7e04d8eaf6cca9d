#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lowrank::jinja {

class Heap;

/// Bounds of one render. All are counted, none is timed: the same inputs meet them on every machine.
struct Limits {
  int64_t bytes = int64_t{256} << 20;      ///< alive at any moment
  int64_t text_bytes = int64_t{64} << 20;  ///< of one string
  int64_t items = int64_t{4} << 20;        ///< of one list: 64 MiB
  int64_t steps = 10'000'000;              ///< expressions, statements, and work in proportion to sizes
  int64_t output_bytes = int64_t{16} << 20;
  int nesting = 1200;       ///< of expressions and statements that are being computed
  int calls = 100;          ///< of macros and recursive loops
  int data_depth = 1000;    ///< of lists that are printed, compared or written as JSON
  int64_t range = 100'000;  ///< items of one range
  int64_t width = 10'000;   ///< of indents and paddings
};

/// Memory of a render's values: an object on its heap, counted by its users.
class Object {
 public:
  explicit Object(Heap& heap) : heap_(&heap) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  Heap& heap() const { return *heap_; }
  void keep() { ++users_; }
  void release();

  /// Lets go of all other objects.
  virtual void drop() {}

  int origin = -1;  ///< index of the message it belongs to

 private:
  friend class Heap;
  Heap* heap_;
  int64_t users_ = 0;
  uint32_t size_ = 0;
  Object *previous_ = nullptr, *next_ = nullptr;
};

/// A counted pointer to an object.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_) object_->keep();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) object_->release();
  }
  T* get() const { return object_; }
  T* operator->() const& { return object_; }
  T& operator*() const& { return *object_; }
  // A loop over what a temporary points to would outlive it.
  T* operator->() const&& = delete;
  T& operator*() const&& = delete;
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

/// The memory and the work of one render, both bounded. Objects may refer to each other in circles and nest
/// to any depth: they are freed without recursion, the last ones with the heap.
class Heap {
 public:
  explicit Heap(Limits limits = {}) : limits_(limits) {}
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  const Limits& limits() const { return limits_; }
  int64_t bytes() const { return bytes_; }

  /// Counts `steps` of work. Errors: RenderLimit.
  void work(int64_t steps) {
    steps_ += steps;
    if (steps_ > limits_.steps) too_many_steps();
  }
  /// Counts work on `bytes` of text.
  void work_on(size_t bytes) { work(1 + static_cast<int64_t>(bytes >> 6)); }

  /// Counts memory. Errors: RenderLimit.
  void take(size_t bytes) {
    bytes_ += static_cast<int64_t>(bytes);
    if (bytes_ > limits_.bytes) too_much_memory(bytes);
  }
  void give_back(size_t bytes) noexcept { bytes_ -= static_cast<int64_t>(bytes); }

  template <class T, class... Args>
  Ref<T> make(Args&&... args) {
    take(sizeof(T) + overhead);
    T* object = nullptr;
    try {
      object = std::make_unique<T>(*this, std::forward<Args>(args)...).release();
    } catch (...) {
      give_back(sizeof(T) + overhead);
      throw;
    }
    adopt(object, sizeof(T) + overhead);
    return Ref<T>(object);
  }

  static constexpr size_t overhead = 16;  ///< of an allocation

 private:
  friend class Object;
  friend class Nesting;
  void adopt(Object* object, size_t size);
  void retire(Object* object) noexcept;
  void destroy(Object* object) noexcept;
  [[noreturn]] void too_many_steps() const;
  [[noreturn]] void too_deep();
  [[noreturn]] void too_much_memory(size_t bytes);

  Limits limits_;
  int64_t bytes_ = 0, steps_ = 0;
  int depth_ = 0;
  Object* alive_ = nullptr;
  Object* dying_ = nullptr;
  bool freeing_ = false;
};

inline void Object::release() {
  if (--users_ == 0) heap_->retire(this);
}

/// One level of a walk through nested data. Errors: invalid below the limit.
class Nesting {
 public:
  explicit Nesting(Heap& heap) : heap_(heap) {
    heap_.work(1);
    if (++heap_.depth_ > heap_.limits_.data_depth) heap_.too_deep();
  }
  ~Nesting() { --heap_.depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Heap& heap_;
};

/// Memory that the heap counts. There is none without a heap.
template <class T>
class Counted {
 public:
  using value_type = T;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_copy_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;

  Counted(Heap& heap) : heap_(&heap) {}
  template <class U>
  Counted(const Counted<U>& other) : heap_(&other.heap()) {}

  T* allocate(size_t count) {
    heap_->take(count * sizeof(T) + Heap::overhead);
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* memory, size_t count) noexcept {
    std::allocator<T>().deallocate(memory, count);
    heap_->give_back(count * sizeof(T) + Heap::overhead);
  }
  Heap& heap() const { return *heap_; }
  bool operator==(const Counted& other) const { return heap_ == other.heap_; }

 private:
  Heap* heap_;
};

using String = std::basic_string<char, std::char_traits<char>, Counted<char>>;
template <class T>
using Array = std::vector<T, Counted<T>>;

}  // namespace lowrank::jinja
