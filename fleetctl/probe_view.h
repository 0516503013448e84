#pragma once

#include <string>

#include "fleet/v1/fleet.pb.h"
#include "fleetctl/status_view.h"

/// Probes and downtimes as people and programs read them. All pure.
namespace fleet::ctl {

/// `fleetctl probes`: one row each, in the order of the reply.
std::string RenderProbes(const v1::ProbesReply& reply, const ViewOptions& options);
std::string RenderProbesJson(const v1::ProbesReply& reply);

/// `fleetctl downtimes`: newest first.
std::string RenderDowntimes(const v1::DowntimesReply& reply, const ViewOptions& options);
std::string RenderDowntimesJson(const v1::DowntimesReply& reply);

/// `fleetctl explain PROBE`: all that is known of one.
std::string RenderProbe(const v1::ProbeState& probe, const ViewOptions& options);

}  // namespace fleet::ctl
