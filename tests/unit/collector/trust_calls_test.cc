// Whose calls of Trust wait for whom, and what it makes near the end of its CA.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "collector/trust.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/test_ca.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::fleet::test::TestCa;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const absl::Duration kDay = absl::Hours(24);
const absl::Duration kLife = 200 * kDay;

class TrustCallsTest : public ::testing::Test {
 protected:
  TrustParts Parts(ServerTls* tls = nullptr) {
    const auto none = [](const std::string&) { return false; };
    return {*store_, gate_, refusals_, *events_, metrics_, clock_, tls, kLife, none, none, ""};
  }

  test::FakeClock clock_;
  SelfMetrics metrics_;
  std::unique_ptr<EventLog> events_ = *EventLog::Open("", clock_);
  std::unique_ptr<TrustStore> store_ = *TrustStore::Open("", clock_);
  Refusals refusals_{*events_, metrics_, clock_};
  Newcomers newcomers_{[](int) -> uint64_t { return 0; }};
  Gate gate_{*store_, refusals_, newcomers_, clock_, false};
};

TEST_F(TrustCallsTest, MembersThatCallWithoutEndKeepNoAdminWaiting) {
  std::vector<std::string> order;  // touched by the one thread only, until it has ended
  size_t taken = 0;
  {
    Trust trust(Parts());
    absl::Notification busy;
    absl::Notification go_on;
    trust.Run(Trust::Turn::kMember, [&] {
      busy.Notify();
      go_on.WaitForNotification();
    });
    busy.WaitForNotification();
    while (taken < 2 * Trust::kQueueMax &&
           trust.Run(Trust::Turn::kMember, [&] { order.emplace_back("member"); })) {
      ++taken;
    }
    EXPECT_TRUE(trust.Run(Trust::Turn::kAdmin, [&] { order.emplace_back("admin"); }));
    go_on.Notify();
  }
  EXPECT_EQ(taken, Trust::kQueueMax);
  EXPECT_THAT(metrics_.Render(),
              HasSubstr("fleet_collector_rejected_total{reason=\"trust_calls\"} 1"));
  ASSERT_EQ(order.size(), Trust::kQueueMax + 1);
  EXPECT_EQ(order.front(), "admin");
}

TEST_F(TrustCallsTest, AnAdminWhoRenewsTooOftenIsNoHostAndWhatIsRefusedAnywayIsFree) {
  const TestCa ca(clock_.Now());
  const test::TlsIdentity own = ca.Issue(Role::kCollector, "collector");
  TrustOptions options;
  options.tls = TlsTexts{own.ca, own.cert, own.key};
  options.issuer = ca.issuing();
  const auto tls = ServerTls::Make(options, clock_);
  ASSERT_THAT(tls, IsOk());
  Trust trust(Parts(tls->get()));
  Identity rado;
  rado.verified = true;
  rado.role = Role::kAdmin;
  rado.name = "tempo";
  rado.check.facts.not_before = clock_.Now() - 100 * kDay;
  rado.check.facts.not_after = rado.check.not_after = clock_.Now() + 900 * kDay;
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(trust.MayRenew(rado, "10.235.0.3"), HasCode(absl::StatusCode::kFailedPrecondition));
  }
  rado.check.facts.not_after = rado.check.not_after = clock_.Now() + kDay;
  int allowed = 0;
  while (trust.MayRenew(rado, "10.235.0.3").ok()) ++allowed;
  EXPECT_EQ(allowed, Trust::kRenewalsPerHour);
  EXPECT_TRUE(events_->Flush(absl::Seconds(20)));
  const auto events = events_->Query("", absl::InfinitePast(), absl::InfiniteFuture(), 100);
  ASSERT_EQ(events->size(), 1u);
  EXPECT_EQ(events->front().to, "renewal_rate");
  EXPECT_EQ(events->front().host, "");
}

TEST_F(TrustCallsTest, NothingOutlivesTheRootEither) {
  // An issuing CA may say that it lives longer than the root that is believed.
  const absl::Time start = clock_.Now();
  const absl::Time end = start + 100 * kDay;
  CertificateSpec spec;
  spec.common_name = "root";
  spec.ca_path_length = 1;
  spec.not_before = start - 30 * kDay;
  spec.not_after = start + 365 * kDay;
  const std::string key = MakeKey();
  const Issuer longer{*IssueRoot(key, spec), key};
  spec.not_after = end;
  TrustOptions options;
  options.tls.ca = *IssueRoot(key, spec);
  options.certificate_lifetime = kLife;
  spec.common_name = "issuing CA";
  spec.ca_path_length = 0;
  spec.not_after = start + 365 * kDay;
  Issuer issuing{"", MakeKey()};
  issuing.certificate_pem = *IssueCertificate(*PublicKeyOfKey(issuing.key_pem), spec, longer);
  options.issuer = issuing;
  const TestCa ca(start);
  CertificateSpec member = ca.Spec(Role::kCollector, "collector");
  member.not_before = start - 30 * kDay;
  member.not_after = start + kDay;  // it is due
  const test::TlsIdentity own = ca.IssueAs(member, issuing, issuing.certificate_pem);
  options.tls.cert = own.cert;
  options.tls.key = own.key;
  const auto tls = ServerTls::Make(options, clock_);
  ASSERT_THAT(tls, IsOk());
  EXPECT_EQ((*tls)->current()->own.not_after, end);

  Trust trust(Parts(tls->get()));
  std::vector<std::string> notes;
  trust.AddNotes(notes);
  EXPECT_THAT(notes, ElementsAre(AllOf(HasSubstr("the fleet's root ends on 2024-02-22"),
                                       HasSubstr("fleetctl ca init"))));
  v1::EnrollRequest enroll;
  enroll.set_role("agent");
  enroll.set_name("tempo");
  v1::JoinRequest join;
  join.set_token(trust.Enroll({}, enroll)->token());
  join.set_request(*MakeRequest(MakeKey(), "tempo"));
  const auto joined = trust.Join(join, "10.235.0.3");
  ASSERT_THAT(joined, IsOk());
  EXPECT_EQ(ReadCertificate(joined->certificate())->not_after, end);

  // One that was made elsewhere, and says that it lives longer, is due by when it really ends.
  member = ca.Spec(Role::kAgent, "parasect");
  member.not_after = start + 365 * kDay;
  const std::string cert = ca.IssueAs(member, issuing, issuing.certificate_pem).cert;
  const Peer parasect{.certificate = cert, .chain = cert, .address = "10.235.0.4", .port = 1};
  const auto renew = [&] { return trust.MayRenew(*gate_.Identify(parasect), parasect.address); };
  EXPECT_THAT(renew(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("from 2024")));
  clock_.Advance(69 * kDay);
  EXPECT_THAT(renew(), IsOk());
  clock_.Advance(2 * kDay);
  EXPECT_THAT(renew(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("fleetctl ca init")));
}

TEST_F(TrustCallsTest, AHostWithoutACertificateMayHaveALongNameAndIsRetiredByIt) {
  TrustParts parts = Parts();
  parts.knows = [](const std::string&) { return true; };
  Trust trust(parts);
  v1::RetireRequest request;
  request.set_host(std::string(kMemberNameBytesMax + 1, 'x'));
  EXPECT_THAT(trust.Retire({}, request), IsOk());
  EXPECT_TRUE(store_->IsRetired(request.host()));
  request.set_host("../tempo");
  EXPECT_THAT(trust.Retire({}, request).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no host's name")));
}

}  // namespace
}  // namespace fleet::collector
