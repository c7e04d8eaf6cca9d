#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace lowrank {

/// Where the processes of a run leave short texts for each other: libtorch's c10d::TCPStore. Copies share one
/// connection, whose calls wait for each other.
class RankStore {
 public:
  /// Keeps the store in this process, on a port of this machine; 0: any that is free. Errors: io when the
  /// port is taken.
  static RankStore serve(const std::string& address, int port);
  /// Connects to the store of another process, which may still have to start. Keys are in a part of the store
  /// that `prefix` names. Errors: io after `patience`.
  static RankStore connect(const std::string& address, int port, std::chrono::milliseconds patience,
                           const std::string& prefix = {});

  int port() const;

  // Each of these takes one or two round trips. Errors: io when the store cannot be reached.

  void set(const std::string& key, const std::string& text) const;
  /// The text of a key; nullopt if there is none yet.
  std::optional<std::string> find(const std::string& key) const;
  /// Sets the text if the key has none; returns what it is now. `text` must not be empty.
  std::string set_once(const std::string& key, const std::string& text) const;
  /// Adds to a counter, which starts at 0, and returns the sum.
  int64_t add(const std::string& key, int64_t amount) const;

  struct Handle;
  const Handle& handle() const { return *handle_; }

 private:
  explicit RankStore(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}

  std::shared_ptr<Handle> handle_;
};

}  // namespace lowrank
