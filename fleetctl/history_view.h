#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "fleet/v1/history.pb.h"
#include "fleetctl/status_view.h"

/// The past as people and programs read it. All pure.
namespace fleet::ctl {

/// One line of blocks per series, as wide as the reply has buckets, a blank where nothing was
/// reported; with minimum, maximum and last value.
std::string RenderHistory(const v1::SeriesReply& reply, absl::string_view title,
                          const ViewOptions& options);
/// {"since":…,"until":…,"rate":…,"series":[{"labels":…,"points":[[time,min,max,last],…]}]}
std::string RenderHistoryJson(const v1::SeriesReply& reply);
/// time, labels, min, max, last: one line per series and bucket, with a header line.
std::string RenderHistoryCsv(const v1::SeriesReply& reply);

/// One line per event, oldest first, times in UTC.
std::string RenderEvents(const v1::EventsReply& reply, const ViewOptions& options);
/// A list of objects, each with time, host, subject, kind, from, to and text.
std::string RenderEventsJson(const v1::EventsReply& reply);

}  // namespace fleet::ctl
