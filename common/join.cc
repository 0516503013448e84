#include "common/join.h"

#include <grpcpp/grpcpp.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/status_macros.h"
#include "common/x509_issue.h"
#include "fleet/v1/trust.grpc.pb.h"

namespace fleet {
namespace {

/// Of the files that wait for the collector's answer; a running agent that renews has its own.
constexpr absl::string_view kJoinSuffix = ".join";
constexpr absl::string_view kTokenLeft = "; the token is not used up yet";

absl::Status ToStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      OneLine(status.error_message(), 400));
}

absl::StatusOr<std::unique_ptr<v1::Trust::Stub>> Connect(const std::string& collector,
                                                         const ClientTls& tls) {
  FLEET_ASSIGN_OR_RETURN(const auto credentials, CollectorCredentials(tls, Clock::Real()));
  grpc::ChannelArguments arguments;
  // A connection of its own: nothing is shared with a channel that has other credentials.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return v1::Trust::NewStub(grpc::CreateCustomChannel(collector, credentials, arguments));
}

/// Whether what came back is a certificate for our key, from a CA that we believe in.
absl::StatusOr<CertificateFacts> CheckReply(const ClientTls& tls) {
  FLEET_RETURN_IF_ERROR(CheckKeyPair(tls.cert, tls.key));
  FLEET_ASSIGN_OR_RETURN(const TrustAnchors anchors, TrustAnchors::Parse(tls.ca, ""));
  const PeerCheck check = anchors.Verify(tls.cert, tls.cert, Clock::Real().Now());
  // By this machine's clock, which may be wrong, the dates are no reason.
  const bool date =
      check.distrust == Distrust::kExpired || check.distrust == Distrust::kNotYetValid;
  if (!check.ok() && !date) {
    return absl::InternalError(absl::StrCat("the collector sent a bad certificate: ", check.text));
  }
  return check.facts;
}

}  // namespace

absl::StatusOr<PendingIdentity> PendingIdentity::Create(const IdentityPaths& paths) {
  for (const std::string* path : {&paths.ca, &paths.cert, &paths.key}) {
    if (!absl::StrContains(*path, "/")) {
      return absl::InvalidArgumentError(absl::StrCat(
          Quote(*path), " is what systemd's LoadCredential gives, which cannot be written: name ",
          "paths for ca, cert and key", kTokenLeft));
    }
  }
  const auto create = [&](const std::string& path, FileKind kind) -> absl::StatusOr<PendingFile> {
    FLEET_RETURN_IF_ERROR(MakePrivateDirectory(DirectoryOf(path)));
    FLEET_ASSIGN_OR_RETURN(PendingFile file, PendingFile::Create(path, kind, kJoinSuffix));
    FLEET_RETURN_IF_ERROR(file.Reserve(kCertificateBytesMax));
    return file;
  };
  std::string key = MakeKey();
  absl::StatusOr<PendingFile> ca_file = create(paths.ca, FileKind::kOther);
  absl::StatusOr<PendingFile> cert_file = create(paths.cert, FileKind::kOther);
  absl::StatusOr<PendingFile> key_file = create(paths.key, FileKind::kKey);
  for (const absl::Status& status : {ca_file.status(), cert_file.status(), key_file.status(),
                                     key_file.ok() ? key_file->Write(key) : absl::OkStatus()}) {
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(status.message(), kTokenLeft));
    }
  }
  return PendingIdentity(std::move(key), *std::move(ca_file), *std::move(cert_file),
                         *std::move(key_file));
}

absl::Status PendingIdentity::Commit(const ClientTls& tls) {
  FLEET_RETURN_IF_ERROR(ca_file_.Write(tls.ca));
  FLEET_RETURN_IF_ERROR(cert_file_.Write(tls.cert));
  FLEET_RETURN_IF_ERROR(ca_file_.Commit());
  FLEET_RETURN_IF_ERROR(key_file_.Commit());
  return cert_file_.Commit();
}

absl::StatusOr<MemberIdentity> JoinFleet(const JoinToken& token, const std::string& key,
                                         absl::Duration timeout) {
  MemberIdentity identity;
  identity.tls.key = key;
  v1::JoinRequest request;
  request.set_token(token.secret);
  FLEET_ASSIGN_OR_RETURN(*request.mutable_request(), MakeRequest(identity.tls.key, "fleet"));
  ClientTls tls;
  tls.pin = token.pin;
  FLEET_ASSIGN_OR_RETURN(const auto stub, Connect(token.collector, tls));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  v1::JoinReply reply;
  FLEET_RETURN_IF_ERROR(ToStatus(stub->Join(&context, request, &reply)));
  // What comes may be more than the root that we were told of; only that is kept.
  FLEET_ASSIGN_OR_RETURN(identity.tls.ca, FindCertificate(reply.ca(), token.pin));
  identity.tls.cert = reply.certificate();
  FLEET_ASSIGN_OR_RETURN(identity.facts, CheckReply(identity.tls));
  return identity;
}

absl::StatusOr<std::string> RenewCertificate(const std::string& collector, const ClientTls& tls,
                                             absl::Duration timeout) {
  FLEET_ASSIGN_OR_RETURN(const auto stub, Connect(collector, tls));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  v1::RenewReply reply;
  FLEET_RETURN_IF_ERROR(ToStatus(stub->Renew(&context, v1::RenewRequest(), &reply)));
  ClientTls next = tls;
  next.cert = reply.certificate();
  FLEET_ASSIGN_OR_RETURN(const CertificateFacts facts, CheckReply(next));
  FLEET_ASSIGN_OR_RETURN(const CertificateFacts before, ReadCertificate(tls.cert));
  if (facts.role != before.role || facts.name != before.name) {
    return absl::InternalError("the collector sent somebody else's certificate");
  }
  return next.cert;
}

}  // namespace fleet
