#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "fleet/v1/fleet.pb.h"
#include "fleet/v1/trust.pb.h"

/// The state of the fleet as people and programs read it. All pure.
namespace fleet::ctl {

struct ViewOptions {
  size_t width = 80;  // columns; reasons are wrapped to it
  bool cut = true;    // rows of tables too are kept to it; not for who reads them by a program
  bool color = false;
  bool wide = false;    // every check and item, not just what is wrong
  bool detail = false;  // the reply is of one host: all its checks

  /// For Table::Render.
  size_t table_width() const { return cut ? width : 0; }
};

/// Worst first, one row a host, then what is wrong: causes with their reasons under the table, what
/// follows from them folded beneath.
std::string RenderStatusTable(const v1::StatusReply& reply, const ViewOptions& options);

/// The form that the design fixes; one line with a final newline.
std::string RenderStatusJson(const v1::StatusReply& reply);

/// host, check, item, verdict, age in seconds, cause, reason: one line each, with a header line.
std::string RenderStatusTsv(const v1::StatusReply& reply);

/// `fleetctl hosts`: who reports, and who else has a certificate as an agent or is retired.
std::string RenderHosts(const v1::StatusReply& reply, const v1::CertificatesReply& certificates,
                        const ViewOptions& options);

/// `fleetctl ca list`: every certificate that the collector knows of.
std::string RenderCertificates(const v1::CertificatesReply& certificates,
                               const ViewOptions& options);

/// `fleetctl explain`: all that is known of one check, and what to do about it. Empty when the
/// reply does not have it.
std::string RenderExplanation(const v1::StatusReply& reply, absl::string_view host,
                              absl::string_view check, const ViewOptions& options);

/// 0 ok, 1 warn, 2 crit, 3 unknown or stale; 0 for what is less bad than `fail_on` ("", "warn",
/// "crit").
int StatusExitCode(const v1::StatusReply& reply, absl::string_view fail_on);

}  // namespace fleet::ctl
