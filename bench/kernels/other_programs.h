#pragma once

namespace lowrank {

/// Tells how busy other programs, and other machines on the same host, keep the processor's cores.
class OtherPrograms {
 public:
  /// Starts to watch.
  OtherPrograms();
  /// Cores that they took on average since then; 0 where the system does not tell (/proc/stat).
  double cores() const;

 private:
  double start_, others_;
};

}  // namespace lowrank
