#pragma once

#include <openssl/types.h>

#include <string>

namespace fleet::probe {

/// A distinguished name as Go's pkix.Name writes it: "CN=tempo,O=Chitter". blackbox_exporter's
/// labels have it so.
std::string GoName(const X509_NAME* name);

/// The first attribute of that kind (NID_commonName) as UTF-8; empty without one.
std::string NamePart(const X509_NAME* name, int nid);

}  // namespace fleet::probe
