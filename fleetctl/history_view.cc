#include "fleetctl/history_view.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "common/report.h"
#include "fleetctl/text.h"

namespace fleet::ctl {
namespace {

constexpr absl::string_view kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

absl::Time TimeOf(double unix_seconds) { return absl::UnixEpoch() + absl::Seconds(unix_seconds); }

std::string TimeText(double unix_seconds) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", TimeOf(unix_seconds), absl::UTCTimeZone());
}

std::string Exact(double value) {
  std::string text;
  AppendValue(value, text);
  return text;
}

/// Four digits, and thousands folded into a letter.
std::string Short(double value) {
  constexpr absl::string_view kLetters[] = {"", "k", "M", "G", "T", "P"};
  double scaled = value;
  size_t letter = 0;
  while (std::abs(scaled) >= 9999.5 && letter + 1 < std::size(kLetters)) {
    scaled /= 1000;
    ++letter;
  }
  return absl::StrCat(absl::StrFormat("%.4g", scaled), kLetters[letter]);
}

double StepSeconds(const v1::SeriesReply& reply) {
  return (reply.until_seconds() - reply.since_seconds()) / reply.buckets();
}

/// Buckets are finer than reports are frequent, so a bucket without one is a gap only when as much
/// time has passed as makes a report stale.
std::string Sparkline(const v1::SeriesReply& reply, const v1::SeriesReply::Series& series) {
  const double fresh = std::max(3 * series.interval_seconds(), 45.0);
  const double span = series.max() - series.min();
  std::string line;
  int next = 0;
  const v1::SeriesReply::Bucket* last = nullptr;
  for (uint32_t index = 0; index < reply.buckets(); ++index) {
    if (next < series.buckets_size() && series.buckets(next).index() == index) {
      last = &series.buckets(next++);
    } else if (last != nullptr && (index - last->index()) * StepSeconds(reply) > fresh) {
      last = nullptr;
    }
    if (last == nullptr) {
      line.push_back(' ');
      continue;
    }
    const double ratio = span > 0 ? (last->last() - series.min()) / span : 0;
    line.append(std::string(kBlocks[static_cast<size_t>(std::clamp(ratio, 0.0, 1.0) * 7)]));
  }
  return line;
}

}  // namespace

std::string RenderHistory(const v1::SeriesReply& reply, absl::string_view title,
                          const ViewOptions& options) {
  std::string out =
      absl::StrCat(title, reply.rate() ? ", per second" : "", "\n", TimeText(reply.since_seconds()),
                   " to ", TimeText(reply.until_seconds()), " UTC\n");
  for (const v1::SeriesReply::Series& series : reply.series()) {
    const std::string name = series.labels().empty() ? "" : absl::StrCat("{", series.labels(), "}");
    absl::StrAppend(&out, "\n");
    if (!name.empty()) {
      absl::StrAppend(&out, Fit(name, std::min(Columns(name), options.width)), "\n");
    }
    absl::StrAppend(&out, Sparkline(reply, series), "\nmin ", Short(series.min()), "  max ",
                    Short(series.max()), "  last ", Short(series.last()), "\n");
  }
  if (reply.left_out() > 0) {
    absl::StrAppend(&out, "\n", reply.left_out(), " more series: name labels to choose\n");
  }
  return out;
}

std::string RenderHistoryJson(const v1::SeriesReply& reply) {
  nlohmann::ordered_json json;
  json["since"] = reply.since_seconds();
  json["until"] = reply.until_seconds();
  json["rate"] = reply.rate();
  json["series"] = nlohmann::ordered_json::array();
  for (const v1::SeriesReply::Series& series : reply.series()) {
    nlohmann::ordered_json one;
    one["labels"] = series.labels();
    one["points"] = nlohmann::ordered_json::array();
    for (const v1::SeriesReply::Bucket& bucket : series.buckets()) {
      one["points"].push_back({reply.since_seconds() + bucket.index() * StepSeconds(reply),
                               bucket.min(), bucket.max(), bucket.last()});
    }
    json["series"].push_back(std::move(one));
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string RenderHistoryCsv(const v1::SeriesReply& reply) {
  std::string out = "time,labels,min,max,last\n";
  for (const v1::SeriesReply::Series& series : reply.series()) {
    const std::string labels =
        absl::StrCat("\"", absl::StrReplaceAll(series.labels(), {{"\"", "\"\""}}), "\"");
    for (const v1::SeriesReply::Bucket& bucket : series.buckets()) {
      const double time = reply.since_seconds() + bucket.index() * StepSeconds(reply);
      absl::StrAppend(&out,
                      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", TimeOf(time), absl::UTCTimeZone()),
                      ",", labels, ",", Exact(bucket.min()), ",", Exact(bucket.max()), ",",
                      Exact(bucket.last()), "\n");
    }
  }
  return out;
}

namespace {

/// Of a serial, as much as tells it from others, when the row must fit.
std::string Subject(const v1::EventsReply::Event& event, bool cut) {
  constexpr size_t kSerialKept = 12;
  const std::string& text = event.subject().empty() ? event.kind() : event.subject();
  const bool serial = text.size() >= 32 && text.find_first_not_of("0123456789abcdef") == text.npos;
  return cut && serial ? Fit(text, kSerialKept) : text;
}

std::string Change(const v1::EventsReply::Event& event) {
  if (event.from().empty() && event.to().empty()) return event.kind();
  if (event.kind() == "refused") return absl::StrCat("refused: ", event.to());
  return absl::StrCat(event.from().empty() ? "new" : event.from(), " → ", event.to());
}

}  // namespace

std::string RenderEvents(const v1::EventsReply& reply, const ViewOptions& options) {
  if (reply.events().empty()) return "no events in that time\n";
  Table table({"TIME (UTC)", "HOST", "WHAT", "CHANGE", "WHY"});
  for (const v1::EventsReply::Event& event : reply.events()) {
    table.Add({TimeText(event.unix_seconds()), event.host().empty() ? "-" : event.host(),
               Subject(event, options.cut), Change(event), event.text()},
              v1::VERDICT_OK, -1);
  }
  std::string out = table.Render(options.table_width(), options.color);
  if (reply.more()) absl::StrAppend(&out, "older ones are left out: see --until\n");
  return out;
}

std::string RenderEventsJson(const v1::EventsReply& reply) {
  auto list = nlohmann::ordered_json::array();
  for (const v1::EventsReply::Event& event : reply.events()) {
    nlohmann::ordered_json one;
    one["time"] = event.unix_seconds();
    one["host"] = event.host();
    one["subject"] = event.subject();
    one["kind"] = event.kind();
    one["from"] = event.from();
    one["to"] = event.to();
    one["text"] = event.text();
    list.push_back(std::move(one));
  }
  return list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace fleet::ctl
