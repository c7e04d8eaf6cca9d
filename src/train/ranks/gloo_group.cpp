#include "train/ranks/gloo_group.h"

#include <utility>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "train/ranks/store_handle.h"

namespace lowrank {
namespace {

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

}  // namespace

c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_group(const RankStore& store, const RankPlace& place,
                                                      std::chrono::milliseconds patience,
                                                      const std::string& name) {
  auto options = c10d::ProcessGroupGloo::Options::create(patience);
  if (is_loopback(place.address))
    options->devices = {c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")};
  else
    options = c10d::ProcessGroupGloo::Options::create_default(patience);  // minds GLOO_SOCKET_IFNAME
  auto keys = c10::make_intrusive<c10d::PrefixStore>(store.handle().prefix + name, store.handle().store);
  return c10::make_intrusive<c10d::ProcessGroupGloo>(std::move(keys), static_cast<int>(place.rank),
                                                     static_cast<int>(place.size), std::move(options));
}

}  // namespace lowrank
