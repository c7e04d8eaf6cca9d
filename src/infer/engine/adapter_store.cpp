#include "infer/engine/adapter_store.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/fingerprint.h"
#include "base/nearest_name.h"
#include "base/one_line.h"
#include "peft/files/adapter_folder.h"
#include "peft/files/side_by_side.h"

namespace lowrank {

struct KnownAdapter : std::enable_shared_from_this<KnownAdapter> {
  std::string name;
  std::filesystem::path path;
  double scale = 1;
  std::string method;
  int64_t rank = 0;
  uint64_t serial = 0;  ///< another one for each `add`
  std::optional<Error> problem = {};
  bool planned = false, has_scale = false, removed = false;
  int64_t context_rows = 0;
  std::map<double, int64_t> numbers = {};  ///< in the bank, by factor; of those that are resident
  /// Who it was with a factor when it was last resident, and the state of its files then.
  struct Version {
    uint64_t identity = 0;
    std::string files;
  };
  std::map<double, Version> versions = {};
};

namespace {

int64_t rank_of(Method& method) {
  const std::vector<Field> fields = method.fields();
  const Field* rank = find_field(fields, "rank");
  if (!rank) return 0;
  const nlohmann::json value = rank->get();
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}

/// An exception of any library as an Error, which can be kept.
Error as_error(const std::exception& error) {
  const auto* known = dynamic_cast<const Error*>(&error);
  return known ? *known : Error(ErrorKind::io, error.what());
}

void check_name(const std::string& name) {
  const bool plain = std::ranges::none_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  check(!name.empty() && name != "base" && plain, ErrorKind::invalid,
        "an adapter cannot be called {}: a name is not empty, has no control characters and is not 'base', "
        "which stands for the model alone",
        in_quotes(name));
}

/// Sizes and times of an adapter's files.
std::string state_of_files(const std::filesystem::path& path) {
  Fingerprint state;
  const auto add = [&](const std::filesystem::path& file) {
    std::error_code gone;
    const auto size = std::filesystem::file_size(file, gone);
    if (gone) return;
    state.add(file.string());
    state.add(static_cast<int64_t>(size));
    state.add(std::filesystem::last_write_time(file, gone).time_since_epoch().count());
  };
  add(path);
  for (const std::string_view name : adapter_file_names()) add(path / name);
  return state.text();
}

}  // namespace

AdapterStore::AdapterStore(std::shared_ptr<const Checkpoint> base, int64_t most_resident, at::Device device)
    : base_(std::move(base)), most_resident_(std::max<int64_t>(1, most_resident)), device_(device) {}

AdapterStore::~AdapterStore() = default;

void AdapterStore::add(const std::string& name, const std::filesystem::path& path, double scale) {
  check_name(name);
  check(!known_.contains(name), ErrorKind::invalid, "there is an adapter {} already; remove it first",
        in_quotes(name));
  auto known = std::make_shared<KnownAdapter>();
  known->name = name;
  known->path = path;
  known->scale = scale;
  try {
    const ChosenMethod chosen = method_of_adapter(adapter_place(path), base_->spec());
    known->method = chosen.info->name;
    known->rank = rank_of(*chosen.method);
  } catch (const std::exception& error) {
    throw as_error(error);
  }
  known->serial = ++last_serial_;
  known_.emplace(name, std::move(known));
}

void AdapterStore::remove(const std::string& name) {
  const auto found = known_.find(name);
  check(found != known_.end(), ErrorKind::not_found, "there is no adapter {}", in_quotes(name));
  const std::shared_ptr<KnownAdapter> known = found->second;
  known->removed = true;
  known_.erase(found);
  const std::map<double, int64_t> numbers = known->numbers;
  for (const auto& [factor, number] : numbers) {
    if (held_.at(number).uses == 0) evict(number);
  }
}

std::vector<AdapterStore::Entry> AdapterStore::entries() const {
  std::vector<Entry> all;
  for (const auto& [name, known] : known_)
    all.push_back({name, known->path, known->scale, known->method, known->rank, !known->numbers.empty(),
                   known->problem ? known->problem->what() : ""});
  return all;
}

std::shared_ptr<KnownAdapter> AdapterStore::find(std::string_view name, double factor) {
  const auto found = known_.find(name);
  if (found == known_.end()) {
    std::vector<std::string> names;
    for (const auto& [other, known] : known_) names.push_back(other);
    const auto near = nearest_name(name, names);
    fail(ErrorKind::not_found, "there is no adapter {}{}", in_quotes(name),
         near ? fmt::format(" (did you mean {}?)", in_quotes(*near)) : "");
  }
  KnownAdapter& known = *found->second;
  if (known.problem) throw Error(*known.problem);
  if (!known.planned) {
    try {
      const ChosenMethod chosen = method_of_adapter(adapter_place(known.path), base_->spec());
      const TrainPlan plan = chosen.method->plan(base_->spec());
      known.context_rows = plan.context_rows;
      check_shares_base(name, *chosen.info, plan);
      known.has_scale = has_scale(*chosen.method);
      known.planned = true;
    } catch (const std::exception& error) {
      known.problem = as_error(error);
      throw Error(*known.problem);
    }
  }
  check(std::isfinite(factor), ErrorKind::invalid, "the factor {} on an adapter's scale is no finite number",
        factor);
  check(known.scale * factor == 1 || known.has_scale, ErrorKind::unsupported,
        "the adapter {} ({}) has no scale that a factor could change: it does more than add low-rank updates "
        "to linear layers",
        in_quotes(name), known.method);
  return found->second;
}

int64_t AdapterStore::context_rows(const KnownAdapter& known) {
  return known.context_rows;
}

bool AdapterStore::is_resident(const KnownAdapter& known, double factor) const {
  return known.numbers.contains(factor);
}

bool AdapterStore::has_room(const KnownAdapter& known, double factor) const {
  return is_resident(known, factor) || std::ssize(held_) < most_resident_ ||
         std::ranges::any_of(held_, [](const auto& one) { return one.second.uses == 0; });
}

AdapterStore::Held AdapterStore::load(KnownAdapter& known, double factor) {
  const std::filesystem::path place = adapter_place(known.path);
  const std::string files = state_of_files(place);
  Adapter adapter = load_adapter(place, *base_);
  move_adapter(adapter, device_);
  const Method& method = *adapter.method;
  Held held{known.shared_from_this(), factor};
  held.resident.can_cache = method.can_cache();
  held.resident.shares_prefix = method.can_cache() && adapter.plan.context_rows == 0;
  const bool one_folder = !method.form().parts() && !method.acts_between_layers();
  held.resident.number = bank_.add(fmt::format("{} {} {}", known.serial, factor, known.name),
                                   std::move(adapter), known.scale * factor);
  // Clients choose factors. One that is forgotten here only shares no pages with what it computed before.
  constexpr size_t most_versions = 64;
  if (known.versions.size() >= most_versions)
    std::erase_if(known.versions, [&](const auto& one) { return !known.numbers.contains(one.first); });
  KnownAdapter::Version& version = known.versions[factor];
  if (version.identity == 0 || version.files != files || !one_folder) version = {++last_identity_, files};
  held.resident.identity = version.identity;
  return held;
}

ResidentAdapter AdapterStore::acquire(KnownAdapter& known, double factor) {
  if (known.problem) throw Error(*known.problem);
  if (!is_resident(known, factor)) {
    make_room();
    try {
      Held held = load(known, factor);
      const int64_t number = held.resident.number;
      held_.emplace(number, std::move(held));
      known.numbers[factor] = number;
    } catch (const std::exception& error) {
      known.problem = as_error(error);
      throw Error(*known.problem);
    }
    ++loads_;
  }
  Held& held = held_.at(known.numbers.at(factor));
  ++held.uses;
  held.last_use = ++clock_;
  return held.resident;
}

void AdapterStore::release(const ResidentAdapter& resident) {
  Held& held = held_.at(resident.number);
  held.last_use = ++clock_;
  if (--held.uses == 0 && held.known->removed) evict(resident.number);
}

void AdapterStore::evict(int64_t number) {
  const auto held = held_.find(number);
  held->second.known->numbers.erase(held->second.factor);
  held_.erase(held);
  bank_.remove(number);
}

void AdapterStore::make_room() {
  if (std::ssize(held_) < most_resident_) return;
  auto oldest = held_.end();
  for (auto one = held_.begin(); one != held_.end(); ++one) {
    if (one->second.uses > 0) continue;
    if (oldest == held_.end() || one->second.last_use < oldest->second.last_use) oldest = one;
  }
  check(oldest != held_.end(), ErrorKind::invalid, "all {} resident adapters are in use", most_resident_);
  evict(oldest->first);
  ++evictions_;
}

}  // namespace lowrank
