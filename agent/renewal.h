#pragma once

#include <condition_variable>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::agent {

/// Keeps the agent's certificate fresh: at about two thirds of its life it asks for the next one
/// and replaces the file, which is read at the next connection. The key stays, so that no moment
/// has files that do not fit. One thread, asleep nearly always. When the certificate has ended
/// anyway, it says what to do and waits for somebody to do it.
class Renewal {
 public:
  /// How often the file is looked at: somebody may have replaced it, and clocks jump.
  static constexpr absl::Duration kLookEvery = absl::Hours(1);
  static constexpr absl::Duration kRetryMin = absl::Minutes(1);
  static constexpr absl::Duration kRetryMax = absl::Hours(1);

  /// Asks a collector for the next certificate, as PEM for the file.
  using Ask = std::function<absl::StatusOr<std::string>()>;

  /// `jitter` is 0..1, random for each host.
  Renewal(std::string cert_path, Ask ask, double jitter, Clock& clock);
  ~Renewal() = default;

 private:
  void Run(const std::stop_token& stop);
  /// Does what is due; returns how long nothing will be.
  absl::Duration Step();
  absl::Duration TryToRenew(absl::Time not_after);
  void SayOnce(const std::string& what, const std::function<void()>& say);

  const std::string cert_path_;
  const Ask ask_;
  const double jitter_;
  Clock& clock_;
  absl::Duration retry_ = kRetryMin;
  std::string said_;
  Mutex mutex_;
  std::condition_variable_any changed_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace fleet::agent
