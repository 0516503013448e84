#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/probe/curl_driver.h"
#include "common/probe/loop.h"
#include "common/probe/probe.h"
#include "common/probe/resolver.h"
#include "common/probe/tls.h"

namespace fleet::probe {

/// What the probes of an engine share; all of it belongs to the loop's thread.
struct Context {
  Loop& loop;
  Resolver& resolver;
  TlsRoots& roots;
  CurlDriver& curl;
};

/// How long a connection and a TLS handshake may take, within the probe's time.
inline constexpr absl::Duration kConnectMax = absl::Seconds(10);
inline constexpr absl::Duration kHandshakeMax = absl::Seconds(10);

/// One probe under way. Belongs to the loop's thread.
class Run {
 public:
  using Finished = std::function<void(Result)>;

  /// `finished` is called once, and may not delete this at once.
  Run(const Context& context, Spec spec, Finished finished);
  virtual ~Run() = default;
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// Its own timeout counts from here.
  void Begin();
  /// Ends it with "cannot tell", whatever it is doing.
  void Abandon(absl::string_view why);

 protected:
  virtual void Start() = 0;
  /// What takes so long: "Connection".
  virtual std::string Doing() const = 0;
  /// Time is up.
  virtual void Expire() { Fail(TimeoutText(Doing(), spec_.timeout)); }
  /// Lets go of every socket and timer.
  virtual void Release() = 0;
  /// What it has found so far, beyond what every probe has.
  virtual void AddSamples(SampleSet& samples) const = 0;
  /// Fills Result::timings but for total.
  virtual Timings Phases() const = 0;

  /// Finds the addresses of `host` that may be talked to and calls `next` with them (never none),
  /// or fails. The guard is asked again at connect.
  void Resolve(const std::string& host, int port, std::function<void()> next);
  /// `address` may not be talked to when this is not empty.
  std::string Refusal(const std::string& address, int port) const;
  /// Goes on to the next address; false when there is none.
  bool NextAddress();
  bool HasNextAddress() const;
  /// How long to try this address, of the `rest` that there is for all: half of it while there is
  /// another one, so that one address that swallows everything does not hide one that answers.
  absl::Duration ShareOf(absl::Duration rest) const;
  const std::string& address() const { return addresses_[address_at_]; }

  void Succeed() { Finish(true, UnknownKind::kNone, ""); }
  void Fail(std::string error) { Finish(false, UnknownKind::kNone, std::move(error)); }
  void CannotTell(UnknownKind kind, std::string error) { Finish(false, kind, std::move(error)); }
  /// What is asked for may not be talked to: by our own rules, so that nothing is known of it.
  virtual void Refuse(const std::string& refusal) { CannotTell(UnknownKind::kBlind, refusal); }
  /// After a connect or a send failed with `error`: of the target, or of ourselves.
  void FailConnect(int error);
  /// "Connection timeout (10 seconds)".
  static std::string TimeoutText(absl::string_view doing, absl::Duration span);

  /// One line of Result::log, as absl::StrCat makes it.
  template <typename... Parts>
  void Log(const Parts&... parts) {
    if (spec_.keep_log) AddLog(absl::StrCat(parts...));
  }
  bool done() const { return done_; }
  SteadyTime begin() const { return begin_; }
  absl::Duration elapsed() const { return Clock::Real().SteadyNow() - begin_; }

  const Context context_;
  const Spec spec_;
  Result result_;
  absl::Duration first_lookup_;  // of the target's own name
  bool regex_failed_ = false;

 private:
  void AddLog(const std::string& line);
  void Finish(bool success, UnknownKind unknown, std::string error);
  void OnAddresses(absl::StatusOr<std::vector<std::string>> found, int port,
                   const std::function<void()>& next);

  const Finished finished_;
  SteadyTime begin_;
  bool done_ = false;
  std::string first_address_;  // of the target's own name
  std::vector<std::string> addresses_;
  size_t address_at_ = 0;
  Loop::TimerId timeout_;
  // What calls back later finds out by this whether we are still here.
  std::shared_ptr<Run*> alive_;
};

std::unique_ptr<Run> MakeHttpRun(const Context& context, Spec spec, Run::Finished finished);
std::unique_ptr<Run> MakeTcpRun(const Context& context, Spec spec, Run::Finished finished);
std::unique_ptr<Run> MakeIcmpRun(const Context& context, Spec spec, Run::Finished finished);
std::unique_ptr<Run> MakeDnsRun(const Context& context, Spec spec, Run::Finished finished);

/// "host:port" or "[v6]:port" as its parts. Errors: kInvalidArgument.
absl::StatusOr<std::pair<std::string, int>> SplitHostPort(absl::string_view target);

}  // namespace fleet::probe
