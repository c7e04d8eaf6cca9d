#include "other_programs.h"

#include <fstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

#include "base/process.h"

namespace lowrank {
namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

/// Seconds of all cores that were spent outside this process, since the system started.
double seconds_of_others() {
  std::ifstream stat("/proc/stat");
  std::string word;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft = 0, stolen = 0;
  stat >> word >> user >> nice >> system >> idle >> waiting >> interrupts >> soft >> stolen;
  if (!stat) return 0;
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  const double busy =
      (user + nice + system + interrupts + soft + stolen) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return busy - seconds(own.ru_utime) - seconds(own.ru_stime);
}

}  // namespace

OtherPrograms::OtherPrograms() : start_(monotonic_seconds()), others_(seconds_of_others()) {}

double OtherPrograms::cores() const {
  return (seconds_of_others() - others_) / (monotonic_seconds() - start_);
}

}  // namespace lowrank
