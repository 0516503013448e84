#include "agent/renewal.h"

#include <atomic>

#include "common/x509.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_ca.h"

namespace fleet::agent {
namespace {

using ::fleet::test::TestCa;
using ::fleet::test::WaitFor;

class RenewalTest : public ::testing::Test {
 protected:
  RenewalTest() { test::WriteFile(path_, Certificate()); }

  /// As one that is made now.
  std::string Certificate() {
    CertificateSpec spec = ca_.Spec(Role::kAgent, "tempo");
    spec.not_before = clock_.Now() - kBackdate;
    spec.not_after = clock_.Now() + absl::Hours(24 * 90);
    return ca_.IssueAs(spec, ca_.issuing(), "").cert;
  }
  std::unique_ptr<Renewal> Start(double jitter = 0.5) {
    return std::make_unique<Renewal>(
        path_,
        [this]() -> absl::StatusOr<std::string> {
          ++asked_;
          if (refuse_) return absl::UnavailableError("nobody is there");
          return Certificate();
        },
        jitter, clock_);
  }
  /// Lets time pass in steps that the thread can follow; returns how often it has asked meanwhile.
  int Pass(absl::Duration span, absl::Duration step) {
    const int before = asked_;
    for (absl::Duration passed; passed < span; passed += step) {
      clock_.Advance(step);
      const uint64_t sleeps = clock_.sleeps();
      EXPECT_TRUE(WaitFor([&] { return clock_.sleeps() >= sleeps + 2; }));
    }
    return asked_ - before;
  }

  test::TempDir dir_;
  const std::string path_ = dir_ / "cert.pem";
  test::FakeClock clock_;
  TestCa ca_{clock_.Now()};
  std::atomic<int> asked_ = 0;
  std::atomic<bool> refuse_ = false;
};

TEST_F(RenewalTest, AsksAtTwoThirdsAndReplacesTheFile) {
  const std::string before = test::ReadFile(path_);
  const auto renewal = Start();
  EXPECT_EQ(Pass(absl::Hours(24 * 59), absl::Hours(12)), 0);
  clock_.Advance(absl::Hours(36));
  EXPECT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Minutes(1));
    return test::ReadFile(path_) != before;
  }));
  EXPECT_EQ(asked_, 1);
  EXPECT_GT(ReadCertificate(test::ReadFile(path_))->not_after, clock_.Now() + absl::Hours(24 * 89));
}

TEST_F(RenewalTest, AsksEarlierWhereItsCaEndsBeforeIt) {
  CertificateSpec ca;
  ca.common_name = "issuing CA";
  ca.ca_path_length = 0;
  ca.not_before = clock_.Now() - kBackdate;
  ca.not_after = clock_.Now() + absl::Hours(24 * 30);
  test::WriteFile(path_, Certificate() + *IssueRoot(MakeKey(), ca));
  const auto renewal = Start();
  EXPECT_EQ(Pass(absl::Hours(24 * 19), absl::Hours(12)), 0);
  clock_.Advance(absl::Hours(36));
  EXPECT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Minutes(1));
    return asked_ == 1;
  }));
}

TEST_F(RenewalTest, AsksAgainAndAgainWithGrowingPauses) {
  refuse_ = true;
  const auto renewal = Start();
  clock_.Advance(absl::Hours(24 * 61));
  EXPECT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Minutes(1));
    return asked_ >= 3;
  }));
  // By now it is once an hour at most.
  EXPECT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Minutes(30));
    return asked_ >= 10;
  }));
  const std::string before = test::ReadFile(path_);
  refuse_ = false;
  EXPECT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Minutes(30));
    return test::ReadFile(path_) != before;
  }));
}

TEST_F(RenewalTest, TakesWhatSomebodyElseHasPutThere) {
  refuse_ = true;
  const auto renewal = Start();
  clock_.Advance(absl::Hours(24 * 91));  // past its end
  EXPECT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Minutes(1));
    return asked_ >= 1;
  }));
  test::WriteFile(path_, Certificate());  // fleet-agent join
  EXPECT_TRUE(WaitFor([&] {
    const int before = asked_;
    return Pass(absl::Hours(6), absl::Minutes(30)) == 0 && asked_ == before;
  }));
}

}  // namespace
}  // namespace fleet::agent
