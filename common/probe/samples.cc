#include "common/probe/samples.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>

namespace fleet::probe {
namespace {

constexpr std::array kAll = {
    kSuccess,      kDuration,      kLookup,          kIpProtocol,
    kIpHash,       kRegex,         kHttpPhases,      kHttpLength,
    kHttpBody,     kHttpRedirects, kHttpTls,         kHttpStatus,
    kHttpVersion,  kHttpModified,  kTlsExpiry,       kTlsChainExpiry,
    kTlsChain,     kTlsVersion,    kIcmpPhases,      kIcmpHops,
    kDnsPhases,    kDnsAnswers,    kDnsAuthorities,  kDnsAdditionals,
    kDnsSucceeded, kDnsSerial,     kWebSocketStatus, kWebSocketUpgraded,
};

/// What Go's zero time is in Unix seconds: blackbox_exporter's word for "not verified".
constexpr double kNeverSeconds = -62'135'596'800;

}  // namespace

absl::Span<const MetricDesc> Metrics() { return kAll; }

void AddPhase(const MetricDesc& family, absl::string_view phase, absl::Duration span,
              SampleSet& samples) {
  samples.Add(family, {{"phase", phase}}, absl::ToDoubleSeconds(span));
}

void AddTlsSamples(const TlsCapture& capture, SampleSet& samples) {
  const TlsFacts& facts = capture.facts();
  const ChainSamples& chain = capture.samples();
  samples.Add(kTlsExpiry, {}, static_cast<double>(absl::ToUnixSeconds(facts.earliest_expiry)));
  samples.Add(kTlsChainExpiry, {},
              chain.verified_until.has_value()
                  ? static_cast<double>(absl::ToUnixSeconds(*chain.verified_until))
                  : kNeverSeconds);
  samples.Add(kTlsChain,
              {{"fingerprint_sha256", facts.certificate.fingerprint},
               {"issuer", chain.issuer},
               {"subject", chain.subject},
               {"subjectalternative", chain.alternative_names}},
              1);
  samples.Add(kTlsVersion, {{"version", facts.version}}, 1);
}

uint32_t AddressHash(absl::string_view address) {
  const std::string text(address);
  unsigned char bytes[sizeof(in6_addr)] = {};
  size_t size = 0;
  if (::inet_pton(AF_INET, text.c_str(), bytes) == 1) {
    size = sizeof(in_addr);
  } else if (::inet_pton(AF_INET6, text.c_str(), bytes) == 1) {
    size = sizeof(in6_addr);
  } else {
    return 0;
  }
  uint32_t hash = 2'166'136'261;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 16'777'619;
  return hash;
}

}  // namespace fleet::probe
