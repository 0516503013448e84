#include "tests/support/random_report.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace fleet::test {

double RandomReports::NextValue(double value, int kind) {
  switch (kind) {
    case 0:  // a counter
      return value + static_cast<double>(Pick(5000));
    case 1:  // seconds with two digits
      return std::round((value + static_cast<double>(Pick(300)) / 100) * 100) / 100;
    case 2:  // pages
      return static_cast<double>(Pick(1 << 20)) * 4096;
    case 3:  // a state
      return static_cast<double>(Pick(3));
    case 4:  // any bits: NaNs with payload, denormals
      return std::bit_cast<double>(random_());
    case 5: {
      constexpr double kOdd[] = {0.0,
                                 -0.0,
                                 std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN(),
                                 std::numeric_limits<double>::denorm_min(),
                                 std::numeric_limits<double>::max(),
                                 9007199254740992.0,
                                 -9007199254740994.0,
                                 1125899906842625.0,
                                 0.1,
                                 1e-22,
                                 1e22,
                                 -3.1415,
                                 4503599627370497.5};
      return kOdd[Pick(std::size(kOdd))];
    }
    case 6:  // a fraction of any length
      return std::ldexp(static_cast<double>(random_()), -static_cast<int>(Pick(80)));
    default: {  // a decimal of any length
      const double scale = std::pow(10, static_cast<double>(Pick(20)));
      return (Pick(2) == 0 ? -1 : 1) * static_cast<double>(Pick(1'000'000'000'000)) / scale;
    }
  }
}

std::string RandomReports::Text() {
  std::string text = Pick(2) == 0 ? "" : "filesystem ";
  absl::StrAppend(&text, Pick(100), ".", Pick(10), " % used");
  if (Pick(4) == 0) text.push_back(static_cast<char>(Pick(256)));
  return text;
}

void RandomReports::ChangeSeries(Source& source) {
  for (uint64_t i = Pick(20); i > 0; --i) {
    const size_t at = Pick(source.series.size() + 1);
    const auto offset = static_cast<std::ptrdiff_t>(at);
    source.series.insert(source.series.begin() + offset, absl::StrCat("s=\"", names_++, "\""));
    source.values.insert(source.values.begin() + offset, 0.0);
    source.kinds.insert(source.kinds.begin() + offset, static_cast<int>(Pick(8)));
  }
  for (uint64_t i = Pick(10); i > 0 && !source.series.empty(); --i) {
    const auto at = static_cast<std::ptrdiff_t>(Pick(source.series.size()));
    source.series.erase(source.series.begin() + at);
    source.values.erase(source.values.begin() + at);
    source.kinds.erase(source.kinds.begin() + at);
  }
  if (Pick(4) == 0) std::shuffle(source.series.begin(), source.series.end(), random_);
}

void RandomReports::ChangeWords(Source& source) {
  Report& report = source.report;
  report.verdict = static_cast<Verdict>(Pick(4));
  report.unknown = static_cast<UnknownKind>(Pick(4));
  report.success = Pick(4) != 0;
  report.absent = Pick(8) == 0;
  if (Pick(2) == 0) report.reason = Text();
  if (Pick(8) == 0) report.parent = Text();
  if (Pick(8) == 0) report.items.resize(Pick(6));
  for (Item& item : report.items) {
    if (item.name.empty()) item.name = absl::StrCat("item", names_++);
    if (Pick(3) == 0) item.reason = Text();
    if (Pick(9) == 0) item.parent = Text();
    if (Pick(3) == 0) item.verdict = static_cast<Verdict>(Pick(4));
    if (Pick(9) == 0) item.unknown = static_cast<UnknownKind>(Pick(4));
  }
}

Report RandomReports::Next() {
  if (sources_.empty() || (sources_.size() < 8 && Pick(20) == 0)) {
    Source source;
    source.report.check = absl::StrCat("check", sources_.size());
    source.report.start = absl::FromUnixSeconds(1'700'000'000);
    ChangeSeries(source);
    sources_.push_back(std::move(source));
  }
  Source& source = sources_[Pick(sources_.size())];
  if (Pick(10) == 0) ChangeSeries(source);
  if (Pick(3) == 0) ChangeWords(source);
  Report& report = source.report;
  if (Pick(20) == 0) report.interval = absl::Milliseconds(Pick(100'000));
  report.start += report.interval + absl::Microseconds(static_cast<int64_t>(Pick(20'000)) - 9'000);
  if (Pick(30) == 0) report.start -= absl::Hours(24);
  report.duration = absl::Microseconds(Pick(5'000'000));
  const uint64_t rate = 1 + Pick(6);
  report.samples.Clear();
  for (size_t i = 0; i < source.series.size(); ++i) {
    if (Pick(rate) == 0) source.values[i] = NextValue(source.values[i], source.kinds[i]);
    const int family = source.kinds[i];
    report.samples.AddRaw({absl::StrCat("family_", family), static_cast<MetricType>(family % 3),
                           absl::StrCat("Help of ", family, ".")},
                          source.series[i], source.values[i]);
  }
  return report;
}

std::string Difference(const Report& a, const Report& b) {
  if (a.check != b.check) return absl::StrCat("check ", a.check, " ", b.check);
  if (absl::ToUnixMicros(a.start) != absl::ToUnixMicros(b.start)) return "start";
  if (a.duration != b.duration || a.interval != b.interval) return "duration or interval";
  if (a.absent != b.absent || a.success != b.success || a.verdict != b.verdict ||
      a.unknown != b.unknown || a.reason != b.reason || a.parent != b.parent) {
    return "status";
  }
  if (a.items.size() != b.items.size()) return "items";
  for (size_t i = 0; i < a.items.size(); ++i) {
    const Item& x = a.items[i];
    const Item& y = b.items[i];
    if (x.name != y.name || x.verdict != y.verdict || x.unknown != y.unknown ||
        x.reason != y.reason || x.parent != y.parent) {
      return absl::StrCat("item ", i);
    }
  }
  if (!a.samples.SameSeries(b.samples)) return "series";
  for (size_t i = 0; i < a.samples.size(); ++i) {
    if (std::bit_cast<uint64_t>(a.samples.values()[i]) !=
        std::bit_cast<uint64_t>(b.samples.values()[i])) {
      return absl::StrCat("value ", i, ": ", a.samples.values()[i], " ", b.samples.values()[i]);
    }
  }
  return "";
}

}  // namespace fleet::test
