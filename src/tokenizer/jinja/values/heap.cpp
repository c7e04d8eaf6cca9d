#include "tokenizer/jinja/values/heap.h"

#include "base/error.h"
#include "tokenizer/jinja/values/render_limit.h"

namespace lowrank::jinja {

Heap::~Heap() {
  // Circles are cut first; nothing is freed meanwhile because each object is kept once more.
  for (Object* object = alive_; object; object = object->next_) object->keep();
  for (Object* object = alive_; object; object = object->next_) object->drop();
  while (alive_) {
    Object* object = alive_;
    alive_ = object->next_;
    delete object;
  }
}

void Heap::adopt(Object* object, size_t size) {
  object->size_ = static_cast<uint32_t>(size);
  object->next_ = alive_;
  if (alive_) alive_->previous_ = object;
  alive_ = object;
}

void Heap::retire(Object* object) noexcept {
  if (object->previous_) {
    object->previous_->next_ = object->next_;
  } else {
    alive_ = object->next_;
  }
  if (object->next_) object->next_->previous_ = object->previous_;
  object->next_ = dying_;
  dying_ = object;
  if (freeing_) return;  // the loop below, further up the stack, frees it
  freeing_ = true;
  while (dying_) {
    Object* dead = dying_;
    dying_ = dead->next_;
    destroy(dead);
  }
  freeing_ = false;
}

void Heap::destroy(Object* object) noexcept {
  const size_t size = object->size_;
  delete object;
  give_back(size);
}

void Heap::too_many_steps() const {
  throw RenderLimit(ErrorKind::invalid,
                    fmt::format("more than {} steps of work, the limit of a render", limits_.steps));
}

void Heap::too_deep() {
  --depth_;
  fail(ErrorKind::invalid, "data nested deeper than {} levels, the limit of a render", limits_.data_depth);
}

void Heap::too_much_memory(size_t bytes) {
  give_back(bytes);
  throw RenderLimit(
      ErrorKind::invalid,
      fmt::format("the values take more than {} MiB of memory, the limit of a render", limits_.bytes >> 20));
}

}  // namespace lowrank::jinja
