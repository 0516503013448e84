#include "tests/bench/trace.h"

#include <zstd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/labels.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::bench {
namespace {

std::string Unpack(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string packed{std::istreambuf_iterator<char>(in), {}};
  FLEET_ASSERT(!packed.empty());
  ZSTD_DStream* stream = ZSTD_createDStream();
  std::string text;
  std::string buffer(1 << 20, '\0');
  ZSTD_inBuffer input{packed.data(), packed.size(), 0};
  while (input.pos < input.size) {
    ZSTD_outBuffer output{buffer.data(), buffer.size(), 0};
    FLEET_ASSERT(ZSTD_isError(ZSTD_decompressStream(stream, &output, &input)) == 0);
    text.append(buffer.data(), output.pos);
  }
  ZSTD_freeDStream(stream);
  return text;
}

/// Files of a tar archive by name.
std::map<std::string, absl::string_view> Files(absl::string_view tar) {
  std::map<std::string, absl::string_view> files;
  for (size_t at = 0; at + 512 <= tar.size();) {
    const std::string name(tar.substr(at, 100).data(), strnlen(tar.data() + at, 100));
    if (name.empty()) break;
    const size_t size = std::stoul(std::string(tar.substr(at + 124, 11)), nullptr, 8);
    if (tar[at + 156] == '0' || tar[at + 156] == '\0') files[name] = tar.substr(at + 512, size);
    at += 512 + (size + 511) / 512 * 512;
  }
  return files;
}

std::string CheckOf(absl::string_view source, absl::string_view name) {
  constexpr std::pair<absl::string_view, absl::string_view> kChecks[] = {
      {"node_load", "load"},        {"node_memory_", "memory"},   {"node_vmstat_", "memory"},
      {"node_pressure_", "memory"}, {"node_disk_", "disk"},       {"node_filesystem_", "disk"},
      {"node_network_", "network"}, {"node_netstat_", "network"}, {"node_sockstat_", "network"},
      {"node_arp_", "network"},     {"node_udp_", "network"},     {"node_nf_", "network"},
      {"node_time_", "clock"},      {"node_timex_", "clock"},     {"node_boot_", "clock"},
      {"node_cpu_", "cpu"},         {"node_softnet_", "cpu"},     {"node_intr_", "cpu"},
      {"node_context_", "cpu"},     {"node_forks_", "cpu"},       {"node_procs_", "cpu"},
  };
  for (const auto& [prefix, check] : kChecks) {
    if (absl::StartsWith(name, prefix)) return std::string(check);
  }
  return std::string(source);
}

/// A desc that lasts, as the checks' own do.
const MetricDesc& DescOf(const SampleSet::Family& family) {
  static auto& descs = *new std::map<std::string, std::pair<SampleSet::Family, MetricDesc>>;
  auto [entry, added] = descs.try_emplace(family.name, family, MetricDesc{});
  auto& [kept, desc] = entry->second;
  if (added) desc = {kept.name, kept.type, kept.help, true};
  return desc;
}

/// Adds one scrape's samples to the reports of their checks.
void Parse(absl::string_view source, absl::string_view text, std::map<std::string, Report>& out) {
  std::map<absl::string_view, SampleSet::Family> families;
  SampleSet::Family plain;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (line[0] == '#') {
      const std::vector<absl::string_view> words = absl::StrSplit(line, absl::MaxSplits(' ', 3));
      SampleSet::Family& family = families[words[2]];
      family.name = std::string(words[2]);
      if (words[1] == "HELP") family.help = std::string(words[3]);
      if (words[1] == "TYPE") {
        family.type = words[3] == "counter" ? MetricType::kCounter
                      : words[3] == "gauge" ? MetricType::kGauge
                                            : MetricType::kUntyped;
      }
      continue;
    }
    const size_t blank = line.rfind(' ');
    const absl::string_view series = line.substr(0, blank);
    const size_t brace = std::min(series.find('{'), series.size());
    const absl::string_view name = series.substr(0, brace);
    double value = 0;
    FLEET_ASSERT(absl::SimpleAtod(line.substr(blank + 1), &value));
    const auto family = families.find(name);
    plain = {std::string(name), MetricType::kUntyped, ""};
    const absl::string_view labels =
        brace == series.size() ? "" : series.substr(brace + 1, series.size() - brace - 2);
    const auto parsed = ParseLabels(labels);
    FLEET_ASSERT(parsed.ok());
    std::vector<Label> list;
    for (const auto& [label, text_value] : *parsed) list.push_back({label, text_value});
    out[CheckOf(source, name)].samples.Add(
        DescOf(family == families.end() ? plain : family->second), list, value);
  }
}

