#include "collector/server_tls.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/file_stamp.h"
#include "common/log.h"
#include "common/private_file.h"
#include "common/secret.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

absl::Status Wrong(absl::string_view what, const absl::Status& status) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerTls>> ServerTls::Make(const TrustOptions& options,
                                                           Clock& clock) {
  std::unique_ptr<ServerTls> tls(new ServerTls(options, clock));
  tls->stamp_ = tls->Stamp();
  FLEET_RETURN_IF_ERROR(tls->Take(options.tls, options.issuer));
  tls->Refresh();
  const std::shared_ptr<const Current> current = tls->current();
  if (clock.Now() > current->own.not_after) {
    log::Error("the collector's own certificate has ended: nobody will talk to it",
               {{"cert", options.paths.cert}, {"ended", absl::FormatTime(current->own.not_after)}});
  }
  return tls;
}

std::shared_ptr<const ServerTls::Current> ServerTls::current() const {
  MutexLock lock(mutex_);
  return current_;
}

absl::Status ServerTls::Take(const TlsTexts& texts, const std::optional<Issuer>& issuer) {
  auto next = std::make_shared<Current>();
  absl::Status pair = CheckKeyPair(texts.cert, texts.key);
  if (!pair.ok()) return Wrong("tls.cert and tls.key", pair);
  if (issuer.has_value()) {
    pair = CheckKeyPair(issuer->certificate_pem, issuer->key_pem);
    if (!pair.ok()) return Wrong("trust.issuer_cert and trust.issuer_key", pair);
    FLEET_ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(issuer->certificate_pem));
    if (!facts.is_ca) return absl::FailedPreconditionError("trust.issuer_cert is no CA");
    next->issuer_serial = facts.serial;
    next->issuer_end = facts.not_after;
  }
  const std::string helpers = issuer.has_value() ? issuer->certificate_pem : "";
  absl::StatusOr<TrustAnchors> anchors = TrustAnchors::Parse(texts.ca, helpers);
  if (!anchors.ok()) return Wrong("tls.ca", anchors.status());
  // By what it is, not by when: an end is no reason not to start.
  FLEET_ASSIGN_OR_RETURN(next->own, ReadChain(texts.cert));
  const absl::Time within =
      std::min(std::max(clock_.Now(), next->own.not_before), next->own.not_after);
  const PeerCheck check = anchors->VerifyRole(texts.cert, texts.cert, within, Role::kCollector);
  if (!check.ok()) return absl::FailedPreconditionError(absl::StrCat("tls.cert: ", check.text));
  FLEET_ASSIGN_OR_RETURN(next->root, FindCertificate(texts.ca, check.root_fingerprint));
  if (issuer.has_value()) {
    FLEET_ASSIGN_OR_RETURN(const CertificateFacts root, ReadCertificate(next->root));
    next->root_ends_first = root.not_after <= next->issuer_end;
    next->issuer_end = std::min(next->issuer_end, root.not_after);
  }
  // The root comes along, so that who knows only its fingerprint can check the rest.
  next->chain = absl::StrCat(texts.cert, "\n", next->root);
  next->ca = texts.ca;
  next->key = texts.key;
  next->root_fingerprint = check.root_fingerprint;
  next->anchors = *std::move(anchors);
  next->issuer = issuer;
  MutexLock lock(mutex_);
  current_ = std::move(next);
  return absl::OkStatus();
}

std::string ServerTls::Stamp() const {
  const TrustPaths& paths = options_.paths;
  return FileStamp({paths.ca, paths.cert, paths.key, paths.issuer_cert, paths.issuer_key});
}

absl::Status ServerTls::Reload() {
  // What has no lasting path (systemd's credentials) stays as it was read.
  const auto read = [](const std::string& path, std::string& text) -> absl::Status {
    if (path.empty()) return absl::OkStatus();
    FLEET_ASSIGN_OR_RETURN(text, ReadSecretFile(path));
    return absl::OkStatus();
  };
  TlsTexts texts = options_.tls;
  std::optional<Issuer> issuer = options_.issuer;
  FLEET_RETURN_IF_ERROR(read(options_.paths.ca, texts.ca));
  FLEET_RETURN_IF_ERROR(read(options_.paths.cert, texts.cert));
  FLEET_RETURN_IF_ERROR(read(options_.paths.key, texts.key));
  if (issuer.has_value()) {
    FLEET_RETURN_IF_ERROR(read(options_.paths.issuer_cert, issuer->certificate_pem));
    FLEET_RETURN_IF_ERROR(read(options_.paths.issuer_key, issuer->key_pem));
  }
  return Take(texts, issuer);
}

absl::Status ServerTls::RenewOwn() {
  const std::shared_ptr<const Current> now = current();
  if (clock_.Now() >= now->issuer_end) {
    return absl::FailedPreconditionError("the fleet's CA has ended; see Rotate in operating.md");
  }
  CertificateSpec spec;
  spec.common_name = spec.name = now->own.name;
  spec.role = Role::kCollector;
  spec.not_before = clock_.Now() - kBackdate;
  spec.not_after = std::min(clock_.Now() + options_.certificate_lifetime, now->issuer_end);
  FLEET_ASSIGN_OR_RETURN(const std::string public_key, PublicKeyOfKey(now->key));
  FLEET_ASSIGN_OR_RETURN(std::string certificate, IssueCertificate(public_key, spec, *now->issuer));
  TlsTexts texts;
  texts.ca = now->ca;
  texts.cert = absl::StrCat(certificate, now->issuer->certificate_pem);
  texts.key = now->key;
  FLEET_RETURN_IF_ERROR(Take(texts, now->issuer));
  // Where the file is not ours to write, the certificate is made again at the next start.
  if (!options_.paths.cert.empty() && WritePrivateFile(options_.paths.cert, texts.cert).ok()) {
    stamp_ = Stamp();
  }
  log::Info("the collector's own certificate is renewed",
            {{"until", absl::FormatTime(current()->own.not_after)}});
  return absl::OkStatus();
}

bool ServerTls::Refresh() {
  const std::shared_ptr<const Current> before = current();
  absl::Status status;
  const std::string stamp = Stamp();
  if (stamp != stamp_) {
    status = Reload();
    // A cert that is new and a key that is still old do not belong together: looked at again.
    if (status.ok()) stamp_ = stamp;
    if (status.ok()) log::Info("certificates are read again");
  }
  const std::shared_ptr<const Current> read = current();
  if (read->issuer.has_value() && clock_.Now() >= RenewalTime(read->own, 0.5)) {
    status.Update(RenewOwn());
  }
  if (!status.ok() && trouble_ != status.message()) {
    log::Error("the new certificates cannot be used, the old ones go on", {{"error", status}});
  }
  trouble_ = std::string(status.message());
  return current() != before;
}

}  // namespace fleet::collector
