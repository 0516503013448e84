#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "fleetctl/command.h"
#include "fleetctl/history_view.h"
#include "fleetctl/moment.h"

namespace fleet::ctl {
namespace {

constexpr uint32_t kBucketsMax = 20'000;  // the collector's limit
constexpr int kExitIncomplete = 1;        // a warning: what there is is good

struct Options {
  std::string host;
  std::string metric;
  std::string since;
  std::string until;
  std::string output = "table";
  uint32_t points = 0;  // 0: as many as the terminal is wide
  bool openmetrics = false;
};

template <typename Request>
absl::Status SetTimes(const Options& options, Request& request) {
  FLEET_ASSIGN_OR_RETURN(*request.mutable_since(), ParseMoment(options.since));
  if (options.until.empty()) return absl::OkStatus();
  FLEET_ASSIGN_OR_RETURN(*request.mutable_until(), ParseMoment(options.until));
  return absl::OkStatus();
}

int RunHistory(const Context& context, const Options& options) {
  v1::SeriesRequest request;
  request.set_host(options.host);
  absl::Status status = ParseSelector(options.metric, request);
  if (status.ok()) status = SetTimes(options, request);
  if (!status.ok()) return Fail(status);
  const ViewOptions view = TerminalView();
  request.set_buckets(options.points > 0 ? std::min(options.points, kBucketsMax)
                                         : static_cast<uint32_t>(view.width));
  const auto reply = FetchSeries(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  if (options.output == "json") {
    std::cout << RenderHistoryJson(*reply);
  } else if (options.output == "csv") {
    std::cout << RenderHistoryCsv(*reply);
  } else {
    std::cout << RenderHistory(*reply, absl::StrCat(options.host, " ", options.metric), view);
  }
  return 0;
}

int RunEvents(const Context& context, const Options& options) {
  v1::EventsRequest request;
  request.set_host(options.host);
  if (const absl::Status status = SetTimes(options, request); !status.ok()) return Fail(status);
  const auto reply = FetchEvents(context.client, request);
  if (!reply.ok()) return Fail(reply.status());
  std::cout << (options.output == "json" ? RenderEventsJson(*reply)
                                         : RenderEvents(*reply, TerminalView()));
  return 0;
}

int RunExport(const Context& context, const Options& options) {
  v1::ExportRequest request;
  request.set_host(options.host);
  if (const absl::Status status = SetTimes(options, request); !status.ok()) return Fail(status);
  uint64_t lost = 0;
  uint64_t left_out = 0;
  const auto take = [&](const v1::ExportChunk& chunk) {
    std::cout << chunk.text();
    lost += chunk.lost_segments();
    left_out += chunk.left_out();
    return std::cout.good();
  };
  const absl::Status status = FetchExport(context.client, request, take);
  if (!status.ok()) return Fail(status);
  if (!std::cout.flush()) return Fail(absl::DataLossError("stdout does not take the export"));
  if (lost == 0 && left_out == 0) return 0;
  std::cerr << "fleetctl: the export is not whole:";
  if (lost > 0) {
    std::cerr << " something is missing of " << lost << (lost == 1 ? " segment" : " segments")
              << " of the journal, damaged or deleted meanwhile";
  }
  if (left_out > 0) {
    std::cerr << (lost > 0 ? ";" : "") << " series with too many samples lack " << left_out
              << ": ask for less time";
  }
  std::cerr << "\n";
  return kExitIncomplete;
}

void AddTimes(CLI::App& app, Options& options, const char* since) {
  options.since = since;
  app.add_option("--since", options.since, "so long ago (6h, 2d), or a time (RFC 3339)")
      ->capture_default_str();
  app.add_option("--until", options.until, "the same; default: now");
}

}  // namespace

Command::Run AddHistory(CLI::App& app, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* history = app.add_subcommand("history", "one metric of one host over time");
  history->add_option("host", options->host, "HOST")->required();
  history
      ->add_option("metric", options->metric,
                   "METRIC or METRIC{label=\"value\"}; fleet_check_status shows verdicts")
      ->required();
  AddTimes(*history, *options, "6h");
  history->add_option("--points", options->points, "how many; default: the terminal's width");
  history->add_option("-o,--output", options->output, "table, json or csv")
      ->check(CLI::IsMember({"table", "json", "csv"}));
  history->footer("Counters are shown as rates. A blank in the line is a time without reports.");
  return [&context, options] { return RunHistory(context, *options); };
}

Command::Run AddEvents(CLI::App& app, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* events = app.add_subcommand("events", "what changed, and who was refused");
  events->add_option("host", options->host, "HOST; all without one");
  AddTimes(*events, *options, "1d");
  events->add_option("-o,--output", options->output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  return [&context, options] { return RunEvents(context, *options); };
}

Command::Run AddExport(CLI::App& app, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("export", "everything kept, for another database");
  command->add_option("host", options->host, "HOST; all without one");
  command->add_flag("--openmetrics", options->openmetrics, "as OpenMetrics text, with timestamps")
      ->required();
  AddTimes(*command, *options, "30d");
  command->footer(
      "For promtool tsdb create-blocks-from openmetrics. Exit code 1: there is an export, but "
      "something is missing in it.");
  return [&context, options] { return RunExport(context, *options); };
}

}  // namespace fleet::ctl
