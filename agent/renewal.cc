#include "agent/renewal.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "common/private_file.h"
#include "common/secret.h"
#include "common/x509.h"

namespace fleet::agent {
namespace {

/// No certificate of ours lives so short that less makes sense.
constexpr absl::Duration kWaitMin = absl::Milliseconds(500);

}  // namespace

Renewal::Renewal(std::string cert_path, Ask ask, double jitter, Clock& clock)
    : cert_path_(std::move(cert_path)),
      ask_(std::move(ask)),
      jitter_(jitter),
      clock_(clock),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void Renewal::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const absl::Duration wait = std::clamp(Step(), kWaitMin, kLookEvery);
    MutexLock lock(mutex_);
    clock_.WaitUntil(mutex_, changed_, stop, SteadyAfter(clock_.SteadyNow(), wait),
                     [] { return false; });
  }
}

void Renewal::SayOnce(const std::string& what, const std::function<void()>& say) {
  if (said_ == what) return;
  said_ = what;
  if (say) say();
}

absl::Duration Renewal::Step() {
  const absl::StatusOr<std::string> pem = ReadSecretFile(cert_path_);
  const absl::StatusOr<CertificateFacts> facts =
      pem.ok() ? ReadChain(*pem) : absl::StatusOr<CertificateFacts>(pem.status());
  if (!facts.ok()) {
    SayOnce("unreadable", [&] {
      log::Error("the certificate cannot be read",
                 {{"cert", cert_path_}, {"error", facts.status()}});
    });
    return kRetryMin;
  }
  const absl::Time now = clock_.Now();
  if (now > facts->not_after) {
    SayOnce("ended", [&] {
      log::Error(
          "the certificate has ended; this host must join again: fleetctl enroll on the admin's "
          "machine, then here what it prints",
          {{"host", facts->name},
           {"cert", cert_path_},
           {"ended", absl::FormatTime(facts->not_after)}});
    });
    // This clock may be wrong; the collector knows.
    return TryToRenew(absl::InfiniteFuture());
  }
  const absl::Time due = RenewalTime(*facts, jitter_);
  if (now < due) {
    retry_ = kRetryMin;
    SayOnce("", nullptr);
    return due - now;
  }
  return TryToRenew(facts->not_after);
}

absl::Duration Renewal::TryToRenew(absl::Time not_after) {
  absl::StatusOr<std::string> next = ask_();
  const absl::Status status = next.ok() ? WritePrivateFile(cert_path_, *next) : next.status();
  if (status.ok()) {
    log::Info("the certificate is renewed", {{"cert", cert_path_}});
    said_.clear();
    retry_ = kRetryMin;
    return kWaitMin;  // looks at what is there now
  }
  const absl::Duration wait = std::min(retry_, (not_after - clock_.Now()) / 4);
  retry_ = std::min(retry_ * 2, kRetryMax);
  if (said_ == "ended") return wait;
  SayOnce(std::string(status.message()), [&] {
    log::Warning(next.ok()
                     ? "the renewed certificate cannot be written: leave tls out of agent.yaml "
                       "and join again, so that it lies in data_dir"
                     : "the certificate cannot be renewed yet",
                 {{"cert", cert_path_}, {"error", status}});
  });
  return wait;
}

}  // namespace fleet::agent
