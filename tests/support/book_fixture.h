#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "collector/probes/book.h"
#include "collector/probes/probe_spec.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_probe_engine.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {

/// A probe as collector.yaml defines it.
inline ProbeCheck Configured(const std::string& name, const std::string& token,
                             const std::string& url) {
  ProbeCheck check;
  check.name = name;
  check.token = token;
  check.url = url;
  check.from_config = true;
  EXPECT_THAT(DeriveSpec(check), ::testing::IsEmpty());
  return check;
}

/// A book without threads: one probe of the config, a vantage, an engine that answers as told.
class BookTest : public ::testing::Test {
 protected:
  void SetUp() override {
    checks_.push_back(Configured("chitter.xyz", "1kae", kUrl));
    Open();
  }

  void Open() {
    book_.reset();
    ProbeBook::Options options;
    options.checks = checks_;
    options.path = dir_ / "probes.db";
    options.threads = false;
    auto book = ProbeBook::Start(
        std::move(options),
        {engine_, clock_, nullptr, [this](const std::string& path) { return causes_[path]; },
         [] {
           return std::vector<Vantage>{{"tempo", true, "10.235.0.4"}};
         },
         [this] { ++plan_changes_; }, [this](absl::Duration lag) { lag_ = std::max(lag_, lag); }});
    ASSERT_TRUE(book.ok()) << book.status();
    book_ = *std::move(book);
  }
  /// Second by second, everything that is due.
  void Run(absl::Duration span) {
    for (absl::Duration done; done < span; done += absl::Seconds(1)) {
      clock_.Advance(absl::Seconds(1));
      book_->StartDue();
      book_->Work(false);
    }
  }
  ProbeView MakePulse(absl::Duration period) {
    ProbeCheck pulse;
    pulse.type = "pulse";
    pulse.alias = "backup";
    pulse.period = period;
    return *book_->Create(pulse);
  }
  ProbeStatus Status(const std::string& token = "1kae") { return book_->Find(token)->status; }
  std::vector<std::string> Kinds() {
    std::vector<std::string> kinds;
    const std::vector<ProbeEvent> events = *book_->Events(0, 100);
    for (const ProbeEvent& event : events) kinds.push_back(event.kind);
    return kinds;
  }

  static constexpr char kUrl[] = "https://chitter.xyz/api";
  test::TempDir dir_;
  test::FakeClock clock_;
  test::FakeProbeEngine engine_{clock_};
  std::map<std::string, std::string> causes_;
  std::vector<ProbeCheck> checks_;
  absl::Duration lag_;
  int plan_changes_ = 0;
  std::unique_ptr<ProbeBook> book_;
};

}  // namespace fleet::collector
