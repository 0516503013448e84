#include "agent/spool_commands.h"

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "agent/commands.h"
#include "common/escape.h"
#include "common/segment/decoder.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr int kReadsMax = 5;
constexpr absl::Duration kReadPause = absl::Milliseconds(20);

/// "6h" before now, or a moment.
absl::StatusOr<absl::Time> ParseSince(const std::string& text, absl::Time now) {
  if (text.empty()) return absl::InfinitePast();
  if (const auto span = ParseDuration(text); span.ok()) return now - *span;
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return time;
  return absl::InvalidArgumentError(absl::StrCat(
      "--since: expected a span as 6h or a moment as 2024-05-01T12:00:00Z, got ", Quote(text)));
}

/// Why a segment cannot be decoded to its end; empty when it can.
std::string Decode(absl::string_view bytes, SegmentDecoder::Sink sink) {
  SegmentDecoder decoder;
  return std::string(decoder.Feed(bytes, sink).message());
}

std::string SegmentName(const SpoolFileName& name) {
  return absl::StrFormat("%016x-%d", name.epoch, name.number);
}

std::string Total(uint64_t reports, size_t segments) {
  return absl::StrCat(reports, reports == 1 ? " report in " : " reports in ", segments,
                      segments == 1 ? " segment" : " segments");
}

}  // namespace

SpoolReader::SpoolReader(SpoolCommandOptions options, FileSystem& files, Clock& clock,
                         BootClock& boot)
    : options_(std::move(options)), files_(files), clock_(clock), boot_(boot) {}

absl::StatusOr<std::vector<SpoolReader::File>> SpoolReader::Files() const {
  FLEET_ASSIGN_OR_RETURN(const std::vector<FileSystem::Entry> entries,
                         files_.List(options_.directory));
  std::vector<File> files;
  for (const FileSystem::Entry& entry : entries) {
    File file;
    file.path = absl::StrCat(options_.directory, "/", entry.name);
    file.bytes = entry.bytes;
    absl::string_view name = entry.name;
    file.aside = absl::ConsumeSuffix(&name, kSpoolDamagedSuffix);
    const absl::StatusOr<SpoolFileName> parsed = ParseSpoolFileName(name);
    if (!parsed.ok()) continue;
    file.name = *parsed;
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.name.sequence < b.name.sequence; });
  if (!files.empty()) files.back().newest = true;
  return files;
}

absl::StatusOr<std::string> SpoolReader::ReadSegment(const File& file) const {
  absl::StatusOr<std::string> bytes;
  for (int i = 0; i < kReadsMax; ++i) {
    bytes = ReadWhole(files_, file.path, SegmentLimits().segment_bytes);
    if (!bytes.ok() || !file.newest || ScanSegment(*bytes).damage.empty()) break;
    std::this_thread::sleep_for(absl::ToChronoMilliseconds(kReadPause));
  }
  return bytes;
}

absl::Duration SpoolReader::AgeOf(const File& file, absl::Time created) const {
  const absl::Duration age = file.name.boot == boot_.id()
                                 ? boot_.Uptime() - file.name.created_uptime
                                 : clock_.Now() - created;
  return std::max(age, absl::ZeroDuration());
}

int SpoolReader::List(std::ostream& out, std::ostream& err) {
  const absl::StatusOr<std::vector<File>> files = Files();
  if (!files.ok()) {
    err << "fleet-agent: " << files.status().message() << "\n";
    return 1;
  }
  out << absl::StrFormat("%-8s %9s %11s  %-24s %s\n", "AGE", "REPORTS", "BYTES", "SEGMENT",
                         "STATE");
  uint64_t reports = 0;
  uint64_t bytes_sum = 0;
  for (const File& file : *files) {
    const absl::StatusOr<std::string> bytes = ReadSegment(file);
    if (absl::IsNotFound(bytes.status())) continue;  // delivered meanwhile
    ScanResult scan;
    if (bytes.ok()) scan = ScanSegment(*bytes);
    std::string state = "whole";
    if (!bytes.ok()) state = std::string(bytes.status().message());
    if (!scan.damage.empty()) state = absl::StrCat("damaged at ", scan.good_bytes);
    if (file.aside) state = absl::StrCat("set aside: ", state);
    out << absl::StrFormat("%-8s %9d %11d  %-24s %s\n",
                           scan.header ? HumanDuration(AgeOf(file, scan.created)) : "?",
                           scan.reports, file.bytes, SegmentName(file.name), state);
    reports += scan.reports;
    bytes_sum += file.bytes;
  }
  out << absl::StrCat(
      Total(reports, files->size()), ", ", HumanBytes(static_cast<double>(bytes_sum)),
      reports == 0 ? "" : "; a segment stays until every collector has all of it", "\n");
  return 0;
}

int SpoolReader::Verify(std::ostream& out, std::ostream& err) {
  const absl::StatusOr<std::vector<File>> files = Files();
  if (!files.ok()) {
    err << "fleet-agent: " << files.status().message() << "\n";
    return 1;
  }
  uint64_t reports = 0;
  size_t damaged = 0;
  for (const File& file : *files) {
    const absl::StatusOr<std::string> bytes = ReadSegment(file);
    if (absl::IsNotFound(bytes.status())) continue;
    if (!bytes.ok()) {
      ++damaged;
      out << file.path << ": " << bytes.status().message() << "\n";
      continue;
    }
    const ScanResult scan = ScanSegment(*bytes);
    std::string damage = scan.damage;
    if (damage.empty() &&
        (scan.id.epoch != file.name.epoch || scan.id.number != file.name.number)) {
      damage = "it is another segment than its name says";
    }
    uint64_t decoded = 0;
    const std::string wrong =
        Decode(absl::string_view(*bytes).substr(0, scan.good_bytes), [&](const DecodedReport&) {
          ++decoded;
          return absl::OkStatus();
        });
    if (damage.empty()) damage = wrong;
    reports += decoded;
    if (damage.empty()) continue;
    ++damaged;
    out << absl::StrCat(file.path, ": offset ", scan.good_bytes, " of ", bytes->size(), ", after ",
                        decoded, " whole reports: ", damage, "\n");
  }
  out << absl::StrCat(Total(reports, files->size()), ", ",
                      damaged == 0 ? "nothing" : absl::StrCat(damaged, " of them"), " damaged\n");
  return damaged == 0 ? 0 : 1;
}

int SpoolReader::Export(std::ostream& out, std::ostream& err) {
  const absl::StatusOr<absl::Time> since = ParseSince(options_.since, clock_.Now());
  const absl::StatusOr<std::vector<File>> files = Files();
  if (!since.ok() || !files.ok()) {
    err << "fleet-agent: " << (since.ok() ? files.status() : since.status()).message() << "\n";
    return since.ok() ? 1 : 64;
  }
  int code = 0;
  for (const File& file : *files) {
    const absl::StatusOr<std::string> bytes = ReadSegment(file);
    if (absl::IsNotFound(bytes.status())) continue;
    std::string damage(bytes.status().message());
    if (bytes.ok()) {
      damage = Decode(*bytes, [&](const DecodedReport& report) {
        if (report.start < *since) return absl::OkStatus();
        out << RenderReportLine(options_.host, report.segment, report.index, ToReport(report))
            << "\n";
        return out.good() ? absl::OkStatus() : absl::CancelledError("nobody reads any longer");
      });
    }
    if (!out.good()) return 1;
    if (damage.empty()) continue;
    err << "fleet-agent: " << file.path << ": " << damage << "\n";
    code = 1;
  }
  return code;
}

}  // namespace fleet::agent