double Value(const Report& report, absl::string_view name, size_t skip = 0) {
  for (size_t i = 0; i < report.samples.size(); ++i) {
    if (report.samples.name(i) == name && skip-- == 0) return report.samples.values()[i];
  }
  return 0;
}

/// Words as the real checks choose them: some change with each report.
void Describe(Report& report) {
  if (report.check == "load") {
    report.reason = absl::StrFormat("load %.2f %.2f %.2f on 2 CPUs", Value(report, "node_load1"),
                                    Value(report, "node_load5"), Value(report, "node_load15"));
  } else if (report.check == "memory") {
    const double total = Value(report, "node_memory_MemTotal_bytes");
    const double available = Value(report, "node_memory_MemAvailable_bytes");
    report.reason = absl::StrCat(HumanPercent(1 - available / total), " used, ",
                                 HumanBytes(available), " available");
  } else if (report.check == "disk") {
    for (size_t i = 0; i < 3; ++i) {
      const double size = Value(report, "node_filesystem_size_bytes", i);
      const double free = Value(report, "node_filesystem_avail_bytes", i);
      Item item;
      item.name = absl::StrCat("/mount", i);
      item.reason = size > 0 ? absl::StrCat(HumanPercent(1 - free / size), " used") : "";
      report.items.push_back(std::move(item));
    }
    report.reason = report.items[0].reason;
  } else if (report.check == "redis") {
    report.reason = absl::StrCat(HumanBytes(Value(report, "redis_memory_used_bytes")), " used, ",
                                 Value(report, "redis_connected_clients"), " clients");
    report.items.push_back({"127.0.0.1:6379", Verdict::kOk, UnknownKind::kNone, report.reason, ""});
  } else if (report.check == "postgres") {
    report.reason = "PostgreSQL 15.14, 12 of 100 connections";
    report.items.push_back({"main", Verdict::kOk, UnknownKind::kNone, report.reason, ""});
  }
}

}  // namespace

std::vector<Round> LoadTrace(int step) {
  const std::string tar = Unpack(FLEET_SOURCE_DIR "/tests/fixtures/trace/scrapes-1s.tar.zst");
  std::map<std::string, std::vector<std::pair<std::string, absl::string_view>>> scrapes;
  for (const auto& [name, text] : Files(tar)) {  // "node.0001.txt"
    const std::vector<std::string> parts = absl::StrSplit(name.substr(name.rfind('/') + 1), '.');
    scrapes[parts[1]].emplace_back(parts[0], text);
  }
  std::mt19937_64 random(1);
  std::vector<Round> rounds;
  int index = 0;
  for (const auto& [number, sources] : scrapes) {
    const int second = index++;
    if (second % step != 0) continue;
    std::map<std::string, Report> reports;
    for (const auto& [source, text] : sources) Parse(source, text, reports);
    Round round;
    for (auto& [check, report] : reports) {
      report.check = check;
      report.start =
          absl::FromUnixSeconds(1'700'000'000 + second) + absl::Microseconds(random() % 300);
      report.interval = absl::Seconds(step);
      const auto mean = static_cast<int64_t>(200 + report.samples.size() * 4);
      report.duration = absl::Microseconds(mean + static_cast<int64_t>(random() % 100));
      Describe(report);
      round.push_back(std::move(report));
    }
    rounds.push_back(std::move(round));
  }
  return rounds;
}

size_t SampleCount(const std::vector<Round>& rounds) {
  size_t count = 0;
  for (const Round& round : rounds) {
    for (const Report& report : round) count += report.samples.size();
  }
  return count;
}

}  // namespace fleet::bench
