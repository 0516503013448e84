#include "common/probe/run.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/address.h"
#include "common/errno_text.h"
#include "common/escape.h"
#include "common/probe/samples.h"

namespace fleet::probe {
namespace {

constexpr size_t kLogLinesMax = 100;

/// Whether it is our side that lacks something, so that nothing follows for the target.
bool IsOurs(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
         error == EADDRNOTAVAIL || error == EACCES || error == EPERM || error == EAFNOSUPPORT;
}

}  // namespace

Run::Run(const Context& context, Spec spec, Finished finished)
    : context_(context),
      spec_(std::move(spec)),
      finished_(std::move(finished)),
      alive_(std::make_shared<Run*>(this)) {}

void Run::Begin() {
  result_.start = absl::Now();
  begin_ = Clock::Real().SteadyNow();
  if (absl::Status valid = ValidateSpec(spec_); !valid.ok()) {
    return CannotTell(UnknownKind::kError, std::string(valid.message()));
  }
  timeout_ = context_.loop.After(spec_.timeout, [this] { Expire(); });
  Start();
}

void Run::Abandon(absl::string_view why) { CannotTell(UnknownKind::kError, std::string(why)); }

void Run::Resolve(const std::string& host, int port, std::function<void()> next) {
  const SteadyTime asked = Clock::Real().SteadyNow();
  context_.resolver.Resolve(
      host, [alive = std::weak_ptr<Run*>(alive_), asked, port,
             next = std::move(next)](absl::StatusOr<std::vector<std::string>> found) {
        const std::shared_ptr<Run*> run = alive.lock();
        if (run == nullptr || (*run)->done_) return;
        Run& self = **run;
        const absl::Duration took = Clock::Real().SteadyNow() - asked;
        if (self.first_lookup_ == absl::ZeroDuration()) self.first_lookup_ = took;
        self.OnAddresses(std::move(found), port, next);
      });
}

void Run::OnAddresses(absl::StatusOr<std::vector<std::string>> found, int port,
                      const std::function<void()>& next) {
  if (!found.ok()) return Fail(std::string(found.status().message()));
  addresses_ = ChooseAddresses(*std::move(found), spec_.family, spec_.family_fallback);
  address_at_ = 0;
  if (addresses_.empty()) {
    return Fail(spec_.family == IpFamily::kIpv6 ? "DNS: no IPv6 address" : "DNS: no IPv4 address");
  }
  if (first_address_.empty()) first_address_ = addresses_.front();
  result_.address = addresses_.front();
  result_.family = FamilyOf(addresses_.front());
  Log("resolved to ", addresses_.front());
  const std::string refusal = Refusal(addresses_.front(), port);
  if (!refusal.empty()) return Refuse(refusal);
  next();
}

std::string Run::Refusal(const std::string& address, int port) const {
  return spec_.guard == nullptr ? "" : spec_.guard(address, port);
}

bool Run::HasNextAddress() const {
  if (address_at_ + 1 >= addresses_.size()) return false;
  return spec_.family_fallback || FamilyOf(addresses_[address_at_ + 1]) == result_.family;
}

absl::Duration Run::ShareOf(absl::Duration rest) const {
  return HasNextAddress() ? std::min(rest, spec_.timeout - elapsed()) / 2 : rest;
}

bool Run::NextAddress() {
  if (!HasNextAddress()) return false;
  if (first_address_ == addresses_[address_at_]) first_address_ = addresses_[address_at_ + 1];
  ++address_at_;
  result_.address = addresses_[address_at_];
  result_.family = FamilyOf(result_.address);
  Log("trying ", result_.address);
  return true;
}

void Run::FailConnect(int error) {
  // No route of this family at all is our own lack; IPv4 is everybody's.
  const bool no_ipv6 = error == ENETUNREACH && result_.family == IpFamily::kIpv6;
  if (no_ipv6) return CannotTell(UnknownKind::kBlind, "no way to IPv6 addresses from here");
  const std::string words = ErrnoText(error);
  if (IsOurs(error))
    return CannotTell(UnknownKind::kError, absl::StrCat("cannot connect: ", words));
  Fail(words);
}

std::string Run::TimeoutText(absl::string_view doing, absl::Duration span) {
  const double seconds = absl::ToDoubleSeconds(span);
  return absl::StrFormat("%s timeout (%.4g second%s)", doing, seconds, seconds == 1 ? "" : "s");
}

void Run::AddLog(const std::string& line) {
  if (result_.log.size() >= kLogLinesMax) return;
  result_.log.push_back(
      absl::StrFormat("%.6f %s", absl::ToDoubleSeconds(elapsed()), OneLine(line)));
}

void Run::Finish(bool success, UnknownKind unknown, std::string error) {
  if (done_) return;
  done_ = true;
  context_.loop.Cancel(timeout_);
  result_.timings = Phases();
  result_.timings.total = elapsed();
  if (success && spec_.latency_max > absl::ZeroDuration() &&
      result_.timings.total > spec_.latency_max) {
    success = false;
    error = absl::StrFormat("slow: %d ms, more than %d ms",
                            absl::ToInt64Milliseconds(result_.timings.total),
                            absl::ToInt64Milliseconds(spec_.latency_max));
  }
  result_.success = success;
  result_.unknown = unknown;
  result_.error = OneLine(error);
  Log(success ? "succeeded" : "failed: ", result_.error);
  SampleSet& samples = result_.samples;
  samples.Add(kLookup, {}, absl::ToDoubleSeconds(first_lookup_));
  const double protocol = FamilyOf(first_address_) == IpFamily::kIpv6 ? 6 : 4;
  samples.Add(kIpProtocol, {}, first_address_.empty() ? 0 : protocol);
  samples.Add(kIpHash, {}, AddressHash(first_address_));
  AddSamples(samples);
  samples.Add(kDuration, {}, absl::ToDoubleSeconds(result_.timings.total));
  samples.Add(kSuccess, {}, success ? 1 : 0);
  Release();
  finished_(std::move(result_));
}

absl::StatusOr<std::pair<std::string, int>> SplitHostPort(absl::string_view target) {
  const absl::StatusOr<Address> address = ParseAddress(target);
  if (!address.ok()) return address.status();
  if (address->port == 0) {
    return absl::InvalidArgumentError(absl::StrCat("no port in ", Quote(target)));
  }
  return std::pair<std::string, int>(address->host, address->port);
}

}  // namespace fleet::probe
