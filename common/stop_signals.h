#pragma once

#include <signal.h>

namespace fleet {

/// The signals that ask a program to stop, SIGTERM and SIGINT: held back from the first line of
/// main() on, so that one that comes while the program still starts ends it in order too.
class StopSignals {
 public:
  /// Blocks them in this thread and in those that it starts later.
  StopSignals();

  /// Lets them end the program again, for a command that just runs to its end. One that came
  /// meanwhile does so at once.
  void Release() const;

  /// The signals, for sigwait.
  const sigset_t& set() const { return set_; }

 private:
  sigset_t set_;
};

}  // namespace fleet
