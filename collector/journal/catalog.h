#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/journal/host_files.h"
#include "collector/journal/registry.h"

/// The journal's catalog: what of each host was taken in and which of its files are on the disk, so
/// that a start reads only what came since, and so that log files may go. Pure; docs/segment.md
/// specifies it.
namespace fleet::collector {

struct CatalogHost {
  std::string name;
  absl::Time heard;
  HostRegistry registry;
  std::vector<HostFiles::File> files;
};

/// Starts a catalog of `hosts` hosts.
void PutCatalogHeader(uint64_t hosts, std::string& out);
/// Adds one; what HostFiles::PutSynced writes must follow it.
void PutCatalogHost(absl::string_view name, absl::Time heard, const HostRegistry& registry,
                    std::string& out);
/// Ends it with its checksum.
void PutCatalogEnd(std::string& out);

/// Errors: kDataLoss for what is none.
absl::StatusOr<std::vector<CatalogHost>> ParseCatalog(absl::string_view bytes);

}  // namespace fleet::collector
