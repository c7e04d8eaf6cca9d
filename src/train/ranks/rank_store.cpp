#include "train/ranks/rank_store.h"

#include <vector>

#include "base/error.h"
#include "train/ranks/store_handle.h"

namespace lowrank {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

/// Work with the store, whose failures are errors of ours.
template <class Work>
auto asked(const RankStore::Handle& handle, const Work& work) {
  try {
    return work(*handle.store);
  } catch (const std::exception& error) {
    fail(ErrorKind::io, "the store of the ranks at {}:{} cannot be reached: {}", handle.store->getHost(),
         handle.store->getPort(), first_line(error));
  }
}

}  // namespace

RankStore RankStore::serve(const std::string& address, int port) try {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(port);
  options.isServer = true;
  options.waitWorkers = false;
  return RankStore(
      std::make_shared<Handle>(Handle{c10::make_intrusive<c10d::TCPStore>(address, options), {}}));
} catch (const std::exception& error) {
  throw Error(
      ErrorKind::io,
      fmt::format("rank 0 cannot keep the store of the ranks at {}:{}: {}", address, port, first_line(error)),
      "MASTER_PORT names the port, MASTER_ADDR this machine");
}

RankStore RankStore::connect(const std::string& address, int port, std::chrono::milliseconds patience,
                             const std::string& prefix) try {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(port);
  options.waitWorkers = false;
  options.timeout = patience;
  return RankStore(
      std::make_shared<Handle>(Handle{c10::make_intrusive<c10d::TCPStore>(address, options), prefix}));
} catch (const std::exception& error) {
  throw Error(
      ErrorKind::io,
      fmt::format("the store of the ranks at {}:{} cannot be reached: {}", address, port, first_line(error)),
      "MASTER_ADDR and MASTER_PORT name the machine of rank 0 and a free port there, the same for all ranks");
}

int RankStore::port() const {
  return handle_->store->getPort();
}

void RankStore::set(const std::string& key, const std::string& text) const {
  asked(*handle_, [&](c10d::TCPStore& store) { store.set(handle_->prefix + key, bytes_of(text)); });
}

std::optional<std::string> RankStore::find(const std::string& key) const {
  return asked(*handle_, [&](c10d::TCPStore& store) -> std::optional<std::string> {
    if (!store.check({handle_->prefix + key})) return std::nullopt;
    const Bytes bytes = store.get(handle_->prefix + key);
    return std::string(bytes.begin(), bytes.end());
  });
}

std::string RankStore::set_once(const std::string& key, const std::string& text) const {
  const Bytes bytes = asked(*handle_, [&](c10d::TCPStore& store) {
    return store.compareSet(handle_->prefix + key, {}, bytes_of(text));
  });
  return {bytes.begin(), bytes.end()};
}

int64_t RankStore::add(const std::string& key, int64_t amount) const {
  return asked(*handle_, [&](c10d::TCPStore& store) { return store.add(handle_->prefix + key, amount); });
}

}  // namespace lowrank
