#include "common/host_name.h"
#include "common/status_macros.h"
#include "common/x509.h"
#include "common/x509_issue.h"

/// What comes from a peer: its certificate, its chain, its request. The same bytes stand for all.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  static const fleet::TrustAnchors* const anchors = [] {
    fleet::CertificateSpec spec;
    spec.common_name = "root";
    spec.ca_path_length = 1;
    spec.not_before = absl::UnixEpoch();
    spec.not_after = absl::FromUnixSeconds(4'000'000'000);
    const auto root = fleet::IssueRoot(fleet::MakeKey(), spec);
    FLEET_ASSERT(root.ok());
    return new fleet::TrustAnchors(*fleet::TrustAnchors::Parse(*root, ""));
  }();
  const fleet::PeerCheck check = anchors->Verify(text, text, absl::FromUnixSeconds(1'700'000'000));
  // Nobody outside has this root's key.
  FLEET_ASSERT(!check.ok());
  const auto facts = fleet::ReadCertificate(text);
  if (facts.ok() && facts->role.has_value()) FLEET_ASSERT(fleet::IsHostName(facts->name));
  fleet::PublicKeyOfRequest(text).status().IgnoreError();
  return 0;
}
