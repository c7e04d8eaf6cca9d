// The names of Gloo's types that libtorch's ProcessGroupGloo.hpp mentions. It includes Gloo's own headers for
// them, which no wheel has; libtorch_cpu.so holds Gloo itself. Nothing here is ever made or called outside
// libtorch: the header only points to these types, and derives a class from one that it makes itself.
#ifndef LOWRANK_GLOO_NAMES
#define LOWRANK_GLOO_NAMES
#include <chrono>
#include <string>
#include <vector>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

namespace transport {
class Device;
class UnboundBuffer {
 public:
  virtual ~UnboundBuffer() = 0;
};
}  // namespace transport

namespace rendezvous {
class Store {
 public:
  virtual ~Store();
  virtual void set(const std::string& key, const std::vector<char>& value) = 0;
  virtual std::vector<char> get(const std::string& key) = 0;
  virtual void wait(const std::vector<std::string>& keys) = 0;
  virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};
}  // namespace rendezvous

}  // namespace gloo
#endif
