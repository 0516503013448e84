#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/parse/tinc_hook.h"

namespace fleet::agent {

/// Where the hook writes and the check reads unless told otherwise: in memory, because a slow disk
/// must not hold up tincd, and void after a boot anyway.
inline constexpr char kTincHookStatePath[] = "/run/fleet-tinc/events";

/// Appends one event to the file, making it and its folder; world-readable. When the file has
/// grown past 256 KiB, keeps of it the newest event of each node only. Never waits for another
/// writer longer than 200 ms: an event is appended anyway then.
/// Errors: by errno; kFailedPrecondition when `path` is no plain file.
absl::Status AppendTincHook(const std::string& path, const TincHookEvent& event);

/// `fleet-agent tinc-hook up|down [--state FILE]`: what deploy/tinc/host-up and host-down run.
/// Takes node, net and address from the environment that tincd gives its scripts; reads no config
/// and writes nothing but that file. `argv` is the whole command line. Returns the exit code: 0, 1
/// with one line on stderr, or 64 for a wrong command line.
int TincHookMain(int argc, const char* const* argv);

}  // namespace fleet::agent
